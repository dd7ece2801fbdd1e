//! Text of unknown origin, made fit for a message.

/// `text` on one line: at most `max` characters, with control and invisible characters escaped, so that what a hostile
/// file is called cannot forge a log line or hide part of itself.
pub(super) fn clip(text: &str, max: usize) -> String {
    let mut shown = String::new();
    let mut rest = text.chars();
    for c in rest.by_ref().take(max) {
        if c.is_control() || is_invisible(c) || c == '\u{2028}' || c == '\u{2029}' {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    if rest.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Characters that take no room on screen or reorder what is shown: zero-width, bidirectional controls, the tag block
/// (invisible ASCII) and the variation selectors used to smuggle bytes.
pub(super) const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{061c}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{e0000}'..='\u{e01ef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipped_text_stays_on_one_line_and_hides_nothing() {
        assert_eq!(clip("a\nb\u{202e}c", 10), "a\\u{a}b\\u{202e}c");
        assert_eq!(clip("abcdef", 3), "abc…");
        assert_eq!(clip("abc", 3), "abc");
    }
}
