#![expect(
    clippy::inline_always,
    reason = "of what every request takes, parts that are called pass by memory what else stays in registers"
)]

use http::Method;
use metrics::SharedString;

use crate::{error::Kind, key::Field, names::OTHER};

/// The methods that a label tells apart. What else a client thinks of is one value.
#[derive(Clone, Debug)]
pub(crate) struct Methods {
    /// In place of the standard ones.
    own: Option<Vec<(Method, SharedString)>>,
}

/// RFC 9110's methods, `PATCH` (RFC 5789), and `QUERY`: what OpenTelemetry's conventions know.
const STANDARD: [&str; 10] = [
    "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE", "QUERY",
];

const UNKNOWN: u16 = Field::Method.max();

impl Methods {
    pub(crate) const fn standard() -> Self {
        Self { own: None }
    }

    pub(crate) fn own<M: AsRef<str>>(names: impl IntoIterator<Item = M>) -> Result<Self, Kind> {
        let mut own: Vec<(Method, SharedString)> = Vec::new();
        for name in names {
            let name = name.as_ref();
            let method =
                Method::from_bytes(name.as_bytes()).map_err(|_| Kind::Method(name.to_owned()))?;
            if own.iter().all(|(known, _)| *known != method) {
                own.push((method, SharedString::from(name.to_owned())));
            }
        }
        Ok(Self { own: Some(own) })
    }

    /// How many methods are known.
    pub(crate) fn count(&self) -> usize {
        self.own.as_ref().map_or(STANDARD.len(), Vec::len)
    }

    /// A number from 1 for a known method.
    #[inline(always)]
    pub(crate) fn id(&self, method: &Method) -> u16 {
        match &self.own {
            None => standard(method),
            Some(own) => among(own, method),
        }
    }

    pub(crate) fn text(&self, id: u16) -> SharedString {
        let index = usize::from(id).wrapping_sub(1);
        let known = match &self.own {
            None => STANDARD
                .get(index)
                .map(|name| SharedString::const_str(name)),
            Some(own) => own.get(index).map(|(_, name)| name.clone()),
        };
        known.unwrap_or(SharedString::const_str(OTHER))
    }
}

#[inline(never)]
fn among(own: &[(Method, SharedString)], method: &Method) -> u16 {
    let known = own.iter().position(|(known, _)| known == method);
    known
        .and_then(|index| u16::try_from(index + 1).ok())
        .filter(|id| *id < UNKNOWN)
        .unwrap_or(UNKNOWN)
}

#[inline(always)]
fn standard(method: &Method) -> u16 {
    // Without the one that compares text, this is a look-up.
    let usual = match *method {
        Method::GET => 1,
        Method::POST => 2,
        Method::PUT => 3,
        Method::DELETE => 4,
        Method::HEAD => 5,
        Method::OPTIONS => 6,
        Method::PATCH => 7,
        Method::CONNECT => 8,
        Method::TRACE => 9,
        _ => 0,
    };
    if usual > 0 { usual } else { extension(method) }
}

#[cold]
fn extension(method: &Method) -> u16 {
    if method.as_str() == "QUERY" {
        10
    } else {
        UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(methods: &Methods, name: &str) -> String {
        let method = Method::from_bytes(name.as_bytes()).unwrap();
        methods.text(methods.id(&method)).to_string()
    }

    #[test]
    fn standard_methods_are_themselves() {
        for name in STANDARD {
            assert_eq!(said(&Methods::standard(), name), name);
        }
    }

    #[test]
    fn an_invented_or_misspelt_method_is_other() {
        for name in ["get", "PURGE", "GETT", "X"] {
            assert_eq!(said(&Methods::standard(), name), OTHER);
        }
    }

    #[test]
    fn a_list_of_ones_own_replaces_the_standard_one() {
        let methods = Methods::own(["GET", "PURGE", "PURGE"]).unwrap();
        assert_eq!(said(&methods, "PURGE"), "PURGE");
        assert_eq!(said(&methods, "GET"), "GET");
        assert_eq!(said(&methods, "POST"), OTHER);
        assert!(Methods::own(["NO SPACES"]).is_err());
    }
}
