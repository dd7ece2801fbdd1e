use std::{
    cell::RefCell,
    fmt,
    hash::{BuildHasher as _, Hash, Hasher, RandomState},
    process, thread,
    time::SystemTime,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

/// The header that carries the id, in requests and responses.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request: [`RequestContext::request_id`](crate::RequestContext::request_id).
///
/// It is the request's `x-request-id` if that is well-formed, 1 to 128 characters of
/// `A-Z a-z 0-9 . _ : -`, and otherwise made here, unlike any other.
///
/// ```
/// # fn handler() -> Option<String> {
/// let context = tower_json_logging::RequestContext::current()?;
/// Some(format!("Something went wrong. Please tell us: {}", context.request_id()))
/// # }
/// ```
#[derive(Clone)]
pub struct RequestId(Kind);

#[derive(Clone)]
enum Kind {
    /// Here, and not in memory that requests on all threads count the users of.
    Made(Digits),
    Given(HeaderValue),
}

/// Aligned, so that they are moved as words.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Digits([u8; Made::DIGITS]);

impl Default for RequestId {
    fn default() -> Self {
        Self(Kind::Given(HeaderValue::from_static("unknown")))
    }
}

impl PartialEq for RequestId {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for RequestId {}

impl Hash for RequestId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl RequestId {
    const LONGEST: usize = 128;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // Only ever made of ASCII: so says a faster test than `HeaderValue::to_str`'s.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The id as text that needs no escaping.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Kind::Made(Digits(digits)) => digits,
            Kind::Given(value) => value.as_bytes(),
        }
    }

    /// The id, if it was made here.
    #[inline]
    pub(crate) const fn made(&self) -> Option<&[u8; 32]> {
        match &self.0 {
            Kind::Made(Digits(digits)) => Some(digits),
            Kind::Given(_) => None,
        }
    }

    /// Whether a request that comes with this may have it for its id.
    pub(crate) fn is_well_formed(given: &HeaderValue) -> bool {
        let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"._:-".contains(byte);
        (1..=Self::LONGEST).contains(&given.len())
            && given.as_bytes().iter().all(known)
            && !given.is_sensitive()
    }

    /// Is what the request came with, which [is well-formed](Self::is_well_formed).
    #[inline(never)]
    pub(crate) fn take(&mut self, given: &HeaderValue, header: &mut Option<HeaderValue>) {
        self.0 = Kind::Given(given.clone());
        *header = Some(given.clone());
    }

    /// Whether it came with a request.
    pub(crate) const fn is_given(&self) -> bool {
        matches!(self.0, Kind::Given(_))
    }

    /// Lets go of what came with a request.
    pub(crate) fn clear(&mut self) {
        if let Kind::Given(_) = self.0 {
            *self = Self::default();
        }
    }

    /// Is one that no other request has: 32 hexadecimal digits, by chance. In `header` they are a header's value.
    #[inline]
    pub(crate) fn make(&mut self, header: &mut Option<HeaderValue>) {
        thread_local! {
            static MADE: RefCell<Made> = const { RefCell::new(Made::new()) };
        }

        let take = |made: &RefCell<Made>| {
            if let Ok(mut made) = made.try_borrow_mut() {
                *header = made.values.pop();
                if header.is_none() {
                    *header = made.more();
                }
            }
        };
        // A thread that ends has none anymore, nor one that is just making some, but may still need one.
        let _ = MADE.try_with(take);
        if header.is_none() {
            *header = Made::new().more();
        }
        // All have as many.
        let digits = header.as_ref().map(HeaderValue::as_bytes);
        if let Some(digits) = digits.and_then(<[u8]>::first_chunk) {
            self.0 = Kind::Made(Digits(*digits));
        }
    }
}

/// Ids that a thread has made: many at once, so that one costs no allocation and little code.
struct Made {
    random: u64,
    values: Vec<HeaderValue>,
}

impl Made {
    const DIGITS: usize = 32;
    const AT_ONCE: usize = 64;

    const fn new() -> Self {
        Self {
            random: 0,
            values: Vec::new(),
        }
    }

    /// Makes many, and gives one of them.
    #[cold]
    #[inline(never)]
    fn more(&mut self) -> Option<HeaderValue> {
        if self.random == 0 {
            // `RandomState` is seeded by the operating system. The rest is for systems where it is not.
            let seed = (process::id(), thread::current().id(), SystemTime::now());
            self.random = RandomState::new().hash_one(seed) | 1;
        }
        let mut digits = Vec::with_capacity(Self::DIGITS * Self::AT_ONCE);
        for _ in 0..Self::AT_ONCE * 2 {
            // By chance: which digit comes first is no matter.
            for eight in hex(self.word()) {
                digits.extend_from_slice(&eight);
            }
        }
        let mut digits = Bytes::from(digits);
        // Hexadecimal digits are always a header's value.
        let value = |_| HeaderValue::from_maybe_shared(digits.split_to(Self::DIGITS)).ok();
        self.values.extend((0..Self::AT_ONCE).filter_map(value));
        self.values.pop()
    }

    /// The next of a sequence that repeats after 2⁶⁴: `SplitMix64`, by Sebastiano Vigna.
    const fn word(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.random;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// The hexadecimal digits of a word: eight halves of bytes at a time, each in a byte of its own.
const fn hex(word: u64) -> [[u8; 8]; 2] {
    const ONES: u64 = u64::MAX / 255;

    const fn digits(halves: u64) -> [u8; 8] {
        // 6 more than 9 has a bit of its own: letters begin 39 past where digits end.
        let is_letter = ((halves + 6 * ONES) >> 4) & ONES;
        (halves + b'0' as u64 * ONES + 39 * is_letter).to_be_bytes()
    }
    [
        digits((word >> 4) & (0xf * ONES)),
        digits(word & (0xf * ONES)),
    ]
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

    fn made() -> (RequestId, HeaderValue) {
        let (mut id, mut value) = (RequestId::default(), None);
        id.make(&mut value);
        (id, value.unwrap())
    }

    fn given(value: &HeaderValue) -> Option<RequestId> {
        let mut id = RequestId::default();
        RequestId::is_well_formed(value).then(|| {
            id.take(value, &mut None);
            id
        })
    }

    fn accepted(value: &[u8]) -> bool {
        given(&HeaderValue::from_bytes(value).unwrap()).is_some()
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
    fn a_word_has_sixteen_digits() {
        let [high, low] = hex(0x0123_4567_89ab_cdef);
        assert_eq!(&high, b"02468ace");
        assert_eq!(&low, b"13579bdf");
    }

    #[test]
    fn made_ids_are_well_formed_and_distinct() {
        let made: Vec<_> = (0..1000).map(|_| made().0).collect();
        assert!(made.iter().all(|id| accepted(id.as_str().as_bytes())));
        assert_eq!(made.iter().collect::<HashSet<_>>().len(), made.len());
    }

    #[test]
    fn an_id_that_was_made_is_the_same_where_it_is_given() {
        let (made, value) = made();
        let given = given(&value).unwrap();
        assert_eq!(given.as_str(), made.as_str());
        assert_eq!(HashSet::from([given]), HashSet::from([made]));
    }
}
