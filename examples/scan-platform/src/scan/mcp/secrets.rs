//! `hardcoded-secret`: a configuration is synchronised, shared and committed, and so is what stands in it.

use super::Notes;
use super::node::Node;
use super::server::Server;
use crate::scan::finding::Severity;
use crate::scan::text::clip;

pub(super) fn check(server: Server<'_>, notes: &mut Notes<'_>) {
    check_texts(server.node, server.path, notes);
    // `--api-key value`: the name stands in one argument and the value in the next.
    let arguments = server.arguments();
    for (name, (path, value)) in arguments.iter().zip(arguments.iter().skip(1)) {
        let name = name.1;
        if name.starts_with('-')
            && !name.contains('=')
            && known(value).is_none()
            && !value.starts_with('-')
        {
            generic(name.trim_start_matches('-'), value, path, notes);
        }
    }
}

/// Checks every text below `node`.
pub(super) fn check_texts(node: &Node, path: &str, notes: &mut Notes<'_>) {
    node.texts(path, "", &mut |path, key, text| {
        check_text(path, key, text, notes)
    });
}

fn check_text(path: &str, key: &str, text: &str, notes: &mut Notes<'_>) {
    if let Some((what, secret)) = known(text) {
        let message = format!(
            "{what} in plain text ({}); keep it in the environment or a secret store and revoke this one",
            masked(secret)
        );
        notes.add(Severity::Critical, "hardcoded-secret", path, message);
        return;
    }
    // `KEY=value` in an argument, `?key=value` in an address.
    let mut pairs = text
        .split(['?', '&', ' '])
        .filter_map(|part| part.split_once('='));
    if let Some((name, value)) =
        pairs.find(|(name, value)| is_secret_name(name) && is_secret_value(value))
    {
        generic(name.trim_start_matches('-'), value, path, notes);
        return;
    }
    let value = ["Bearer ", "bearer ", "Basic ", "basic ", "token "]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .unwrap_or(text);
    generic(key, value, path, notes);
}

fn generic(key: &str, value: &str, path: &str, notes: &mut Notes<'_>) {
    if is_secret_name(key) && is_secret_value(value) {
        let message = format!(
            "{:?} looks like a secret in plain text ({}); keep it in the environment or a secret store",
            clip(key, 60),
            masked(value)
        );
        notes.add(Severity::High, "hardcoded-secret", path, message);
    }
}

/// What may be shown of a secret: enough to find it, too little to use it.
fn masked(secret: &str) -> String {
    // Of a short one even four characters are too many.
    let shown = if secret.chars().count() >= 12 { 4 } else { 0 };
    let start: String = secret.chars().take(shown).collect();
    format!(
        "{}…, {} characters",
        clip(&start, 4),
        secret.chars().count()
    )
}

/// How a token looks: prefix, which characters follow, how many at least.
struct Pattern {
    what: &'static str,
    prefix: &'static str,
    body: fn(char) -> bool,
    least: usize,
}

const fn pattern(
    what: &'static str,
    prefix: &'static str,
    body: fn(char) -> bool,
    least: usize,
) -> Pattern {
    Pattern {
        what,
        prefix,
        body,
        least,
    }
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn dashed(c: char) -> bool {
    word(c) || c == '-'
}

fn upper(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit()
}

fn alphanumeric(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

/// Prefixes their issuers gave them so that scanners find them; longer ones before those they begin with.
const PATTERNS: &[Pattern] = &[
    pattern("an AWS access key", "AKIA", upper, 16),
    pattern("a temporary AWS access key", "ASIA", upper, 16),
    pattern("a GitHub token", "github_pat_", word, 22),
    pattern("a GitHub token", "ghp_", alphanumeric, 36),
    pattern("a GitHub token", "gho_", alphanumeric, 36),
    pattern("a GitHub token", "ghs_", alphanumeric, 36),
    pattern("a GitHub token", "ghu_", alphanumeric, 36),
    pattern("a GitLab token", "glpat-", dashed, 20),
    pattern("a Slack token", "xoxb-", dashed, 10),
    pattern("a Slack token", "xoxp-", dashed, 10),
    pattern("a Slack token", "xoxa-", dashed, 10),
    pattern("a Slack token", "xoxr-", dashed, 10),
    pattern("a Slack token", "xoxs-", dashed, 10),
    pattern("an Anthropic key", "sk-ant-", dashed, 20),
    pattern("an OpenAI key", "sk-proj-", dashed, 20),
    pattern("an OpenAI key", "sk-", alphanumeric, 32),
    pattern("a Google key", "AIza", dashed, 35),
    pattern("a Stripe key", "sk_live_", alphanumeric, 16),
    pattern("a Stripe key", "rk_live_", alphanumeric, 16),
    pattern("an npm token", "npm_", alphanumeric, 36),
    pattern("a PyPI token", "pypi-", dashed, 32),
    pattern("a Hugging Face token", "hf_", alphanumeric, 30),
];

/// Places in one text where a prefix is looked at, and how far: a text made of prefixes would take quadratic time.
const MAX_MATCHES: usize = 100;
const MAX_TOKEN: usize = 1024;

/// A secret of known form in `text`: what it is and the secret itself.
fn known(text: &str) -> Option<(&'static str, &str)> {
    if let Some(at) = text.find("-----BEGIN ")
        && text
            .get(at..)
            .is_some_and(|rest| rest.contains("PRIVATE KEY-----"))
    {
        return Some(("a private key", text.get(at..)?));
    }
    for Pattern {
        what,
        prefix,
        body,
        least,
    } in PATTERNS
    {
        for (at, _) in text.match_indices(prefix).take(MAX_MATCHES) {
            // `task-1` does not hold an `sk-1`.
            if text
                .get(..at)
                .and_then(|before| before.chars().next_back())
                .is_some_and(|c| c.is_ascii_alphanumeric())
            {
                continue;
            }
            let rest = text.get(at + prefix.len()..)?;
            let length = rest
                .bytes()
                .take(MAX_TOKEN)
                .take_while(|&byte| body(char::from(byte)))
                .count();
            let token = text.get(at..at + prefix.len() + length)?;
            let varied = rest.get(..length).is_some_and(|body| !is_placeholder(body));
            if length >= *least && varied {
                return Some((what, token));
            }
        }
    }
    json_web_token(text)
        .map(|token| ("a JSON web token", token))
        .or_else(|| userinfo(text).map(|password| ("a password in an address", password)))
}

/// Three dotted parts of base64, the first two of which begin with `{"` in that encoding.
fn json_web_token(text: &str) -> Option<&str> {
    text.split(|c: char| !(dashed(c) || c == '.'))
        .find(|token| {
            let parts: Vec<&str> = token.split('.').collect();
            parts.len() == 3
                && parts
                    .iter()
                    .take(2)
                    .all(|part| part.starts_with("eyJ") && part.len() >= 10)
                && parts.iter().all(|part| part.len() >= 6)
        })
}

/// The password of `scheme://user:password@host`.
fn userinfo(text: &str) -> Option<&str> {
    text.match_indices("://").find_map(|(at, _)| {
        let authority = text
            .get(at + 3..)?
            .split(['/', '?', '#', ' ', '"', '\''])
            .next()?;
        let (user, _) = authority.rsplit_once('@')?;
        let (_, password) = user.split_once(':')?;
        (!password.is_empty() && !is_placeholder(password)).then_some(password)
    })
}

/// Whether `name` promises a secret.
fn is_secret_name(name: &str) -> bool {
    let name: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .collect::<String>()
        .to_ascii_lowercase();
    let says = [
        "token",
        "secret",
        "password",
        "passwd",
        "apikey",
        "accesskey",
        "privatekey",
        "authorization",
        "credential",
        "clientkey",
        "xapikey",
    ];
    // What is about a secret and none itself: its path, its name, its limits.
    let about = [
        "file",
        "path",
        "url",
        "uri",
        "name",
        "id",
        "type",
        "endpoint",
        "limit",
        "maxtokens",
        "count",
        "ttl",
        "env",
    ];
    (says.iter().any(|word| name.contains(word))
        || name == "pat"
        || name == "pwd"
        || name == "auth")
        && !about.iter().any(|end| name.ends_with(end))
}

/// Whether `value` is long and irregular enough to be a secret rather than a word.
fn is_secret_value(value: &str) -> bool {
    let length = value.chars().count();
    if !(8..=4096).contains(&length) || value.contains(char::is_whitespace) || is_placeholder(value)
    {
        return false;
    }
    let bits = entropy(value);
    // Long ones can be hexadecimal (4 bits at most); short ones must look like a password, with digits or signs.
    let mixed = value.chars().any(|c| c.is_ascii_digit())
        || value.chars().any(|c| c.is_ascii_punctuation());
    bits >= 3.0 && (length >= 20 || (mixed && value.chars().any(char::is_alphabetic)))
}

/// Shannon entropy in bits per character.
fn entropy(text: &str) -> f64 {
    let mut counts = std::collections::BTreeMap::<char, u32>::new();
    for c in text.chars() {
        *counts.entry(c).or_default() += 1;
    }
    let total: f64 = counts.values().copied().map(f64::from).sum();
    counts
        .values()
        .map(|&count| f64::from(count) / total)
        .map(|share| -share * share.log2())
        .sum()
}

/// Whether somebody is meant to put a value here, or the client puts one.
fn is_placeholder(value: &str) -> bool {
    let value = value.trim();
    let lower = value.to_ascii_lowercase();
    let marked = value.contains("${")
        || value.contains("{{")
        || value.starts_with('$')
        || (value.starts_with('%') && value.ends_with('%'))
        || (value.starts_with('<') && value.ends_with('>'))
        || (value.starts_with('[') && value.ends_with(']'));
    let says = [
        "your",
        "changeme",
        "change-me",
        "change_me",
        "placeholder",
        "replace",
        "xxx",
        "insert",
        "enter_",
        "todo",
        "redacted",
        "dummy",
        "...",
        "…",
    ];
    let one_character = value.chars().all(|c| value.starts_with(c));
    marked || one_character || says.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issued_tokens_are_known_by_their_form() {
        let body = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8";
        for prefix in [
            "ghp_", "npm_", "sk-", "sk-ant-", "AIza", "hf_", "sk_live_", "glpat-", "xoxb-",
        ] {
            assert!(
                known(&format!("Bearer {prefix}{body}")).is_some(),
                "{prefix}"
            );
        }
        assert!(known("AKIAIOSFODNN7EXAMPLE").is_some());
        assert!(known(&format!("-----BEGIN RSA PRIV{}-----\nMII", "ATE KEY")).is_some());
        assert!(known("postgres://app:hunter2@db.example/x").is_some());
        assert!(known(&format!("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0In0.{body}")).is_some());
    }

    #[test]
    fn words_that_resemble_tokens_are_not() {
        for text in [
            "task-a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
            "sk-short",
            "ghp_YOUR_TOKEN_HERE",
            "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "https://user@host/",
            "postgres://app:${PASSWORD}@db/x",
        ] {
            assert_eq!(known(text), None, "{text}");
        }
    }

    #[test]
    fn generic_secrets_need_a_name_and_an_irregular_value() {
        assert!(
            is_secret_name("GITHUB_TOKEN")
                && is_secret_name("api-key")
                && is_secret_name("X-Api-Key")
        );
        assert!(
            !is_secret_name("TOKEN_FILE")
                && !is_secret_name("MAX_TOKENS_LIMIT")
                && !is_secret_name("KEYBOARD")
        );
        assert!(is_secret_value("q7Zr2pLm9Xv4Tn8K") && is_secret_value("correct-horse-9"));
        for value in [
            "${TOKEN}",
            "$TOKEN",
            "<your-token>",
            "YOUR_API_KEY_HERE",
            "changeme",
            "xxxxxxxxxxxx",
            "true",
            "production",
        ] {
            assert!(!is_secret_value(value), "{value}");
        }
    }

    #[test]
    fn at_most_four_characters_of_a_secret_are_shown() {
        assert_eq!(masked("abcdefghijklmnop"), "abcd…, 16 characters");
        assert_eq!(masked("hunter2"), "…, 7 characters");
    }
}
