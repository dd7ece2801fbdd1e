//! The scans themselves.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use sqlx::{Row as _, any::AnyRow};

use super::{
    Store,
    queries::{Query, timed},
};
use crate::record::{ScanRecord, ScanStatus};

/// A list shows at most this many scans.
pub const MAX_LIST: u32 = 500;

impl Store {
    /// Writes a scan that this instance starts.
    ///
    /// # Errors
    ///
    /// If the database does not take it.
    pub async fn start(&self, scan: &ScanRecord) -> anyhow::Result<()> {
        let insert = sqlx::query(
            "INSERT INTO scans (id, type, status, created_ms, record, owner)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&scan.id)
        .bind(scan.scan_type.as_str())
        .bind(scan.status.as_str())
        .bind(millis(scan.created_at))
        .bind(serde_json::to_string(scan)?)
        .bind(&*self.instance)
        .execute(&self.pool);
        timed(Query::ScanStart, insert).await?;
        self.changed.send_replace(());
        Ok(())
    }

    /// Writes the end of a scan that this instance started. Gives whether it was still this
    /// instance's to end: another may have given it up for dead.
    ///
    /// # Errors
    ///
    /// If the database does not take it.
    pub async fn end(&self, scan: &ScanRecord) -> anyhow::Result<bool> {
        self.end_of(scan, &self.instance).await
    }

    pub(super) async fn end_of(&self, scan: &ScanRecord, owner: &str) -> anyhow::Result<bool> {
        let update = sqlx::query(
            "UPDATE scans SET status = $1, record = $2, owner = ''
             WHERE id = $3 AND status = $4 AND owner = $5",
        )
        .bind(scan.status.as_str())
        .bind(serde_json::to_string(scan)?)
        .bind(&scan.id)
        .bind(ScanStatus::InProgress.as_str())
        .bind(owner)
        .execute(&self.pool);
        let ended = timed(Query::ScanEnd, update).await?.rows_affected() > 0;
        self.changed.send_replace(());
        Ok(ended)
    }

    /// The scan with this id.
    ///
    /// # Errors
    ///
    /// If the database does not answer, or what it holds is no scan.
    pub async fn get(&self, id: &str) -> anyhow::Result<Option<ScanRecord>> {
        let row = sqlx::query("SELECT record FROM scans WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.pool);
        let row = timed(Query::ScanGet, row).await?;
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
                .fetch_all(&self.pool);
        let rows = timed(Query::ScanList, rows).await?;
        rows.iter().map(record).collect()
    }

    /// Writes, reads and deletes a scan.
    ///
    /// # Errors
    ///
    /// If any of it fails.
    pub async fn try_out(&self) -> anyhow::Result<()> {
        let scan = ScanRecord {
            created_at: UNIX_EPOCH,
            ..ScanRecord::start(crate::scan::ScanType::Mcp, "doctor")
        };
        self.start(&scan).await?;
        let found = self.get(&scan.id).await?;
        sqlx::query("DELETE FROM scans WHERE id = $1")
            .bind(&scan.id)
            .execute(&self.pool)
            .await?;
        ensure!(found.is_some(), "a scan that was written cannot be read");
        Ok(())
    }
}

pub(super) fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn record(row: &AnyRow) -> anyhow::Result<ScanRecord> {
    let text: String = row.try_get(0)?;
    serde_json::from_str(&text).context("the database holds a record that is no scan")
}
