//! Scans in a database, through sqlx.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use sqlx::{AnyPool, Row as _, any::AnyPoolOptions, any::AnyRow};
use tokio::sync::watch;

use crate::record::{Failure, ScanRecord, ScanStatus};

/// A list shows at most this many scans.
pub const MAX_LIST: u32 = 500;

/// Where scans are kept.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    changed: watch::Sender<()>,
}

const CREATE: &str = "CREATE TABLE IF NOT EXISTS scans (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    status TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    record TEXT NOT NULL
)";

impl Store {
    /// Opens the database at `url` and makes what is missing in it.
    ///
    /// # Errors
    ///
    /// If the URL names no known database, or the database cannot be reached or written.
    pub async fn open(url: &str) -> anyhow::Result<Self> {
        ensure!(
            url.starts_with("sqlite:"),
            "--database-url {url:?} is not a database this program speaks: write sqlite://FILE, for \
             example sqlite://scans.db, or sqlite::memory: to keep nothing"
        );
        sqlx::any::install_default_drivers();
        // One connection writes at a time in SQLite, and an in-memory database lives in one only.
        let in_memory = url.contains(":memory:");
        let url = if in_memory || url.contains("mode=") {
            url.to_owned()
        } else {
            format!("{url}{}mode=rwc", if url.contains('?') { '&' } else { '?' })
        };
        let pool = AnyPoolOptions::new()
            .max_connections(if in_memory { 1 } else { 4 })
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_secs(10))
            .connect(&url)
            .await
            .with_context(|| format!("cannot open the database {url:?}"))?;
        for statement in ["PRAGMA journal_mode = WAL", CREATE] {
            sqlx::query(statement)
                .execute(&pool)
                .await
                .with_context(|| format!("cannot prepare the database {url:?}"))?;
        }
        Ok(Self {
            pool,
            changed: watch::Sender::new(()),
        })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub async fn ping(&self) -> sqlx::Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map(drop)
    }

    /// Tells of each scan that is written from now on, by this process.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Writes a scan, new or changed.
    ///
    /// # Errors
    ///
    /// If the database does not take it.
    pub async fn put(&self, scan: &ScanRecord) -> anyhow::Result<()> {
        let created = scan
            .created_at
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        sqlx::query(
            "INSERT INTO scans (id, type, status, created_ms, record) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (id) DO UPDATE SET status = excluded.status, record = excluded.record",
        )
        .bind(&scan.id)
        .bind(scan.scan_type.as_str())
        .bind(scan.status.as_str())
        .bind(i64::try_from(created.as_millis()).unwrap_or(i64::MAX))
        .bind(serde_json::to_string(scan)?)
        .execute(&self.pool)
        .await?;
        self.changed.send_replace(());
        Ok(())
    }

    /// The scan with this id.
    ///
    /// # Errors
    ///
    /// If the database does not answer, or what it holds is no scan.
    pub async fn get(&self, id: &str) -> anyhow::Result<Option<ScanRecord>> {
        let row = sqlx::query("SELECT record FROM scans WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(record).transpose()
    }

    /// The latest scans, at most [`MAX_LIST`], the newest first.
    ///
    /// # Errors
    ///
    /// If the database does not answer, or what it holds is no scan.
    pub async fn list(&self, limit: u32) -> anyhow::Result<Vec<ScanRecord>> {
        let rows =
            sqlx::query("SELECT record FROM scans ORDER BY created_ms DESC, id DESC LIMIT $1")
                .bind(i64::from(limit.min(MAX_LIST)))
                .fetch_all(&self.pool)
                .await?;
        rows.iter().map(record).collect()
    }

    /// Ends the scans that an earlier process left running: it must have died. Gives their number.
    ///
    /// # Errors
    ///
    /// If the database does not answer, or what it holds is no scan.
    pub async fn end_abandoned(&self) -> anyhow::Result<usize> {
        let rows = sqlx::query("SELECT record FROM scans WHERE status = $1")
            .bind(ScanStatus::InProgress.as_str())
            .fetch_all(&self.pool)
            .await?;
        for row in &rows {
            let mut scan = record(row)?;
            scan.status = ScanStatus::Failed;
            scan.error = Some(Failure {
                code: String::from("abandoned"),
                message: String::from("the process that ran this scan died"),
            });
            self.put(&scan).await?;
        }
        Ok(rows.len())
    }

    /// Closes the connections, so that what was written is on disk.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The database's version.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn version(&self) -> sqlx::Result<String> {
        sqlx::query("SELECT sqlite_version()")
            .fetch_one(&self.pool)
            .await?
            .try_get(0)
    }

    /// Writes, reads and deletes a scan.
    ///
    /// # Errors
    ///
    /// If any of it fails.
    pub async fn try_out(&self) -> anyhow::Result<()> {
        let scan = ScanRecord {
            created_at: SystemTime::UNIX_EPOCH,
            ..ScanRecord::start(crate::scan::ScanType::Mcp, "doctor")
        };
        self.put(&scan).await?;
        let found = self.get(&scan.id).await?;
        sqlx::query("DELETE FROM scans WHERE id = $1")
            .bind(&scan.id)
            .execute(&self.pool)
            .await?;
        ensure!(found.is_some(), "a scan that was written cannot be read");
        Ok(())
    }
}

fn record(row: &AnyRow) -> anyhow::Result<ScanRecord> {
    let text: String = row.try_get(0)?;
    serde_json::from_str(&text).context("the database holds a record that is no scan")
}
