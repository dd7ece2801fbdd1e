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

    #[inline]
    pub(crate) fn push(&mut self, text: &str) {
        if text.len() <= self.room && is_plain(text.as_bytes()) {
            self.plain(text);
        } else {
            self.push_with_care(text);
        }
    }

    fn push_with_care(&mut self, text: &str) {
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

/// Where the first byte is that may need an escape.
fn find(bytes: &[u8]) -> Option<usize> {
    if is_plain(bytes) {
        return None;
    }
    bytes.iter().position(|&byte| may_need_escape(byte))
}

/// Whether it is ASCII of which nothing is escaped, as most texts are.
#[inline(never)]
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    let Some(ends) = ends(bytes) else {
        return !bytes.iter().any(|&byte| is_special(byte));
    };
    let mut rest = bytes;
    while let Some((block, after)) = rest.split_first_chunk() {
        if may_have_special(block) {
            return false;
        }
        rest = after;
    }
    rest.is_empty() || !may_have_special(&ends)
}

const BLOCK: usize = 16;

/// The last bytes; of fewer than a block the first and the last ones. None of very few.
#[inline]
fn ends(bytes: &[u8]) -> Option<[u8; BLOCK]> {
    if let Some(last) = bytes.last_chunk() {
        return Some(*last);
    }
    let eight = |first: &[u8; 8], last: &[u8; 8]| {
        u128::from(u64::from_le_bytes(*first)) | (u128::from(u64::from_le_bytes(*last)) << 64)
    };
    let four = |first: &[u8; 4], last: &[u8; 4]| {
        u128::from(u32::from_le_bytes(*first)) | (u128::from(u32::from_le_bytes(*last)) << 32)
    };
    let ends = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => eight(first, last),
        _ => four(bytes.first_chunk()?, bytes.last_chunk()?) * ((1 << 64) | 1),
    };
    Some(ends.to_le_bytes())
}

/// Whether one of the bytes is special.
///
/// Not inlined: on its own it becomes some vector instructions, within a loop it may not.
#[inline(never)]
fn may_have_special(block: &[u8; BLOCK]) -> bool {
    // All bytes are looked at, whatever the first ones are.
    block
        .iter()
        .fold(false, |found, &byte| found | is_special(byte))
}

/// Whether it is a control, a quote, a backslash, or no ASCII.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "without branches it becomes vector instructions"
)]
const fn is_special(byte: u8) -> bool {
    let is_graphic = byte.wrapping_sub(0x20) < 0x5f;
    !is_graphic | (byte == b'"') | (byte == b'\\')
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
            for len in 0..50 {
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
