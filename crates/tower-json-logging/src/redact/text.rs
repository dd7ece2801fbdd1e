//! Credentials within texts.

use std::borrow::Cow;

use super::{REDACTED, is_secret_name};

/// Beginnings that only tokens of some issuer have.
const PREFIXES: [&str; 16] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xapp-",
    "AKIA",
    "ASIA",
    "sk-",
    "sk_live_",
    "hf_",
];

/// Least characters of a token after its prefix.
const LEAST_TOKEN: usize = 12;

/// The text without the credentials in it.
///
/// It is read once, from word to word, so that the time it takes grows with its length and no faster.
pub(crate) fn redact_text(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    // Up to where the text is in `out`.
    let mut done = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        if let Some((skip, len)) = credential(rest, text.get(..at).unwrap_or_default()) {
            out.push_str(text.get(done..at + skip).unwrap_or_default());
            out.push_str(REDACTED);
            done = at + skip + len;
            at = done;
        } else {
            at += step(rest);
        }
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

/// How far the next place is where a credential may begin.
fn step(rest: &str) -> usize {
    let word = word(rest).len();
    if word > 0 {
        return word;
    }
    rest.chars().next().map_or(1, char::len_utf8)
}

/// Where in `rest`, which begins at a word, and how long a credential is; `before` is what comes before.
fn credential(rest: &str, before: &str) -> Option<(usize, usize)> {
    if let Some(after) = rest.strip_prefix("://") {
        return userinfo(after).map(|len| ("://".len(), len));
    }
    if rest.starts_with("-----BEGIN ") {
        return private_key(rest).map(|len| (0, len));
    }
    if before.ends_with(is_of_word) {
        return None;
    }
    let word = word(rest);
    if word.is_empty() {
        return None;
    }
    if word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic") {
        let after = rest.get(word.len()..)?;
        let spaces = after.len() - after.trim_start_matches([' ', '\t']).len();
        let token = token(after.get(spaces..)?);
        // "basic auth" is no credential; its token is a longer word, or has what words have not.
        let is_token = token.len() >= 16 || token.bytes().any(|byte| !byte.is_ascii_lowercase());
        return (spaces > 0 && !token.is_empty() && is_token)
            .then_some((word.len() + spaces, token.len()));
    }
    let has_prefix = |prefix: &str| {
        let rest = word.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.len() >= LEAST_TOKEN)
    };
    if is_web_token(rest, word) || PREFIXES.into_iter().any(has_prefix) {
        return Some((0, token(rest).len()));
    }
    if is_secret_name(word) {
        return assigned(rest.get(word.len()..)?).map(|(skip, len)| (word.len() + skip, len));
    }
    None
}

/// The user and password that an address begins with.
fn userinfo(address: &str) -> Option<usize> {
    let end = address.find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '<'));
    let authority = address.get(..end.unwrap_or(address.len()))?;
    // A password may have a `@` of its own.
    authority.rfind('@').filter(|len| *len > 0)
}

fn private_key(text: &str) -> Option<usize> {
    let label = text.strip_prefix("-----BEGIN ")?;
    let label_end = label.find(|c: char| !c.is_ascii_uppercase() && c != ' ')?;
    let (label, rest) = label.split_at_checked(label_end)?;
    if !label.ends_with("PRIVATE KEY") || !rest.starts_with("-----") {
        return None;
    }
    // One that was cut goes to the end.
    let end = text.find("-----END ");
    let end = end.and_then(|end| {
        let rest = text.get(end + "-----END ".len()..)?;
        Some(end + "-----END ".len() + rest.find("-----")? + "-----".len())
    });
    Some(end.unwrap_or(text.len()))
}

/// Parts of base64url, the first of which begins as a JSON object does.
fn is_web_token(text: &str, first: &str) -> bool {
    let next = || text.get(first.len()..)?.strip_prefix('.').map(word);
    first.len() > 3 && first.starts_with("eyJ") && next().is_some_and(|next| next.len() > 3)
}

/// What is assigned: `=value`, `: value`, `": "value"`, and where in the text.
fn assigned(text: &str) -> Option<(usize, usize)> {
    let mut rest = text.trim_start_matches(['"', '\'', '\\']);
    rest = rest.trim_start_matches(' ');
    rest = rest
        .strip_prefix("=>")
        .or_else(|| rest.strip_prefix([':', '=']))?;
    rest = rest.trim_start_matches([' ', '\\']);
    // Of `Some("value")` and `Secret("value")` also what is inside.
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (rest, end) = if let Some(quote) = quote {
        let inside = rest.get(1..)?;
        (inside, inside.find(quote).unwrap_or(inside.len()))
    } else {
        let is_end = |c: char| c.is_whitespace() || matches!(c, '&' | ',' | ';' | '}' | ']');
        (rest, rest.find(is_end).unwrap_or(rest.len()))
    };
    // `Authorization: Bearer …` is two words.
    let lower = rest.get(..7).unwrap_or_default().to_ascii_lowercase();
    let end = if quote.is_none() && (lower.starts_with("bearer ") || lower.starts_with("basic ")) {
        let scheme = end + 1;
        scheme + token(rest.get(scheme..)?).len()
    } else {
        end
    };
    (end > 0).then_some((text.len() - rest.len(), end))
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// The word that the text begins with.
fn word(text: &str) -> &str {
    let end = text.find(|c| !is_of_word(c)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// The token that the text begins with: RFC 6750's `b64token`, and what issuers use.
fn token(text: &str) -> &str {
    let is_of_token =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '~' | '+' | '/' | '=');
    let end = text.find(|c| !is_of_token(c)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_in_their_usual_forms() {
        for (text, expected) in [
            (
                "connect to postgres://scanner:hunter2@db:5432/scans failed",
                "connect to postgres://[REDACTED]@db:5432/scans failed",
            ),
            ("https://tok@host/a@b", "https://[REDACTED]@host/a@b"),
            ("redis://:p@ss@host", "redis://[REDACTED]@host"),
            (
                "Authorization: Bearer abc.def-1",
                "Authorization: [REDACTED]",
            ),
            ("sent bearer ABC123", "sent bearer [REDACTED]"),
            ("sent Basic aHVudGVyMg==", "sent Basic [REDACTED]"),
            (
                "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln is old",
                "token [REDACTED] is old",
            ),
            ("AKIAIOSFODNN7EXAMPLE denied", "[REDACTED] denied"),
            ("with ghp_0123456789abcdefghij.", "with [REDACTED]"),
            ("password=hunter2&user=x", "password=[REDACTED]&user=x"),
            (
                "db_password = hunter2, next",
                "db_password = [REDACTED], next",
            ),
            (
                r#"{"api_key": "hunter2", "a": 1}"#,
                r#"{"api_key": "[REDACTED]", "a": 1}"#,
            ),
            (
                r#"Config { secret: "hunter2" }"#,
                r#"Config { secret: "[REDACTED]" }"#,
            ),
            (r#"{\"token\":\"hunter2\"}"#, r#"{\"token\":\"[REDACTED]"}"#),
            (
                "key:\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nrest",
                "key:\n[REDACTED]\nrest",
            ),
            ("-----BEGIN PRIVATE KEY-----\nMIIE", "[REDACTED]"),
            ("cookie: sid=hunter2; b=c", "cookie: [REDACTED]; b=c"),
        ] {
            assert_eq!(redact_text(text), expected, "{text}");
            assert!(!redact_text(text).contains("hunter2"));
        }
    }

    #[test]
    fn other_texts_stay_as_they_are() {
        for text in [
            "",
            "basic auth is required",
            "the token is missing",
            "max_tokens=7",
            "https://host/path?a=b@c",
            "see user@example.com",
            "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
            "task-force: sk-x",
            "eyJ is how a token begins",
            "password",
            "password=",
            "Größe: 3 µs — «naïve» \u{2028}",
        ] {
            assert_eq!(redact_text(text), text);
            assert!(matches!(redact_text(text), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn long_texts_take_time_in_proportion() {
        // Would take hours if each word were searched to the end.
        for part in [
            "-----BEGIN ",
            "password",
            "a://",
            "eyJ.",
            "bearer ",
            "x=\"",
            "a@",
        ] {
            let text = part.repeat(200_000);
            assert!(redact_text(&text).len() <= text.len() * 2);
        }
    }
}
