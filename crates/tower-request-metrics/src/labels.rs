use http::{Method, StatusCode};
use metrics::SharedString;

use crate::names::OTHER;

/// The methods of RFC 9110, `PATCH` (RFC 5789) and `QUERY`; whatever else a client thinks of is one.
pub(crate) fn method(method: &Method) -> &'static str {
    match *method {
        Method::CONNECT => "CONNECT",
        Method::DELETE => "DELETE",
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::TRACE => "TRACE",
        _ if method.as_str() == "QUERY" => "QUERY",
        _ => OTHER,
    }
}

/// Three digits. The service chooses the status, so that there is no bound to keep.
pub(crate) fn status(status: StatusCode) -> SharedString {
    SharedString::from_owned(status.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_methods_are_themselves() {
        for name in [
            "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE",
        ] {
            assert_eq!(method(&Method::from_bytes(name.as_bytes()).unwrap()), name);
        }
    }

    #[test]
    fn an_invented_or_misspelt_method_is_other() {
        for name in ["get", "PURGE", "GETT", "X"] {
            assert_eq!(method(&Method::from_bytes(name.as_bytes()).unwrap()), OTHER);
        }
    }
}
