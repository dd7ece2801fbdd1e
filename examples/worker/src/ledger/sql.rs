//! The ledger in SQLite and PostgreSQL.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::{AnyPool, Row as _, any::AnyPoolOptions};

use super::{Begun, REMEMBER, Waiting, from_millis, millis};
use crate::job::Job;

#[derive(Clone)]
pub(crate) struct SqlLedger {
    pool: AnyPool,
}

const WAITS: &str = "waits";
const RUNS: &str = "runs";
const ENDED: &str = "ended";

const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS scan_ledger (
        scan_id TEXT PRIMARY KEY,
        type TEXT NOT NULL,
        state TEXT NOT NULL,
        attempt BIGINT NOT NULL,
        worker TEXT NOT NULL,
        at_ms BIGINT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS scan_workers (
        name TEXT PRIMARY KEY,
        dead_ms BIGINT NOT NULL
    )",
];

impl SqlLedger {
    pub(super) async fn open(url: &str) -> anyhow::Result<Self> {
        sqlx::any::install_default_drivers();
        let pool = AnyPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(10))
            .connect(url)
            .await?;
        for table in TABLES {
            if let Err(error) = sqlx::query(table).execute(&pool).await {
                // Two that make it at once may be in each other's way in PostgreSQL: then it is there.
                tracing::debug!(%error, "the table was made by another worker");
                sqlx::query(table).execute(&pool).await?;
            }
        }
        sqlx::query("DELETE FROM scan_workers WHERE dead_ms < $1")
            .bind(millis(SystemTime::now()))
            .execute(&pool)
            .await?;
        let forgotten = SystemTime::now()
            .checked_sub(REMEMBER)
            .unwrap_or(UNIX_EPOCH);
        sqlx::query("DELETE FROM scan_ledger WHERE state = $1 AND at_ms < $2")
            .bind(ENDED)
            .bind(millis(forgotten))
            .execute(&pool)
            .await?;
        Ok(Self { pool })
    }

    pub(super) async fn wait(&self, job: &Job) -> anyhow::Result<()> {
        sqlx::query(
            "INSERT INTO scan_ledger (scan_id, type, state, attempt, worker, at_ms)
             VALUES ($1, $2, $3, $4, '', $5)
             ON CONFLICT (scan_id) DO UPDATE
             SET state = excluded.state, attempt = excluded.attempt, worker = '', at_ms = excluded.at_ms",
        )
        .bind(job.id())
        .bind(job.scan_type.as_str())
        .bind(WAITS)
        .bind(i64::from(job.ticket.attempt()))
        .bind(millis(job.ticket.enqueued_at()))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    pub(super) async fn begin(&self, job: &Job, worker: &str) -> anyhow::Result<Begun> {
        let attempt = i64::from(job.ticket.attempt());
        loop {
            let row = sqlx::query(
                "SELECT state, attempt, worker, at_ms FROM scan_ledger WHERE scan_id = $1",
            )
            .bind(job.id())
            .fetch_optional(&self.pool)
            .await?;
            let Some(row) = row else {
                // Put into the queue by other means than ours.
                self.wait_if_unknown(job).await?;
                continue;
            };
            let state: String = row.try_get(0)?;
            let (known, owner): (i64, String) = (row.try_get(1)?, row.try_get(2)?);
            let is_lost = state == RUNS;
            if state == ENDED || known > attempt && !is_lost || is_lost && owner == worker {
                return Ok(Begun::Over);
            }
            if is_lost && self.lives(&owner).await? {
                return Ok(Begun::Elsewhere);
            }
            let begun = if is_lost { known + 1 } else { attempt };
            // Only if it still stands so: another may be faster.
            let taken = sqlx::query(
                "UPDATE scan_ledger SET state = $1, attempt = $2, worker = $3, at_ms = $4
                 WHERE scan_id = $5 AND state = $6 AND attempt = $7 AND worker = $8",
            )
            .bind(RUNS)
            .bind(begun)
            .bind(worker)
            .bind(millis(SystemTime::now()))
            .bind(job.id())
            .bind(&state)
            .bind(known)
            .bind(&owner)
            .execute(&self.pool)
            .await?;
            if taken.rows_affected() == 0 {
                continue;
            }
            return Ok(if is_lost {
                Begun::Lost {
                    worker: owner,
                    since: from_millis(row.try_get(3)?),
                }
            } else {
                Begun::Now
            });
        }
    }

    async fn lives(&self, worker: &str) -> anyhow::Result<bool> {
        let row = sqlx::query("SELECT name FROM scan_workers WHERE name = $1 AND dead_ms > $2")
            .bind(worker)
            .bind(millis(SystemTime::now()))
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.is_some())
    }

    pub(super) async fn beat(&self, worker: &str, dead_after: Duration) -> anyhow::Result<()> {
        sqlx::query(
            "INSERT INTO scan_workers (name, dead_ms) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET dead_ms = excluded.dead_ms",
        )
        .bind(worker)
        .bind(millis(SystemTime::now() + dead_after))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    pub(super) async fn leave(&self, worker: &str) -> anyhow::Result<()> {
        sqlx::query("DELETE FROM scan_workers WHERE name = $1")
            .bind(worker)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    async fn wait_if_unknown(&self, job: &Job) -> anyhow::Result<()> {
        sqlx::query(
            "INSERT INTO scan_ledger (scan_id, type, state, attempt, worker, at_ms)
             VALUES ($1, $2, $3, $4, '', $5) ON CONFLICT (scan_id) DO NOTHING",
        )
        .bind(job.id())
        .bind(job.scan_type.as_str())
        .bind(WAITS)
        .bind(i64::from(job.ticket.attempt()))
        .bind(millis(job.ticket.enqueued_at()))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    pub(super) async fn end(&self, job: &Job) -> anyhow::Result<()> {
        sqlx::query("UPDATE scan_ledger SET state = $1, at_ms = $2 WHERE scan_id = $3")
            .bind(ENDED)
            .bind(millis(SystemTime::now()))
            .bind(job.id())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    pub(super) async fn waiting(&self, scan_type: &str) -> anyhow::Result<Waiting> {
        let row = sqlx::query(
            "SELECT COUNT(*), COALESCE(MIN(at_ms), 0) FROM scan_ledger
             WHERE state = $1 AND type = $2",
        )
        .bind(WAITS)
        .bind(scan_type)
        .fetch_one(&self.pool)
        .await?;
        let (depth, oldest): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let depth = u64::try_from(depth).unwrap_or(0);
        Ok(Waiting {
            depth,
            oldest: (depth > 0).then(|| from_millis(oldest)),
        })
    }
}
