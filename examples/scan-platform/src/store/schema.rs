//! The tables, and how they came to be what they are.

use sqlx::{
    SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

/// What has been run once stays as it is: to change a table, add one.
const MIGRATIONS: [(&str, &str); 4] = [
    ("scans", include_str!("../../migrations/1-scans.sql")),
    (
        "instances",
        include_str!("../../migrations/2-instances.sql"),
    ),
    (
        "baselines",
        include_str!("../../migrations/3-baselines.sql"),
    ),
    ("API keys", include_str!("../../migrations/4-api-keys.sql")),
];

/// Runs those that the database has not seen.
pub(super) fn migrator() -> Migrator {
    let migrations = (1..).zip(MIGRATIONS).map(|(version, (description, sql))| {
        let kind = MigrationType::Simple;
        Migration::new(version, description.into(), kind, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}
