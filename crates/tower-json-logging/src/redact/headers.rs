use http::{HeaderName, HeaderValue};

/// Headers that carry credentials, whatever was asked for.
const CREDENTIALS: [&str; 13] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
    "x-xsrf-token",
    "x-amz-security-token",
    "x-goog-iam-authorization-token",
    "x-forwarded-client-cert",
    "authentication-info",
    "proxy-authentication-info",
];

/// Whether the value is not to be seen: by the header's name, or because it was marked as sensitive.
pub(crate) fn is_credential(name: &HeaderName, value: &HeaderValue) -> bool {
    let name = name.as_str();
    let ends = |ending| name.ends_with(ending);
    value.is_sensitive()
        || CREDENTIALS.contains(&name)
        || [
            "-token",
            "-secret",
            "-key",
            "-password",
            "-credential",
            "-cookie",
        ]
        .into_iter()
        .any(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_known_by_name_and_by_mark() {
        let plain = HeaderValue::from_static("x");
        let is = |name: &'static str| is_credential(&HeaderName::from_static(name), &plain);
        for name in [
            "authorization",
            "cookie",
            "x-vault-token",
            "stripe-secret",
            "my-api-key",
        ] {
            assert!(is(name), "{name}");
        }
        for name in [
            "accept",
            "content-type",
            "x-request-id",
            "sec-websocket-protocol",
        ] {
            assert!(!is(name), "{name}");
        }
        let mut marked = plain.clone();
        marked.set_sensitive(true);
        assert!(is_credential(&HeaderName::from_static("accept"), &marked));
    }
}
