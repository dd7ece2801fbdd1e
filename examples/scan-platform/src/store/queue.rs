//! Scans that wait for their turn, and who runs them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use sqlx::Row as _;

use super::{
    Store,
    queries::{Query, timed},
    scans::{millis, record},
};
use crate::record::{Failure, ScanRecord, ScanStatus};

/// How the scans of one type wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The type.
    pub scan_type: String,
    /// How many wait.
    pub depth: u64,
    /// When the oldest of them was asked for.
    pub oldest: SystemTime,
}

impl Store {
    /// Writes a scan that is to wait, with its ticket, unless `most` wait already. Gives whether it was
    /// written.
    ///
    /// # Errors
    ///
    /// If the database does not take it.
    pub async fn enqueue(
        &self,
        scan: &ScanRecord,
        ticket: &str,
        most: u32,
    ) -> anyhow::Result<bool> {
        let insert = sqlx::query(
            "INSERT INTO scans (id, type, status, created_ms, record, ticket)
             SELECT $1, $2, $3, CAST($4 AS BIGINT), $5, $6
             WHERE (SELECT COUNT(*) FROM scans WHERE status = $7) < CAST($8 AS BIGINT)",
        )
        .bind(&scan.id)
        .bind(scan.scan_type.as_str())
        .bind(ScanStatus::Queued.as_str())
        .bind(millis(scan.created_at))
        .bind(serde_json::to_string(scan)?)
        .bind(ticket)
        .bind(ScanStatus::Queued.as_str())
        .bind(i64::from(most))
        .execute(&self.pool);
        let written = timed(Query::QueuePush, insert).await?.rows_affected() > 0;
        self.changed.send_replace(());
        Ok(written)
    }

    /// Takes the scan that has waited longest, for this instance to run, with its ticket.
    ///
    /// # Errors
    ///
    /// If the database does not answer, or what it holds is no scan.
    pub async fn claim(&self) -> anyhow::Result<Option<(ScanRecord, String)>> {
        timed(Query::QueueClaim, self.try_claim()).await
    }

    async fn try_claim(&self) -> anyhow::Result<Option<(ScanRecord, String)>> {
        loop {
            let first = sqlx::query(
                "SELECT record, ticket FROM scans WHERE status = $1
                 ORDER BY created_ms, id LIMIT 1",
            )
            .bind(ScanStatus::Queued.as_str())
            .fetch_optional(&self.pool)
            .await?;
            let Some(row) = first else {
                return Ok(None);
            };
            let mut scan = record(&row)?;
            scan.status = ScanStatus::InProgress;
            let claimed = sqlx::query(
                "UPDATE scans SET status = $1, record = $2, owner = $3
                 WHERE id = $4 AND status = $5",
            )
            .bind(scan.status.as_str())
            .bind(serde_json::to_string(&scan)?)
            .bind(&*self.instance)
            .bind(&scan.id)
            .bind(ScanStatus::Queued.as_str())
            .execute(&self.pool)
            .await?;
            // Another instance may have been faster.
            if claimed.rows_affected() > 0 {
                self.changed.send_replace(());
                return Ok(Some((scan, row.try_get(1)?)));
            }
        }
    }

    /// Lets a scan that this instance took wait again, with a new ticket. Gives whether it was still its
    /// to give.
    ///
    /// # Errors
    ///
    /// If the database does not take it.
    pub async fn give_back(&self, scan: &ScanRecord, ticket: &str) -> anyhow::Result<bool> {
        let update = sqlx::query(
            "UPDATE scans SET status = $1, record = $2, ticket = $3, owner = ''
             WHERE id = $4 AND status = $5 AND owner = $6",
        )
        .bind(scan.status.as_str())
        .bind(serde_json::to_string(scan)?)
        .bind(ticket)
        .bind(&scan.id)
        .bind(ScanStatus::InProgress.as_str())
        .bind(&*self.instance)
        .execute(&self.pool);
        let given = timed(Query::QueueGiveBack, update).await?.rows_affected() > 0;
        self.changed.send_replace(());
        Ok(given)
    }

    /// How many scans wait, of each type of which some do.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn waiting(&self) -> anyhow::Result<Vec<Waiting>> {
        let rows = sqlx::query(
            "SELECT type, COUNT(*), MIN(created_ms) FROM scans WHERE status = $1 GROUP BY type",
        )
        .bind(ScanStatus::Queued.as_str())
        .fetch_all(&self.pool);
        let rows = timed(Query::QueueDepth, rows).await?;
        let waiting = rows.iter().map(|row| {
            let (depth, oldest): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
            let oldest = Duration::from_millis(u64::try_from(oldest).unwrap_or(0));
            Ok(Waiting {
                scan_type: row.try_get(0)?,
                depth: u64::try_from(depth).unwrap_or(0),
                oldest: UNIX_EPOCH + oldest,
            })
        });
        waiting.collect()
    }

    /// Says that this instance lives.
    ///
    /// # Errors
    ///
    /// If the database does not take it.
    pub async fn beat(&self) -> anyhow::Result<()> {
        let beat = sqlx::query(
            "INSERT INTO instances (name, seen_ms) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET seen_ms = excluded.seen_ms",
        )
        .bind(&*self.instance)
        .bind(millis(SystemTime::now()))
        .execute(&self.pool);
        timed(Query::Heartbeat, beat).await?;
        Ok(())
    }

    /// The instances that have said nothing for so long, this one left out.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn silent_for(&self, time: Duration) -> anyhow::Result<Vec<String>> {
        let since = SystemTime::now().checked_sub(time).unwrap_or(UNIX_EPOCH);
        let rows = sqlx::query("SELECT name FROM instances WHERE seen_ms < $1 AND name <> $2")
            .bind(millis(since))
            .bind(&*self.instance)
            .fetch_all(&self.pool);
        let rows = timed(Query::Abandoned, rows).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Forgets an instance whose scans have ended.
    ///
    /// # Errors
    ///
    /// If the database does not take it.
    pub async fn forget(&self, instance: &str) -> anyhow::Result<()> {
        let delete = sqlx::query("DELETE FROM instances WHERE name = $1")
            .bind(instance)
            .execute(&self.pool);
        timed(Query::Heartbeat, delete).await?;
        Ok(())
    }

    /// Ends the scans that this instance left running: it must have died. Gives those that it ended; no
    /// other instance will give them again.
    ///
    /// # Errors
    ///
    /// If the database does not answer, or what it holds is no scan.
    pub async fn end_abandoned(&self, instance: &str) -> anyhow::Result<Vec<ScanRecord>> {
        let rows = sqlx::query("SELECT record FROM scans WHERE status = $1 AND owner = $2")
            .bind(ScanStatus::InProgress.as_str())
            .bind(instance)
            .fetch_all(&self.pool);
        let mut ended = Vec::new();
        for row in &timed(Query::Abandoned, rows).await? {
            let mut scan = record(row).context("cannot end an abandoned scan")?;
            scan.status = ScanStatus::Failed;
            scan.error = Some(Failure {
                code: String::from("abandoned"),
                message: String::from("the process that ran this scan died"),
            });
            if self.end_of(&scan, instance).await? {
                ended.push(scan);
            }
        }
        Ok(ended)
    }

    /// This instance's name.
    pub fn instance(&self) -> &str {
        &self.instance
    }
}
