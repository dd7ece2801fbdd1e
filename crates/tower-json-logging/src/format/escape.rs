use std::fmt::{self, Write as _};

/// Writes the inside of a JSON string, up to a number of bytes.
///
/// Escaped are, beside what JSON asks for, all characters that some reader takes for the end of a line
/// or a terminal for a command: U+007F, the C1 controls (U+0085 is one), U+2028, U+2029 and the
/// controls of text direction.
pub(crate) struct Escaper<'a> {
    out: &'a mut Vec<u8>,
    room: usize,
    cut: bool,
}

impl<'a> Escaper<'a> {
    pub(crate) const fn new(out: &'a mut Vec<u8>, room: usize) -> Self {
        Self {
            out,
            room,
            cut: false,
        }
    }

    /// Whether something did not fit.
    pub(crate) const fn is_cut(&self) -> bool {
        self.cut
    }

    pub(crate) fn push(&mut self, text: &str) {
        let mut rest = text;
        while !self.cut {
            let Some((plain, special)) =
                find(rest.as_bytes()).and_then(|at| rest.split_at_checked(at))
            else {
                return self.plain(rest);
            };
            self.plain(plain);
            let mut chars = special.chars();
            if let Some(special) = chars.next() {
                self.special(special);
            }
            rest = chars.as_str();
        }
    }

    #[inline]
    fn plain(&mut self, text: &str) {
        if text.len() <= self.room {
            self.out.extend_from_slice(text.as_bytes());
            self.room -= text.len();
        } else {
            self.start_of(text);
        }
    }

    #[cold]
    fn start_of(&mut self, text: &str) {
        let fits = (0..=self.room).rev().find_map(|at| text.get(..at));
        self.out
            .extend_from_slice(fits.unwrap_or_default().as_bytes());
        self.stop();
    }

    fn special(&mut self, c: char) {
        let short = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => return self.unicode(c),
            _ => return self.plain(c.encode_utf8(&mut [0; 4])),
        };
        self.whole(short.as_bytes());
    }

    // All of these are below U+10000: one escape, never a pair.
    fn unicode(&mut self, c: char) {
        let digit = |shift: u32| {
            let digit = char::from_digit((u32::from(c) >> shift) & 0xf, 16);
            digit.map_or(b'0', |digit| u8::try_from(digit).unwrap_or(b'0'))
        };
        self.whole(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
    }

    /// An escape is written whole or not at all.
    fn whole(&mut self, escape: &[u8]) {
        if escape.len() <= self.room {
            self.out.extend_from_slice(escape);
            self.room -= escape.len();
        } else {
            self.stop();
        }
    }

    // No room, also for what would still fit: a text is cut once, at its end.
    const fn stop(&mut self) {
        self.cut = true;
        self.room = 0;
    }
}

/// For texts that are made while they are written. The error ends the formatting of what was cut.
impl fmt::Write for Escaper<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        if self.cut { Err(fmt::Error) } else { Ok(()) }
    }
}

/// The first byte of every character that `special` knows, and of others.
const fn may_need_escape(byte: u8) -> bool {
    // 0xc2 begins U+0080 to U+00BF, 0xe2 begins U+2000 to U+2FFF.
    matches!(byte, 0..=0x1f | b'"' | b'\\' | 0x7f | 0xc2 | 0xe2)
}

/// Where the first byte is that may need an escape. Eight at a time, as most texts have none.
fn find(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    while let Some((eight, after)) = rest.split_first_chunk() {
        if may_have_special(u64::from_le_bytes(*eight)) {
            break;
        }
        rest = after;
    }
    // What is left, and some that is looked at twice.
    let half = |four: &[u8; 4]| u64::from(u32::from_le_bytes(*four));
    let end = match (bytes.last_chunk(), bytes.first_chunk(), bytes.last_chunk()) {
        (Some(eight), ..) => Some(u64::from_le_bytes(*eight)),
        (None, Some(first), Some(last)) => Some(half(first) | (half(last) << 32)),
        _ => None,
    };
    if rest.len() < 8 && end.is_some_and(|end| !may_have_special(end)) {
        return None;
    }
    let plain = bytes.len() - rest.len();
    let found = rest.iter().position(|&byte| may_need_escape(byte));
    found.map(|found| plain + found)
}

/// Whether one of eight bytes is a control, a quote, a backslash, or no ASCII.
const fn may_have_special(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;

    // A borrow or a carry out of a byte comes only from one that is found anyway.
    const fn below(word: u64, least: u64) -> u64 {
        word.wrapping_sub(ONES * least) & !word
    }
    let del_or_above = word.wrapping_add(ONES) | word;
    let quote = below(word ^ (ONES * b'"' as u64), 1);
    let backslash = below(word ^ (ONES * b'\\' as u64), 1);
    (below(word, 0x20) | del_or_above | quote | backslash) & HIGH != 0
}

/// Writes a text as a JSON string, as [`string`] does.
pub(crate) fn text(out: &mut Vec<u8>, room: usize, text: &str) -> bool {
    out.push(b'"');
    let mut escaper = Escaper::new(out, room);
    escaper.push(text);
    let cut = escaper.is_cut();
    out.push(b'"');
    cut
}

/// Writes a JSON string, quotes included, whose inside has at most `room` bytes. Tells whether it was
/// cut.
pub(crate) fn string(out: &mut Vec<u8>, room: usize, text: fmt::Arguments<'_>) -> bool {
    out.push(b'"');
    let mut escaper = Escaper::new(out, room);
    match text.as_str() {
        Some(text) => escaper.push(text),
        // An error is a cut, which the escaper knows of, or the value's own: what there is stays.
        None => drop(escaper.write_fmt(text)),
    }
    let cut = escaper.is_cut();
    out.push(b'"');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(room: usize, text: &str) -> (String, bool) {
        let mut out = Vec::new();
        let cut = string(&mut out, room, format_args!("{text}"));
        (String::from_utf8(out).unwrap(), cut)
    }

    #[test]
    fn every_character_survives_and_none_ends_a_line() {
        for c in '\0'..=char::MAX {
            let (json, cut) = escaped(64, &format!("a{c}b"));
            assert!(!cut);
            let back: String = serde_json::from_str(&json).unwrap();
            assert_eq!(back, format!("a{c}b"));
            let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            assert!(!json.contains(breaks), "{:04x}", u32::from(c));
        }
    }

    #[test]
    fn a_byte_that_may_need_an_escape_is_found_wherever_it_is() {
        for byte in 0..=255 {
            for len in 0..20 {
                for at in 0..len {
                    let mut bytes = vec![b'a'; len];
                    bytes[at] = byte;
                    assert_eq!(find(&bytes), may_need_escape(byte).then_some(at));
                    // An earlier one that looks special and is not.
                    bytes[0] = 0xc3;
                    let first = (at > 0 && may_need_escape(byte)).then_some(at);
                    assert_eq!(find(&bytes), first);
                }
            }
        }
    }

    #[test]
    fn a_text_is_cut_between_two_characters() {
        assert_eq!(escaped(4, "abcdef"), (String::from("\"abcd\""), true));
        assert_eq!(escaped(4, "abcé"), (String::from("\"abc\""), true));
        assert_eq!(escaped(5, "abcé"), (String::from("\"abcé\""), false));
        assert_eq!(escaped(0, "a"), (String::from("\"\""), true));
        assert_eq!(escaped(0, ""), (String::from("\"\""), false));
    }

    #[test]
    fn an_escape_is_never_cut_in_two() {
        assert_eq!(escaped(3, "ab\"c"), (String::from("\"ab\""), true));
        assert_eq!(escaped(7, "ab\u{1}c"), (String::from("\"ab\""), true));
    }

    #[test]
    fn nothing_follows_a_cut() {
        let mut out = Vec::new();
        let cut = string(&mut out, 3, format_args!("{}{}{}", "ab", "éé", "c"));
        assert!(cut);
        assert_eq!(out, b"\"ab\"");
    }
}
