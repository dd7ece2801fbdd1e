use std::{borrow::Cow, fmt};

/// The labels of one series as the text formats write them, without braces: `a="b",c="d"`, sorted by name,
/// values escaped. Empty values, which Prometheus takes for absent, are left out.
///
/// One string serves as the identity of a series in its family, is what rendering copies, and can be taken
/// apart again.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Labels(Box<str>);

/// Labels' values longer than this, in bytes, are not kept.
pub(crate) const MAX_LABEL_VALUE: usize = 8 * 1024;

/// What was wrong with a label, and what was made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LabelError {
    /// Two labels of one name, or whose names are the same once they are made valid: the first is kept.
    Duplicate,
}

impl Labels {
    pub(crate) const EMPTY_TEXT: &'static str = "";

    /// From names and values in any order; names are made valid, see [`label_name`].
    pub(crate) fn new<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> (Self, Option<LabelError>) {
        let mut error = None;
        let mut sorted: Vec<(Cow<'a, str>, &str)> = Vec::new();
        for (name, value) in pairs {
            let name = label_name(name);
            if value.is_empty() {
                continue;
            }
            if sorted.iter().any(|(other, _)| *other == name) {
                error = Some(LabelError::Duplicate);
                continue;
            }
            sorted.push((name, value));
        }
        sorted.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let length = sorted
            .iter()
            .map(|(name, value)| name.len() + value.len() + 4)
            .sum();
        let mut text = String::with_capacity(length);
        for (name, value) in &sorted {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(name);
            text.push_str("=\"");
            escape_value(&mut text, value);
            text.push('"');
        }
        (Self(text.into()), error)
    }

    /// As the text formats write them, without braces.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Names and values, the latter as they were before they were escaped.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            // No name has such a sign.
            let name = rest.bytes().position(|byte| byte == b'=')?;
            let (name, after) = rest.split_at_checked(name)?;
            let after = after.strip_prefix("=\"")?;
            let end = value_end(after)?;
            let (value, after) = after.split_at_checked(end.at)?;
            rest = after.get(2..).unwrap_or(Self::EMPTY_TEXT);
            let value = if end.has_escapes {
                Cow::Owned(unescape(value))
            } else {
                Cow::Borrowed(value)
            };
            Some((name, value))
        })
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an escaped value ends.
#[derive(Clone, Copy, Debug)]
struct ValueEnd {
    /// Where the quotation mark stands.
    at: usize,
    has_escapes: bool,
}

fn value_end(text: &str) -> Option<ValueEnd> {
    let mut has_escapes = false;
    let mut is_escaped = false;
    let at = text.bytes().position(|byte| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        is_escaped = byte == b'\\';
        has_escapes |= is_escaped;
        byte == b'"'
    })?;
    Some(ValueEnd { at, has_escapes })
}

fn escape_value(text: &mut String, value: &str) {
    let mut rest = value;
    while let Some(at) = rest.find(['\\', '"', '\n']) {
        let (plain, special) = rest.split_at(at);
        text.push_str(plain);
        text.push_str(match special.as_bytes().first() {
            Some(b'\n') => "\\n",
            Some(b'"') => "\\\"",
            _ => "\\\\",
        });
        rest = special.get(1..).unwrap_or_default();
    }
    text.push_str(rest);
}

fn unescape(value: &str) -> String {
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n') => plain.push('\n'),
                Some(other) => plain.push(other),
                None => {}
            },
            other => plain.push(other),
        }
    }
    plain
}

/// A valid name of a label: `[a-zA-Z_][a-zA-Z0-9_]*`, other characters replaced by `_`.
///
/// `le` and `quantile`, which the formats themselves add to series, and names that start with `__`, which
/// Prometheus keeps for itself, get the prefix that Prometheus gives to labels in its way: `exported_`.
pub(crate) fn label_name(name: &str) -> Cow<'_, str> {
    let valid = valid_name(name, false);
    if matches!(&*valid, "le" | "quantile") || valid.starts_with("__") {
        return Cow::Owned(format!("exported_{valid}"));
    }
    valid
}

/// A valid name: letters, digits (not first), `_`, and where `colons` are allowed `:`.
pub(crate) fn valid_name(name: &str, colons: bool) -> Cow<'_, str> {
    let is_valid = |at: usize, byte: u8| {
        byte.is_ascii_alphabetic()
            || byte == b'_'
            || (colons && byte == b':')
            || (byte.is_ascii_digit() && at > 0)
    };
    if !name.is_empty()
        && name
            .bytes()
            .enumerate()
            .all(|(at, byte)| is_valid(at, byte))
    {
        return Cow::Borrowed(name);
    }
    let mut valid = String::with_capacity(name.len() + 1);
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        valid.push('_');
    }
    valid.extend(name.chars().map(|character| {
        let is_valid = u8::try_from(character).is_ok_and(|byte| is_valid(1, byte));
        if is_valid { character } else { '_' }
    }));
    Cow::Owned(valid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let (labels, error) = Labels::new(pairs.iter().copied());
        assert_eq!(error, None);
        labels
    }

    #[test]
    fn labels_are_sorted_and_empty_values_left_out() {
        let labels = labels(&[("b", "2"), ("a", "1"), ("c", "")]);
        assert_eq!(labels.text(), r#"a="1",b="2""#);
        assert_eq!(Labels::new([]).0.text(), "");
    }

    #[test]
    fn values_that_differ_stay_different() {
        // What another exporter writes as one text, twice.
        assert_ne!(
            labels(&[("p", r"\server\new")]),
            labels(&[("p", r"\\server\new")])
        );
        assert_eq!(labels(&[("p", "a\\\"b\n")]).text(), r#"p="a\\\"b\n""#);
    }

    #[test]
    fn names_are_made_valid() {
        for (name, valid) in [
            ("route", "route"),
            ("http.route", "http_route"),
            ("2xx", "_2xx"),
            ("", "_"),
            ("größe", "gr__e"),
            ("le", "exported_le"),
            ("quantile", "exported_quantile"),
            ("__name__", "exported___name__"),
            ("a:b", "a_b"),
        ] {
            assert_eq!(label_name(name), valid);
        }
        assert_eq!(valid_name("a:b.c", true), "a:b_c");
    }

    #[test]
    fn the_first_of_two_labels_of_one_name_is_kept() {
        let (labels, error) = Labels::new([("x.y", "1"), ("x-y", "2")]);
        assert_eq!(
            (labels.text(), error),
            (r#"x_y="1""#, Some(LabelError::Duplicate))
        );
    }

    proptest! {
        #[test]
        fn what_was_put_in_comes_out(values in proptest::collection::vec(any::<String>(), 0..5)) {
            let names = ["a", "b", "c", "d", "e"];
            let pairs: Vec<_> = names.into_iter().zip(values.iter().map(String::as_str)).collect();
            let labels = labels(&pairs);
            let back: Vec<_> = labels.pairs().map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
            let given: Vec<_> = pairs.iter().filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            prop_assert_eq!(back, given);
            prop_assert!(!labels.text().contains('\n'));
        }
    }
}
