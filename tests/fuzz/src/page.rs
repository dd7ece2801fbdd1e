//! What is well-formed, by the formats' own grammars.

use std::collections::BTreeSet;

/// A sample's name and labels.
pub type Sample = (String, Vec<(String, String)>);

/// The samples of a page, each of which belongs to the family that was last declared.
///
/// # Panics
///
/// If a line is none of the format.
pub fn samples(page: &str, is_open_metrics: bool) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut families = BTreeSet::new();
    let mut family = "";
    assert!(page.is_empty() || page.ends_with('\n'), "{page}");
    // Not `lines`, which take carriage returns away.
    for line in page.split_terminator('\n') {
        if line == "# EOF" && is_open_metrics {
            continue;
        }
        let Some(comment) = line.strip_prefix("# ") else {
            let sample = sample(line, is_open_metrics);
            assert!(sample.0.starts_with(family), "{line} in {family}");
            samples.push(sample);
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        let (what, name) = (words.next(), words.next().expect("a name"));
        assert!(is_name(name, true), "{line}");
        if name != family {
            assert!(families.insert(name), "{name} is parted: {page}");
            family = name;
        }
        let rest = words.next().unwrap_or_default();
        match what.expect("a word") {
            "HELP" => assert!(is_escaped(rest, is_open_metrics), "{line}"),
            "TYPE" => assert!(
                [
                    "counter",
                    "gauge",
                    "histogram",
                    "unknown",
                    "untyped",
                    "info"
                ]
                .contains(&rest),
                "{line}"
            ),
            "UNIT" if is_open_metrics => assert!(name.ends_with(rest), "{line}"),
            _ => panic!("{line}"),
        }
    }
    samples
}

fn is_name(name: &str, may_have_colons: bool) -> bool {
    let mut chars = name.chars();
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_' || (may_have_colons && c == ':');
    chars.next().is_some_and(begins) && chars.all(|c| begins(c) || c.is_ascii_digit())
}

/// Whether each backslash begins one of `\\`, `\n`, and `\"` where that is one.
fn is_escaped(text: &str, quotes: bool) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let fits = match c {
            '\\' => match chars.next() {
                Some('\\' | 'n') => true,
                Some('"') => quotes,
                _ => false,
            },
            _ => true,
        };
        if !fits {
            return false;
        }
    }
    true
}

fn sample(line: &str, is_open_metrics: bool) -> Sample {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name, true), "{line}");
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        (labels, rest) = set_of_labels(inside, line);
    }
    let rest = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    let value = match rest.split_once(" # ") {
        Some((value, exemplar)) if is_open_metrics => {
            let inside = exemplar.strip_prefix('{').expect("an exemplar has labels");
            let (labels, rest) = set_of_labels(inside, line);
            let length = labels
                .iter()
                .map(|(name, value)| name.chars().count() + value.chars().count());
            assert!(length.sum::<usize>() <= 128, "{line}");
            for number in rest.trim_start().split(' ') {
                assert!(number.parse::<f64>().is_ok(), "{line}");
            }
            value
        }
        _ => rest,
    };
    let number = value.replace("+Inf", "inf").replace("-Inf", "-inf");
    assert!(number.parse::<f64>().is_ok(), "{line}");
    (name.to_owned(), labels)
}

/// The labels up to a closing brace, and what comes after it.
fn set_of_labels<'a>(mut rest: &'a str, line: &str) -> (Vec<(String, String)>, &'a str) {
    let mut labels: Vec<(String, String)> = Vec::new();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            labels.sort();
            return (labels, rest);
        }
        if !labels.is_empty() {
            rest = rest.strip_prefix(',').unwrap_or_else(|| panic!("{line}"));
        }
        let (name, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        assert!(is_name(name, false), "{line}");
        assert!(labels.iter().all(|(other, _)| other != name), "{line}");
        let mut escaped = false;
        let end = value.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let (value, after) = value.split_at(end.unwrap_or_else(|| panic!("{line}")));
        assert!(is_escaped(value, true), "{line}");
        labels.push((name.to_owned(), value.to_owned()));
        rest = after.strip_prefix('"').expect("it was found there");
    }
}

/// Delimited messages, each of which has fields as protobuf has them, and a name and a type.
///
/// # Panics
///
/// If there is something else.
pub fn check_protobuf(mut page: &[u8]) {
    let mut names = BTreeSet::new();
    while !page.is_empty() {
        let length = usize::try_from(varint(&mut page)).expect("a length");
        let (mut family, rest) = page.split_at(length);
        page = rest;
        let mut name = None;
        while !family.is_empty() {
            let key = varint(&mut family);
            match (key >> 3, key & 7) {
                (1, 2) => name = Some(bytes(&mut family)),
                (2 | 5, 2) => drop(std::str::from_utf8(bytes(&mut family)).expect("UTF-8")),
                (3, 0) => assert!(varint(&mut family) <= 5),
                (4, 2) => message(bytes(&mut family), 0),
                other => panic!("a family has no field {other:?}"),
            }
        }
        let name = name.expect("a family has a name");
        let name = std::str::from_utf8(name).expect("UTF-8");
        assert!(is_name(name, true), "{name}");
        assert!(names.insert(name.to_owned()), "{name} twice");
    }
}

/// A message whose fields are read by their wire types, within their bounds.
fn message(mut rest: &[u8], depth: usize) {
    assert!(depth < 8);
    while !rest.is_empty() {
        match varint(&mut rest) & 7 {
            0 => drop(varint(&mut rest)),
            1 => rest = rest.get(8..).expect("eight bytes"),
            2 => drop(bytes(&mut rest)),
            5 => rest = rest.get(4..).expect("four bytes"),
            other => panic!("no wire type {other}"),
        }
    }
}

fn bytes<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let length = usize::try_from(varint(rest)).expect("a length");
    let (bytes, after) = rest.split_at(length);
    *rest = after;
    bytes
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut number = 0;
    for place in 0..10 {
        let (first, after) = rest.split_first().expect("a number ends");
        *rest = after;
        number |= u64::from(first & 0x7f) << (7 * place);
        if first & 0x80 == 0 {
            return number;
        }
    }
    panic!("a number of more than ten bytes")
}
