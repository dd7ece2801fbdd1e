use std::fmt;

/// Where a scan was asked for: a valid `traceparent` of W3C Trace Context, of the present version.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceParent([u8; LENGTH]);

/// version "-" trace-id "-" parent-id "-" flags
const LENGTH: usize = 55;

impl TraceParent {
    /// `None` if it is not valid (§3.2), as the specification asks to go on without it then. A later
    /// version is kept as far as this one goes.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let (known, more) = value.as_bytes().split_first_chunk::<LENGTH>()?;
        let mut parts = known.split(|&byte| byte == b'-');
        let [version, trace_id, parent_id, flags] = [2, 32, 16, 2].map(|digits| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            let is_digit = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
            part.iter().all(is_digit).then_some(part)
        });
        let (version, trace_id, parent_id) = (version?, trace_id?, parent_id?);
        flags?;
        let ends_right = match version {
            b"00" => more.is_empty(),
            b"ff" => false,
            _ => more.is_empty() || more.starts_with(b"-"),
        };
        let is_null = |id: &[u8]| id.iter().all(|&digit| digit == b'0');
        (ends_right && !is_null(trace_id) && !is_null(parent_id)).then_some(Self(*known))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.part(0, LENGTH)
    }

    /// 32 hexadecimal digits.
    pub(crate) fn trace_id(&self) -> &str {
        self.part(3, 35)
    }

    /// The span that asked: 16 hexadecimal digits.
    pub(crate) fn span_id(&self) -> &str {
        self.part(36, 52)
    }

    fn part(&self, from: usize, to: usize) -> &str {
        let digits = self.0.get(from..to).unwrap_or_default();
        std::str::from_utf8(digits).unwrap_or_default()
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_one_is_read() {
        let parent = TraceParent::parse(VALID).unwrap();
        assert_eq!(parent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.span_id(), "00f067aa0ba902b7");
        assert_eq!(parent.as_str(), VALID);
        let later = format!("{}-more", VALID.replacen("00", "cc", 1));
        assert!(TraceParent::parse(&later).is_some());
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
            "0\u{e9}-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(value), None, "{value}");
        }
    }
}
