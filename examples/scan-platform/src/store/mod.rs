//! Scans in a database, SQLite or PostgreSQL, through sqlx.
//!
//! The statements are the same for both: what sqlx's `Any` can carry (text and whole numbers), with
//! `$1` for values and `ON CONFLICT` for rows that may be there.

mod baselines;
mod keys;
mod queries;
mod queue;
mod scans;
mod schema;
mod url;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use sqlx::{AnyPool, Row as _, any::AnyPoolOptions};
use tokio::sync::watch;
use tower_metrics_exporter::Collector;

pub use self::{
    baselines::Baseline, keys::KeyRecord, queries::specs, queue::Waiting, scans::MAX_LIST,
    url::DatabaseUrl,
};
use self::{
    queries::{Query, timed},
    url::Kind,
};

/// How long a query waits for a connection before it gives an error.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where scans are kept.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    kind: Kind,
    url: DatabaseUrl,
    instance: Arc<str>,
    changed: watch::Sender<()>,
}

impl Store {
    /// A store at `url`, which is not opened yet, for the scans of the platform's instance of this
    /// name.
    ///
    /// # Errors
    ///
    /// If the URL names no known database, or its password cannot be read.
    pub fn new(url: &DatabaseUrl, instance: &str) -> anyhow::Result<Self> {
        let kind = url.kind()?;
        let options = url.options(kind)?;
        sqlx::any::install_default_drivers();
        let pool = AnyPoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT);
        let pool = match kind {
            // An in-memory database is gone with its only connection.
            Kind::Sqlite if url.is_in_memory() => {
                let pool = pool.max_connections(1);
                pool.idle_timeout(None).max_lifetime(None)
            }
            // One connection writes at a time.
            Kind::Sqlite => pool.max_connections(4),
            Kind::Postgres => pool.max_connections(10),
        };
        Ok(Self {
            pool: pool.connect_lazy_with(options),
            kind,
            url: url.clone(),
            instance: instance.into(),
            changed: watch::Sender::new(()),
        })
    }

    /// As [`new`](Self::new), and [opens](Self::open) it.
    ///
    /// # Errors
    ///
    /// See there.
    pub async fn opened(url: &DatabaseUrl, instance: &str) -> anyhow::Result<Self> {
        let store = Self::new(url, instance)?;
        store.open().await?;
        Ok(store)
    }

    /// Opens the database and makes what is missing in it.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached or written.
    pub async fn open(&self) -> anyhow::Result<()> {
        queries::register();
        let url = &self.url;
        let connected = self.pool.acquire().await;
        let mut connection =
            connected.with_context(|| format!("cannot open the database \"{url}\""))?;
        if self.kind == Kind::Sqlite {
            let wal = sqlx::query("PRAGMA journal_mode = WAL");
            let switched = wal.execute(&mut *connection).await;
            switched.with_context(|| format!("cannot prepare the database \"{url}\""))?;
        }
        drop(connection);
        let made = schema::migrator().run(&self.pool).await;
        made.with_context(|| format!("cannot prepare the database \"{url}\""))
    }

    /// What tells of the connections at each scrape.
    pub fn collector(&self) -> impl Collector + use<> {
        queries::collector(self.pool.clone())
    }

    /// Whether the database answers.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub async fn ping(&self) -> sqlx::Result<()> {
        let ping = sqlx::query("SELECT 1").execute(&self.pool);
        timed(Query::Ping, ping).await.map(drop)
    }

    /// Tells of each scan that is written from now on, by this process.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Closes the connections, so that what was written is on disk.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The database and its version.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn version(&self) -> sqlx::Result<String> {
        let query = match self.kind {
            Kind::Sqlite => "SELECT sqlite_version()",
            Kind::Postgres => "SELECT current_setting('server_version')",
        };
        let row = sqlx::query(query).fetch_one(&self.pool).await?;
        let version: String = row.try_get(0)?;
        Ok(format!("{} {version}", self.kind.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{record::ScanRecord, scan::ScanType};

    #[tokio::test]
    async fn a_database_of_the_first_version_is_taken_over_with_its_scans() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scans.db");
        let url = DatabaseUrl::from(format!("sqlite://{}", path.display()));
        let scan = ScanRecord::start(ScanType::Mcp, "a.json");
        // As it was before there were migrations; a record had no drift then.
        let mut record = serde_json::to_value(&scan).unwrap();
        record.as_object_mut().unwrap().remove("drift");
        let old = Store::new(&url, "old").unwrap();
        for statement in [
            "CREATE TABLE scans (id TEXT PRIMARY KEY, type TEXT NOT NULL, status TEXT NOT NULL,
             created_ms BIGINT NOT NULL, record TEXT NOT NULL)",
            "INSERT INTO scans VALUES ($1, 'mcp', 'in_progress', 1, $2)",
        ] {
            let query = sqlx::query(statement)
                .bind(&scan.id)
                .bind(record.to_string());
            query.execute(&old.pool).await.unwrap();
        }
        old.close().await;

        let store = Store::opened(&url, "new").await.unwrap();
        let found = store.get(&scan.id).await.unwrap().unwrap();
        assert_eq!((found.id, found.drift), (scan.id.clone(), None));
        // Nobody's name stands at it.
        let ended = store.end_abandoned("").await.unwrap();
        assert_eq!(ended.len(), 1);
        store.close().await;
        // And a second time there is nothing to do.
        Store::opened(&url, "new").await.unwrap();
    }
}
