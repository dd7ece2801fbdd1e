use std::collections::BTreeSet;

use super::refusal::Refusal;
use crate::Filter;

/// As many names, and as long ones, as a scrape can ask for. A name is compared with each family's.
const MAX_NAMES: usize = 256;
const MAX_LENGTH: usize = 256;

/// What the parameters `name[]` ask for.
pub(super) fn filter(query: Option<&str>) -> Result<Filter, Refusal> {
    // Sorted and without duplicates, so that equal filters are the same render.
    let mut names = BTreeSet::new();
    for (parameter, name) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if parameter != "name[]" {
            continue;
        }
        if name.len() > MAX_LENGTH {
            return Err(Refusal::LongName {
                at_most: MAX_LENGTH,
            });
        }
        names.insert(name.into_owned());
        if names.len() > MAX_NAMES {
            return Err(Refusal::ManyNames { at_most: MAX_NAMES });
        }
    }
    Ok(Filter::new(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded_sorted_and_bounded() {
        for (query, names) in [
            (None, &[][..]),
            (Some(""), &[]),
            (Some("name=a&names[]=b&x"), &[]),
            (Some("name[]=b&name[]=a&name[]=b"), &["a", "b"]),
            (Some("name%5B%5D=a%5Fb+c&debug=1"), &["a_b c"]),
            (Some("name[]=%ff"), &["\u{fffd}"]),
            // Asks for the family without a name, of which there is none.
            (Some("name[]="), &[""]),
        ] {
            let expected = Filter::new(names.iter().copied());
            assert_eq!(filter(query).ok(), Some(expected), "{query:?}");
        }
        let query = |names: usize| {
            let names = (0..names).map(|name| format!("name[]={name}"));
            names.collect::<Vec<_>>().join("&")
        };
        assert!(filter(Some(&query(MAX_NAMES))).is_ok());
        assert!(filter(Some(&query(MAX_NAMES + 1))).is_err());
        let long = "a".repeat(MAX_LENGTH);
        assert!(filter(Some(&format!("name[]={long}"))).is_ok());
        assert!(filter(Some(&format!("name[]={long}a"))).is_err());
    }
}
