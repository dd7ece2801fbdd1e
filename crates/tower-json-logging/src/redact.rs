//! Which fields are secret.

use crate::format::keys::{Key, Role};

/// What is written in place of a secret.
pub(crate) const REDACTED: &str = "[REDACTED]";

/// A field is secret if its name is one of these, or ends with one. Without separators.
const SECRET: [&str; 12] = [
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "authorization",
    "cookie",
    "privatekey",
    "credential",
    "credentials",
    "passphrase",
    "bearer",
];

/// The least letters of a secret's name: most names are done with at once.
const SHORTEST: usize = 5;

/// Decides by name which fields are secret, whatever the case and the separators of the name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redact {
    allowed: Vec<String>,
}

impl Redact {
    pub(crate) fn allow(&mut self, name: &str) {
        self.allowed.push(String::from(name));
    }

    pub(crate) fn is_secret(&self, key: Key<'_>) -> bool {
        key.role == Role::Own
            && key.name.len() >= SHORTEST
            && SECRET
                .iter()
                .any(|secret| ends_with(key.name, secret).is_some())
            && !self
                .allowed
                .iter()
                .any(|allowed| is_same(key.name, allowed))
    }
}

/// The letters of a name, from the last to the first.
fn letters(name: &str) -> impl Iterator<Item = u8> {
    let letter = |byte: &u8| !matches!(byte, b'-' | b'_' | b'.');
    let bytes = name.bytes().rev();
    bytes.filter(letter).map(|byte| byte.to_ascii_lowercase())
}

/// What comes before `ending` in `name`, if it ends so.
fn ends_with(name: &str, ending: &str) -> Option<impl Iterator<Item = u8>> {
    let mut letters = letters(name);
    ending
        .bytes()
        .rev()
        .all(|expected| letters.next() == Some(expected))
        .then_some(letters)
}

fn is_same(one: &str, other: &str) -> bool {
    letters(one).eq(letters(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::keys::Origin;

    fn is_secret(redact: &Redact, name: &str) -> bool {
        redact.is_secret(Key::of(name, Origin::Event).unwrap())
    }

    #[test]
    fn names_of_secrets_are_known_in_every_spelling() {
        let redact = Redact::default();
        for name in [
            "password",
            "PASSWORD",
            "user.password",
            "db-passwd",
            "client_secret",
            "accessToken",
            "access_token",
            "API-Key",
            "apiKey",
            "x_api_key",
            "Authorization",
            "proxy-authorization",
            "cookie",
            "set-cookie",
            "private.key",
            "aws_credential",
            "credentials",
            "pass_word",
        ] {
            assert!(is_secret(&redact, name), "{name}");
        }
    }

    #[test]
    fn names_that_only_look_alike_are_not() {
        let redact = Redact::default();
        for name in [
            "max_tokens",
            "token_count",
            "secretary",
            "key",
            "pass",
            "author",
            "monkey",
            "cookies_seen",
            "scan_id",
            "",
        ] {
            assert!(!is_secret(&redact, name), "{name}");
        }
    }

    #[test]
    fn no_name_of_a_secret_is_shorter_than_the_shortest() {
        assert_eq!(SECRET.iter().map(|name| name.len()).min(), Some(SHORTEST));
    }

    #[test]
    fn an_allowed_name_is_written_and_no_other() {
        let mut redact = Redact::default();
        redact.allow("page_token");
        assert!(!is_secret(&redact, "page_token"));
        assert!(!is_secret(&redact, "pageToken"));
        assert!(is_secret(&redact, "next_page_token"));
        assert!(is_secret(&redact, "token"));
    }
}
