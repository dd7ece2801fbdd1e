use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{request_id, trace_context::TraceContext};

static REQUEST_ID: HeaderName = request_id::HEADER;
static TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// What a request's headers say of it. All are found in one pass: to look up each would take a hash of its
/// name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) request_id: Option<&'a HeaderValue>,
    trace_parent: Option<&'a HeaderValue>,
    has_trace_parents: bool,
    content_type: Option<&'a HeaderValue>,
    content_length: Option<&'a HeaderValue>,
    pub(super) user_agent: Option<&'a HeaderValue>,
}

impl<'a> Found<'a> {
    pub(super) fn within(headers: &'a HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            // Not by their texts: those of the standard's have to be looked up.
            let place = if *name == header::USER_AGENT {
                &mut found.user_agent
            } else if *name == header::CONTENT_TYPE {
                &mut found.content_type
            } else if *name == header::CONTENT_LENGTH {
                &mut found.content_length
            } else if *name == REQUEST_ID {
                &mut found.request_id
            } else if *name == TRACE_PARENT {
                found.has_trace_parents = found.trace_parent.is_some();
                &mut found.trace_parent
            } else {
                continue;
            };
            // The first of them.
            place.get_or_insert(value);
        }
        found
    }

    pub(super) const fn has_trace(&self) -> bool {
        self.trace_parent.is_some()
    }

    /// Where the request belongs in its caller's trace, if it says so once.
    #[inline(never)]
    pub(super) fn trace(&self) -> Option<TraceContext> {
        let value = self.trace_parent.filter(|_| !self.has_trace_parents)?;
        TraceContext::parse(value.as_bytes())
    }

    pub(super) fn is_grpc(&self) -> bool {
        let is_grpc = |value: &HeaderValue| value.as_bytes().starts_with(b"application/grpc");
        self.content_type.is_some_and(is_grpc)
    }

    pub(super) const fn has_length(&self) -> bool {
        self.content_length.is_some()
    }

    /// Bytes of the request's body; `None` if it has none, or does not say.
    #[inline(never)]
    pub(super) fn declared_length(&self) -> Option<u64> {
        let length = self.content_length?.to_str().ok()?;
        // Digits only (RFC 9110 §8.6), and no more than a reader's integers hold.
        let is_number = length.bytes().all(|byte| byte.is_ascii_digit());
        let length: i64 = is_number.then(|| length.parse().ok())??;
        u64::try_from(length).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn names_are_those_of_the_headers() {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_static("1");
        for name in [
            request_id::HEADER,
            header::CONTENT_TYPE,
            header::CONTENT_LENGTH,
            header::USER_AGENT,
        ] {
            headers.insert(name, value.clone());
        }
        let found = Found::within(&headers);
        let all = [
            found.request_id,
            found.content_type,
            found.content_length,
            found.user_agent,
        ];
        assert_eq!(all, [Some(&value); 4]);
    }

    #[test]
    fn of_several_values_the_first_counts() {
        let mut headers = HeaderMap::new();
        for value in ["1", "2"] {
            headers.append(header::CONTENT_LENGTH, value.parse().unwrap());
        }
        assert_eq!(Found::within(&headers).declared_length(), Some(1));
    }

    #[test]
    fn two_traces_are_none() {
        let mut headers = HeaderMap::new();
        headers.append("traceparent", TRACE.parse().unwrap());
        assert!(Found::within(&headers).trace().is_some());
        for _ in 0..2 {
            headers.append("traceparent", TRACE.parse().unwrap());
            assert!(Found::within(&headers).trace().is_none());
        }
    }
}
