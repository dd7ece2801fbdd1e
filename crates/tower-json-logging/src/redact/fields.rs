//! Which fields are secret.

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
pub(crate) struct Names {
    allowed: Vec<String>,
    secret: Vec<String>,
    search_texts: bool,
}

impl Names {
    pub(crate) fn allow(&mut self, name: &str) {
        self.allowed.push(String::from(name));
    }

    pub(crate) fn add_secret(&mut self, name: &str) {
        let name: String = letters(name).map(char::from).collect();
        self.secret.push(name.chars().rev().collect());
    }

    pub(crate) const fn search_texts(&mut self) {
        self.search_texts = true;
    }

    /// Whether all texts are searched for credentials, and not only errors.
    pub(crate) const fn searches_texts(&self) -> bool {
        self.search_texts
    }

    pub(crate) fn is_secret(&self, name: &str) -> bool {
        let is_added = || {
            let mut added = self.secret.iter();
            added.any(|secret| ends_with(name, secret))
        };
        (is_secret_name(name) || is_added())
            && !self.allowed.iter().any(|allowed| is_same(name, allowed))
    }
}

/// Whether the name is a secret's, by the names that are known.
pub(crate) fn is_secret_name(name: &str) -> bool {
    name.len() >= SHORTEST && SECRET.iter().any(|secret| ends_with(name, secret))
}

/// The letters of a name, from the last to the first.
fn letters(name: &str) -> impl Iterator<Item = u8> {
    let letter = |byte: &u8| !matches!(byte, b'-' | b'_' | b'.');
    let bytes = name.bytes().rev();
    bytes.filter(letter).map(|byte| byte.to_ascii_lowercase())
}

/// Whether the name, without its separators, ends so.
fn ends_with(name: &str, ending: &str) -> bool {
    let mut letters = letters(name);
    let mut ending = ending.bytes().rev();
    ending.all(|expected| letters.next() == Some(expected))
}

fn is_same(one: &str, other: &str) -> bool {
    letters(one).eq(letters(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_secret(names: &Names, name: &str) -> bool {
        names.is_secret(name)
    }

    #[test]
    fn names_of_secrets_are_known_in_every_spelling() {
        let names = Names::default();
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
            assert!(is_secret(&names, name), "{name}");
        }
    }

    #[test]
    fn names_that_only_look_alike_are_not() {
        let names = Names::default();
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
            assert!(!is_secret(&names, name), "{name}");
        }
    }

    #[test]
    fn no_name_of_a_secret_is_shorter_than_the_shortest() {
        assert_eq!(SECRET.iter().map(|name| name.len()).min(), Some(SHORTEST));
    }

    #[test]
    fn an_added_name_is_one_of_a_secret() {
        let mut names = Names::default();
        names.add_secret("s-s_n");
        assert!(is_secret(&names, "ssn"));
        assert!(is_secret(&names, "userSSN"));
        assert!(!is_secret(&names, "ssns"));
    }

    #[test]
    fn an_allowed_name_is_written_and_no_other() {
        let mut names = Names::default();
        names.allow("page_token");
        assert!(!is_secret(&names, "page_token"));
        assert!(!is_secret(&names, "pageToken"));
        assert!(is_secret(&names, "next_page_token"));
        assert!(is_secret(&names, "token"));
    }
}
