//! Where the database is, without telling who may use it.

use std::{fmt, path::PathBuf, str::FromStr as _};

use anyhow::{Context as _, bail};
use sqlx::any::AnyConnectOptions;

/// The address of a database. What it shows of itself has no password.
#[derive(Clone)]
pub struct DatabaseUrl {
    text: String,
    password_file: Option<PathBuf>,
}

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file of this machine, or nothing but memory.
    Sqlite,
    /// A server.
    Postgres,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

impl DatabaseUrl {
    /// An SQLite database that is gone with the process.
    pub fn in_memory() -> Self {
        Self::from(String::from("sqlite::memory:"))
    }

    /// Takes the password from this file, if there is one, when the database is opened.
    #[must_use]
    pub fn password_file(mut self, file: Option<PathBuf>) -> Self {
        self.password_file = file;
        self
    }

    /// All of it, the password included: for who connects, never for a log.
    pub fn expose(&self) -> &str {
        &self.text
    }

    pub(super) fn kind(&self) -> anyhow::Result<Kind> {
        let scheme = self.text.split(':').next().unwrap_or_default();
        match scheme {
            "sqlite" => Ok(Kind::Sqlite),
            "postgres" | "postgresql" => Ok(Kind::Postgres),
            _ => bail!(
                "--database-url \"{self}\" is not a database this program speaks: write sqlite://FILE, \
                 for example sqlite://scans.db, sqlite::memory: to keep nothing, or \
                 postgres://USER@HOST/DATABASE"
            ),
        }
    }

    pub(super) fn is_in_memory(&self) -> bool {
        self.text.contains(":memory:")
    }

    /// What sqlx makes of it.
    pub(super) fn options(&self, kind: Kind) -> anyhow::Result<AnyConnectOptions> {
        let mut options = AnyConnectOptions::from_str(&self.text)
            .with_context(|| format!("--database-url \"{self}\" cannot be read"))?;
        let url = &mut options.database_url;
        // SQLite makes the file if there is none.
        let says_mode = url.query_pairs().any(|(name, _)| name == "mode");
        if kind == Kind::Sqlite && !self.is_in_memory() && !says_mode {
            url.query_pairs_mut().append_pair("mode", "rwc");
        }
        if let Some(file) = &self.password_file {
            let password = std::fs::read_to_string(file).with_context(|| {
                format!(
                    "cannot read the database's password from {}",
                    file.display()
                )
            })?;
            let password = password.trim_end_matches(['\r', '\n']);
            if kind == Kind::Sqlite || url.set_password(Some(password)).is_err() {
                bail!(
                    "--database-url \"{self}\" has no place for a password: leave out \
                     --database-password-file, or write postgres://USER@HOST/DATABASE"
                );
            }
        }
        Ok(options)
    }
}

impl From<String> for DatabaseUrl {
    fn from(text: String) -> Self {
        Self {
            text,
            password_file: None,
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_credentials(&self.text))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// What may be told of an address, also of one that is none: who writes a password wrongly does not
/// want to read it in a log. Options may be passwords, too.
fn without_credentials(text: &str) -> String {
    if text.starts_with("sqlite:") {
        return text.to_owned();
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return match text.split_once(':') {
            Some((scheme, _)) => format!("{scheme}:…"),
            None => String::from("…"),
        };
    };
    let told = rest.split(['?', '#']).next().unwrap_or_default();
    match told.rsplit_once('@') {
        Some((user, place)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{place}")
        }
        // The end of a password with `?` in it.
        None if rest.contains('@') => format!("{scheme}://…"),
        None => format!("{scheme}://{told}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_has_a_password() {
        for (text, told) in [
            ("sqlite://a/b.db?mode=ro", "sqlite://a/b.db?mode=ro"),
            ("postgres://db/scans", "postgres://db/scans"),
            ("postgres://me@db:1/scans", "postgres://me@db:1/scans"),
            (
                "postgres://me:secret@db:1/scans",
                "postgres://me@db:1/scans",
            ),
            ("postgres://:secret@db/scans", "postgres://@db/scans"),
            ("postgres://me:sec@ret@db/scans", "postgres://me@db/scans"),
            ("postgres://me:secr/et@db/scans", "postgres://me@db/scans"),
            ("postgres://me:se?cret@db/scans", "postgres://…"),
            (
                "postgres://db/scans?user=me&password=secret",
                "postgres://db/scans",
            ),
            ("postgres://db/scans?password=sec@ret", "postgres://…"),
            ("mysql://me:secret@db", "mysql://me@db"),
            ("postgres:me:secret", "postgres:…"),
            ("secret", "…"),
        ] {
            let url = DatabaseUrl::from(text.to_owned());
            assert_eq!(url.to_string(), told);
            assert_eq!(format!("{url:?}"), format!("DatabaseUrl({told})"));
        }
    }

    #[test]
    fn a_password_from_a_file_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "a b@c:d/e?%20\n").unwrap();
        let url = DatabaseUrl::from(String::from("postgres://me@db/scans"));
        let url = url.password_file(Some(file.clone()));
        let options = url.options(Kind::Postgres).unwrap();
        let password = options.database_url.password().unwrap();
        assert_eq!(password, "a%20b%40c%3Ad%2Fe%3F%20");

        let url = DatabaseUrl::in_memory().password_file(Some(file));
        let error = url.options(Kind::Sqlite).unwrap_err().to_string();
        assert!(error.contains("no place for a password"), "{error}");
    }

    #[test]
    fn sqlite_makes_its_file_unless_told_otherwise() {
        let query = |text: &str| {
            let url = DatabaseUrl::from(text.to_owned());
            let options = url.options(Kind::Sqlite).unwrap();
            options.database_url.query().map(str::to_owned)
        };
        assert_eq!(query("sqlite://scans.db").as_deref(), Some("mode=rwc"));
        assert_eq!(
            query("sqlite://scans.db?mode=ro").as_deref(),
            Some("mode=ro")
        );
        assert_eq!(query("sqlite::memory:"), None);
    }

    #[test]
    fn a_database_that_is_not_spoken_is_refused_with_those_that_are() {
        let url = DatabaseUrl::from(String::from("mysql://me:secret@db"));
        let error = url.kind().unwrap_err().to_string();
        assert!(
            error.contains("mysql://me@db") && error.contains("postgres://"),
            "{error}"
        );
        assert!(!error.contains("secret"), "{error}");
    }
}
