use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    process,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries the id, in requests and responses.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request: an extension of the request that the service gets.
///
/// It is the request's `x-request-id` if that is well-formed, 1 to 128 characters of
/// `A-Z a-z 0-9 . _ : -`, and otherwise made here, unlike any other.
///
/// ```
/// # fn handler(request: http::Request<()>) -> Option<String> {
/// let id = request.extensions().get::<tower_json_logging::RequestId>()?;
/// Some(format!("Something went wrong. Please tell us: {id}"))
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(HeaderValue);

impl RequestId {
    const LONGEST: usize = 128;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // Only ever made of ASCII.
        self.0.to_str().unwrap_or_default()
    }

    pub(crate) const fn header_value(&self) -> &HeaderValue {
        &self.0
    }

    /// The id that a request came with, if it is well-formed.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(HEADER)?;
        let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"._:-".contains(byte);
        let well_formed = (1..=Self::LONGEST).contains(&value.len())
            && value.as_bytes().iter().all(known)
            && !value.is_sensitive();
        well_formed.then(|| Self(value.clone()))
    }

    /// An id that no other request has: what is random of this process, and a count.
    pub(crate) fn make() -> Self {
        static PROCESS: OnceLock<u64> = OnceLock::new();
        static COUNT: AtomicU64 = AtomicU64::new(1);

        // `RandomState` is seeded by the operating system. The rest is for systems where it is not.
        let process =
            PROCESS.get_or_init(|| RandomState::new().hash_one((process::id(), SystemTime::now())));
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = HeaderValue::try_from(format!("{process:016x}-{count:x}"));
        // Hexadecimal digits are always a header's value.
        Self(id.unwrap_or(HeaderValue::from_static("unknown")))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestId").field(&self.as_str()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn accepted(value: &[u8]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(value).unwrap());
        RequestId::of(&headers).is_some()
    }

    #[test]
    fn a_well_formed_id_is_accepted() {
        assert!(accepted(b"01HF8ZJ5"));
        assert!(accepted(b"1-67891233-abcdef012345678912345678:a.b_c"));
        assert!(accepted(&[b'a'; 128]));
    }

    #[test]
    fn what_could_forge_or_flood_a_log_is_not() {
        assert!(!accepted(b""));
        assert!(!accepted(&[b'a'; 129]));
        assert!(!accepted(b"a b"));
        assert!(!accepted(b"a\"b"));
        assert!(!accepted(b"${jndi:x}"));
        assert!(!accepted(b"\xc3\xa9"));
    }

    #[test]
    fn made_ids_are_well_formed_and_distinct() {
        let made: Vec<_> = (0..1000).map(|_| RequestId::make()).collect();
        assert!(made.iter().all(|id| accepted(id.as_str().as_bytes())));
        assert_eq!(made.iter().collect::<HashSet<_>>().len(), made.len());
    }
}
