//! What the abstract machine keeps of a value: only what can become an import.

use std::cell::Cell;
use std::rc::Rc;

use super::imports::Judgement;

/// Longest text that is kept; no module or attribute is called more.
pub(super) const MAX_NAME: usize = 512;

/// A value on the stack or in the memo.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// The bottom of a group.
    Mark,
    /// Text that can name a module or attribute.
    Name(Rc<Name>),
    /// Something imported.
    Import(Rc<Import>),
    /// A tuple, as far as its items are imports.
    Tuple(Rc<[Rc<Import>]>),
    /// What a call gave back.
    Result,
    /// Any other data.
    Other,
}

/// A module's attribute.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) module: String,
    pub(super) name: String,
    pub(super) judgement: Judgement,
    pub(super) reported: Cell<bool>,
}

/// Text that gives its bytes back to a budget when the last value holding it goes.
#[derive(Debug)]
pub(super) struct Name {
    text: Box<str>,
    budget: Rc<Cell<usize>>,
}

impl Name {
    /// Keeps `text`, or `None` once `budget` is used up.
    pub(super) fn keep(text: &str, budget: &Rc<Cell<usize>>) -> Option<Rc<Self>> {
        let left = budget.get().checked_sub(text.len())?;
        budget.set(left);
        Some(Rc::new(Self {
            text: text.into(),
            budget: Rc::clone(budget),
        }))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        self.budget
            .set(self.budget.get().saturating_add(self.text.len()));
    }
}

/// Whether `text` can name a module or attribute. Anything but a plain identifier path is data: models hold far more
/// text than imports.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_NAME
        && !text.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// The text of a protocol 0 string or unicode argument, escapes undone: CPython undoes them too, so that
/// `V\u006fs` names `os`.
pub(super) fn unescape(bytes: &[u8]) -> String {
    let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        let Some(kind) = rest.next() else {
            plain.push(c);
            break;
        };
        let digits = match kind {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            '0'..='7' => {
                let mut value = kind.to_digit(8).unwrap_or_default();
                for _ in 0..2 {
                    let Some(digit) = rest.clone().next().and_then(|c| c.to_digit(8)) else {
                        break;
                    };
                    value = value * 8 + digit;
                    rest.next();
                }
                plain.extend(char::from_u32(value));
                continue;
            }
            'n' => {
                plain.push('\n');
                continue;
            }
            't' => {
                plain.push('\t');
                continue;
            }
            'r' => {
                plain.push('\r');
                continue;
            }
            other => {
                plain.push(other);
                continue;
            }
        };
        let hex: String = rest.clone().take(digits).collect();
        let whole = hex.len() == digits && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        let code = u32::from_str_radix(&hex, 16).ok().filter(|_| whole);
        if let Some(decoded) = code.and_then(char::from_u32) {
            plain.push(decoded);
            rest.nth(digits.saturating_sub(1));
        } else {
            plain.push(c);
            plain.push(kind);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_as_cpython_undoes_them() {
        assert_eq!(unescape(br"\u006fs"), "os");
        assert_eq!(unescape(br"\x73yst\145m"), "system");
        assert_eq!(unescape(br"a\\b\'c"), r"a\b'c");
        assert_eq!(unescape(br"\u00"), r"\u00");
        assert_eq!(unescape(br"\"), r"\");
    }

    #[test]
    fn a_dropped_name_gives_its_bytes_back() {
        let budget = Rc::new(Cell::new(5));
        let name = Name::keep("abc", &budget).unwrap();
        assert!(Name::keep("def", &budget).is_none());
        drop(name);
        assert_eq!(budget.get(), 5);
    }
}
