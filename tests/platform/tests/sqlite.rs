//! The platform on SQLite, which it keeps scans in by default.

struct Sqlite(tempfile::TempDir);

impl Sqlite {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn url(&self) -> String {
        format!("sqlite://{}/scans.db", self.0.path().display())
    }
}

platform_tests::cases!(Sqlite::new());
