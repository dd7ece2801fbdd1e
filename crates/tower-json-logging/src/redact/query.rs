use std::borrow::Cow;

use super::{REDACTED, is_secret_name};

/// How much of a request's query is logged.
#[derive(Clone, Debug)]
pub struct QueryPolicy(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Omit,
    Raw,
    AllBut(Vec<String>),
    Secrets,
}

/// Names of secrets in queries, beside those of fields: OpenTelemetry's four, and what sign-in and
/// invitations use.
const SECRET: [&str; 12] = [
    "awsaccesskeyid",
    "signature",
    "sig",
    "x-goog-signature",
    "code",
    "state",
    "key",
    "session",
    "sessionid",
    "jwt",
    "auth",
    "invite",
];

impl QueryPolicy {
    /// None of it.
    pub const fn omit() -> Self {
        Self(Kind::Omit)
    }

    /// All of it, as it was sent.
    pub const fn raw() -> Self {
        Self(Kind::Raw)
    }

    /// The names of all parameters, and the values of those called one of `shown`; other values are
    /// `[REDACTED]`. The default, with none shown.
    ///
    /// What has no name, or one that is longer than 64 characters or has others than
    /// `A-Z a-z 0-9 _ - . [ ]`, is `[REDACTED]` as a whole.
    pub fn redact_all_but<I>(shown: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self(Kind::AllBut(shown.into_iter().map(Into::into).collect()))
    }

    /// All of it but the values of parameters known to be secret: those that
    /// [fields](crate::JsonLayer::allow_field) of the same name would be, and `AWSAccessKeyId`, `Signature`,
    /// `sig`, `X-Goog-Signature`, `code`, `state`, `key`, `session`, `sessionid`, `jwt`, `auth`, `invite`,
    /// whatever their case.
    pub const fn redact_secrets() -> Self {
        Self(Kind::Secrets)
    }

    pub(crate) fn apply<'a>(&self, query: &'a str) -> Option<Cow<'a, str>> {
        let is_shown: &dyn Fn(&str) -> bool = match &self.0 {
            Kind::Omit => return None,
            Kind::Raw => return Some(Cow::Borrowed(query)),
            Kind::AllBut(shown) => &|name| shown.iter().any(|other| other == name),
            Kind::Secrets => &|name| {
                let known = SECRET.iter().any(|other| name.eq_ignore_ascii_case(other));
                !known && !is_secret_name(name)
            },
        };
        // Read by most as `&`, and by a few servers still as `;`.
        let parameters = query.split(['&', ';']).map(|parameter| {
            let named = parameter.split_once('=').filter(|(name, _)| is_name(name));
            match named {
                None if parameter.is_empty() => String::new(),
                None => String::from(REDACTED),
                Some((_, "")) => String::from(parameter),
                Some((name, _)) if is_shown(name) => String::from(parameter),
                Some((name, _)) => format!("{name}={REDACTED}"),
            }
        });
        Some(Cow::Owned(parameters.collect::<Vec<_>>().join("&")))
    }
}

/// [`redact_all_but`](Self::redact_all_but), with none shown.
impl Default for QueryPolicy {
    fn default() -> Self {
        Self(Kind::AllBut(Vec::new()))
    }
}

fn is_name(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(policy: &QueryPolicy, query: &str) -> String {
        policy.apply(query).unwrap_or_default().into_owned()
    }

    #[test]
    fn by_default_there_are_names_and_no_values() {
        let policy = QueryPolicy::default();
        let query = "type=mcp&token=hunter2&&flag&=x&a%20b=c&empty=";
        assert_eq!(
            logged(&policy, query),
            "type=[REDACTED]&token=[REDACTED]&&[REDACTED]&[REDACTED]&[REDACTED]&empty="
        );
        assert_eq!(logged(&policy, &"a".repeat(65)), REDACTED);
        assert_eq!(logged(&policy, "a=1;b=2"), "a=[REDACTED]&b=[REDACTED]");
    }

    #[test]
    fn what_was_asked_for_is_shown() {
        let policy = QueryPolicy::redact_all_but(["page", "type"]);
        assert_eq!(
            logged(&policy, "page=2&type=mcp&Page=3&token=x"),
            "page=2&type=mcp&Page=[REDACTED]&token=[REDACTED]"
        );
    }

    #[test]
    fn known_secrets_are_redacted_in_every_case() {
        let policy = QueryPolicy::redact_secrets();
        assert_eq!(
            logged(
                &policy,
                "q=x&SIG=1&Access_Token=2&X-Goog-Signature=3&password=4&design=5"
            ),
            "q=x&SIG=[REDACTED]&Access_Token=[REDACTED]&X-Goog-Signature=[REDACTED]&password=[REDACTED]&design=5"
        );
        // An encoded name would pass for another.
        assert_eq!(logged(&policy, "pass%77ord=4"), REDACTED);
    }

    #[test]
    fn nothing_or_all_is_that() {
        assert_eq!(QueryPolicy::omit().apply("a=b"), None);
        assert_eq!(logged(&QueryPolicy::raw(), "a=b&token=c"), "a=b&token=c");
    }
}
