//! JSON as configuration files have it: a byte order mark, comments, trailing commas.

/// Makes plain JSON of `bytes`, in place and at the same positions, so that a parser's line and column hold.
///
/// Nesting is counted here, before anything recurses into it.
pub(super) fn plain(mut bytes: Vec<u8>, max_depth: usize) -> Result<Vec<u8>, String> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("it is UTF-16; save it as UTF-8".to_owned());
    }
    if let Some(mark) = bytes.get_mut(..3)
        && mark == [0xef, 0xbb, 0xbf]
    {
        mark.fill(b' ');
    }
    let mut depth = 0_usize;
    let mut within = Within::Json;
    // Where the last comma was, while only blanks and comments have followed it.
    let mut comma = None;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let next = bytes.get(at + 1).copied();
        match within {
            Within::Json => match (byte, next) {
                (b'/', Some(b'/')) => {
                    within = Within::Line;
                    blank(&mut bytes, at);
                }
                (b'/', Some(b'*')) => {
                    within = Within::Block;
                    blank(&mut bytes, at);
                    blank(&mut bytes, at + 1);
                    at += 1;
                }
                (b'"', _) => {
                    within = Within::Text;
                    comma = None;
                }
                (b',', _) => comma = Some(at),
                (b'{' | b'[', _) => {
                    comma = None;
                    depth += 1;
                    if depth > max_depth {
                        return Err(format!("it nests deeper than max_json_depth = {max_depth}"));
                    }
                }
                (b'}' | b']', _) => {
                    depth = depth.saturating_sub(1);
                    if let Some(comma) = comma.take() {
                        blank(&mut bytes, comma);
                    }
                }
                (byte, _) if byte.is_ascii_whitespace() => {}
                _ => comma = None,
            },
            Within::Text => match byte {
                b'\\' => at += 1,
                b'"' => within = Within::Json,
                _ => {}
            },
            Within::Line if byte == b'\n' => within = Within::Json,
            Within::Block if (byte, next) == (b'*', Some(b'/')) => {
                within = Within::Json;
                blank(&mut bytes, at);
                blank(&mut bytes, at + 1);
                at += 1;
            }
            Within::Line | Within::Block => {
                if byte != b'\n' {
                    blank(&mut bytes, at);
                }
            }
        }
        at += 1;
    }
    Ok(bytes)
}

#[derive(Clone, Copy)]
enum Within {
    Json,
    Text,
    Line,
    Block,
}

fn blank(bytes: &mut [u8], at: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = b' ';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(text: &str) -> String {
        String::from_utf8(plain(text.as_bytes().to_vec(), 8).unwrap()).unwrap()
    }

    #[test]
    fn comments_and_trailing_commas_become_blanks() {
        let text = "\u{feff}{ // one\n \"a\": [1, /* , */ ], \"b//\\\"\": \"/*\", }";
        let json: serde_json::Value = serde_json::from_str(&cleaned(text)).unwrap();
        assert_eq!(json, serde_json::json!({"a": [1], "b//\"": "/*"}));
        assert_eq!(cleaned(text).len(), text.len());
    }

    #[test]
    fn a_second_comma_is_still_an_error() {
        assert!(serde_json::from_str::<serde_json::Value>(&cleaned("[1,,]")).is_err());
        assert!(serde_json::from_str::<serde_json::Value>(&cleaned("[1,,2]")).is_err());
    }

    #[test]
    fn nesting_is_refused_with_the_limit_named() {
        assert!(plain(b"[[[[[[[[]]]]]]]]".to_vec(), 8).is_ok());
        let error = plain(b"[".repeat(100_000), 8).unwrap_err();
        assert_eq!(error, "it nests deeper than max_json_depth = 8");
        assert!(plain(b"\"[[[[[[[[[[[[[[\"".to_vec(), 8).is_ok());
    }
}
