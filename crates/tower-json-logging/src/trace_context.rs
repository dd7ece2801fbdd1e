use std::ops::Range;

/// Where a request belongs in its caller's trace: a valid `traceparent` of W3C Trace Context.
///
/// Its first 55 characters, which say all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceContext([u8; 55]);

impl TraceContext {
    /// The context that a header's value gives; `None` if it is not valid (§3.2).
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        // version "-" trace-id "-" parent-id "-" flags; later versions may go on after another "-".
        let (known, more) = value.split_first_chunk::<55>()?;
        let mut parts = known.split(|&byte| byte == b'-');
        let mut part = |len| parts.next().filter(|part| is_hex(part, len));
        let version = part(2)?;
        let [trace_id, parent_id, _] = [part(32)?, part(16)?, part(2)?];

        let ends_right = match version {
            b"00" => more.is_empty(),
            b"ff" => false,
            _ => more.is_empty() || more.starts_with(b"-"),
        };
        let is_null = |id: &[u8]| id.iter().all(|&digit| digit == b'0');
        (ends_right && !is_null(trace_id) && !is_null(parent_id)).then_some(Self(*known))
    }

    /// 32 hexadecimal digits.
    pub(crate) fn trace_id(&self) -> &[u8] {
        self.part(3..35)
    }

    /// The same as text.
    pub(crate) fn trace_id_as_str(&self) -> &str {
        // Only ever made of ASCII.
        std::str::from_utf8(self.trace_id()).unwrap_or_default()
    }

    /// The caller's span: 16 hexadecimal digits.
    pub(crate) fn span_id(&self) -> &[u8] {
        self.part(36..52)
    }

    /// 2 hexadecimal digits.
    pub(crate) fn flags(&self) -> &[u8] {
        self.part(53..55)
    }

    fn part(&self, range: Range<usize>) -> &[u8] {
        self.0.get(range).unwrap_or_default()
    }
}

/// Whether it is so many lower-case hexadecimal digits.
fn is_hex(part: &[u8], digits: usize) -> bool {
    let is_digit = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    part.len() == digits && part.iter().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parse(value: &str) -> Option<TraceContext> {
        TraceContext::parse(value.as_bytes())
    }

    #[test]
    fn a_valid_header_is_read() {
        let context = parse(VALID).unwrap();
        assert_eq!(context.trace_id(), b"4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id(), b"00f067aa0ba902b7");
        assert_eq!(context.flags(), b"01");
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = VALID.replacen("00", "cc", 1);
        assert!(parse(&later).is_some());
        assert!(parse(&format!("{later}-what-the-future-will-be")).is_some());
        assert!(parse(&format!("{later}.what")).is_none());
    }

    #[test]
    fn what_is_not_valid_is_nothing() {
        for value in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "00-4bf92f3577b34da6a3ce929d0e0e47366-0f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        ] {
            assert_eq!(parse(value), None, "{value}");
        }
    }
}
