/// A value: whole numbers stay exact past 2^53.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Whole(u64),
    Float(f64),
}

impl Number {
    #[expect(
        clippy::cast_precision_loss,
        reason = "as a float it is what was asked for"
    )]
    pub(crate) const fn as_f64(self) -> f64 {
        match self {
            Self::Whole(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    pub(crate) fn push(self, text: &mut Vec<u8>) {
        match self {
            Self::Whole(value) => push_whole(text, value),
            Self::Float(value) => push_float(text, value),
        }
    }
}

pub(crate) fn push_whole(text: &mut Vec<u8>, value: u64) {
    text.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The shortest text that is read as this float again. `NaN`, `+Inf` and `-Inf` are spelt as the formats
/// spell them.
pub(crate) fn push_float(text: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        text.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        let sign: &[u8] = if value > 0.0 { b"+Inf" } else { b"-Inf" };
        text.extend_from_slice(sign);
    } else {
        let mut buffer = ryu::Buffer::new();
        let number = buffer.format_finite(value);
        // A whole number is written as one, as other exporters do.
        text.extend_from_slice(number.strip_suffix(".0").unwrap_or(number).as_bytes());
    }
}

/// The value of `le`: as Prometheus itself writes the bound that protobuf gives it, so that a series is
/// the same whatever format it came by. That is Go's `%g`, with `.0` where nothing tells a float.
pub(crate) fn push_le(text: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        return push_float(text, value);
    }
    // The shortest digits, and the power of ten of the first.
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let number = if (-4..6).contains(&exponent) {
        value.to_string()
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
    };
    text.extend_from_slice(number.as_bytes());
    if !number.contains(['.', 'e']) {
        text.extend_from_slice(b".0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut text = Vec::new();
        push(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_bound_is_written_as_go_writes_it() {
        for (value, expected) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-1.0, "-1.0"),
            (0.005, "0.005"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (2.5, "2.5"),
            (100_000.0, "100000.0"),
            (1_000_000.0, "1e+06"),
            (1_048_576.0, "1.048576e+06"),
            (1e100, "1e+100"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(text(|text| push_le(text, value)), expected);
        }
    }

    #[test]
    fn a_value_is_short_and_exact() {
        for (value, expected) in [
            (0.0, "0"),
            (3.0, "3"),
            (0.1, "0.1"),
            (1e300, "1e300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(text(|text| push_float(text, value)), expected);
        }
        let whole = Number::Whole(u64::MAX);
        assert_eq!(text(|text| whole.push(text)), "18446744073709551615");
    }
}
