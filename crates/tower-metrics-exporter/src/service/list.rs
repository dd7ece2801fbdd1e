use http::{HeaderMap, HeaderName};

/// An element of a list of preferences, as `Accept` and `Accept-Encoding` have it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Preference<'a> {
    element: &'a str,
    /// The weight in thousandths. Nothing is wanted with 0.
    pub(super) quality: u16,
}

impl<'a> Preference<'a> {
    /// `None` if there is no value or no sense in its weight.
    fn parse(element: &'a str) -> Option<Self> {
        let mut preference = Self {
            element,
            quality: 1000,
        };
        if let Some(weight) = preference.parameter("q") {
            preference.quality = quality(weight)?;
        }
        (!preference.value().is_empty()).then_some(preference)
    }

    /// What stands in front of the parameters.
    pub(super) fn value(&self) -> &'a str {
        split(self.element, ';').next().unwrap_or_default().trim()
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&'a str> {
        split(self.element, ';').skip(1).find_map(|parameter| {
            let (found, value) = parameter.split_once('=')?;
            found
                .trim()
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().trim_matches('"'))
        })
    }
}

/// The elements of all the headers of this name. Those that make no sense are left out.
pub(super) fn preferences(
    headers: &HeaderMap,
    name: HeaderName,
) -> impl Iterator<Item = Preference<'_>> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| split(line, ','))
        .filter_map(Preference::parse)
}

/// Splits at separators outside of quoted strings.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return character == separator && !quoted,
        }
        false
    })
}

/// Takes what RFC 9110 (12.4.2) allows, and a little more: `.5`, more than three digits, more than 1.
fn quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if text.is_empty() || text == "." || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    if whole.bytes().any(|digit| digit != b'0') {
        return Some(1000);
    }
    let thousandths = fraction.bytes().chain([b'0'; 3]).take(3);
    Some(thousandths.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT;

    use super::*;

    #[test]
    fn weights_are_thousandths() {
        for (text, thousandths) in [
            ("1", Some(1000)),
            ("1.000", Some(1000)),
            ("0", Some(0)),
            ("0.", Some(0)),
            ("0.000", Some(0)),
            ("0.5", Some(500)),
            (".5", Some(500)),
            ("0.05", Some(50)),
            ("0.1239", Some(123)),
            ("7", Some(1000)),
            ("", None),
            (".", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("NaN", None),
            ("0.5.5", None),
        ] {
            assert_eq!(quality(text), thousandths, "q={text}");
        }
    }

    #[test]
    fn elements_of_several_lines_are_one_list_and_quotes_hide_separators() {
        let mut headers = HeaderMap::new();
        for line in [
            " a/b ; V=1;q=0.5,, ;x=1",
            "c/d;v=\"1,2;3\\\"\" , e/f;q=x, g/h;q=0",
        ] {
            headers.append(ACCEPT, line.parse().unwrap());
        }
        headers.append(ACCEPT, http::HeaderValue::from_bytes(b"\xff").unwrap());
        let found = preferences(&headers, ACCEPT)
            .map(|found| (found.value(), found.parameter("v"), found.quality))
            .collect::<Vec<_>>();
        assert_eq!(
            found,
            [
                ("a/b", Some("1"), 500),
                ("c/d", Some("1,2;3\\"), 1000),
                ("g/h", None, 0),
            ]
        );
    }
}
