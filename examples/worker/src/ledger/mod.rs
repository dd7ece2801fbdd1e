//! Who began which scan: a queue delivers a job at least once, a scan is to count exactly once.
//!
//! apalis gives a job of a dead worker to another, as if nobody had begun it, and one of a worker that is
//! told to stop while that still runs it. Here stands who began it, and when each worker last said that
//! it lives.

mod redis;
mod sql;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apalis_redis::ConnectionManager;

use self::{redis::RedisLedger, sql::SqlLedger};
use crate::job::Job;

/// How long it is known that a scan has ended, so that its job is not run when it comes again.
const REMEMBER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The ledger, in the queue's own store.
#[derive(Clone)]
pub(crate) enum Ledger {
    Sql(SqlLedger),
    Redis(RedisLedger),
}

/// What a worker finds when it is given a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// Nobody has begun this attempt.
    Now,
    /// This worker had begun it, and has died. The next attempt is begun.
    Lost { worker: String, since: SystemTime },
    /// Another worker runs it, and lives.
    Elsewhere,
    /// The scan has ended, or runs in this very worker.
    Over,
}

/// How scans of one type wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) depth: u64,
    /// Since when the oldest waits.
    pub(crate) oldest: Option<SystemTime>,
}

impl Ledger {
    pub(crate) async fn sql(url: &str) -> anyhow::Result<Self> {
        Ok(Self::Sql(SqlLedger::open(url).await?))
    }

    pub(crate) const fn redis(connection: ConnectionManager) -> Self {
        Self::Redis(RedisLedger::new(connection))
    }

    /// Notes that a scan waits.
    pub(crate) async fn wait(&self, job: &Job) -> anyhow::Result<()> {
        match self {
            Self::Sql(ledger) => ledger.wait(job).await,
            Self::Redis(ledger) => ledger.wait(job).await,
        }
    }

    /// Notes that this worker begins an attempt.
    pub(crate) async fn begin(&self, job: &Job, worker: &str) -> anyhow::Result<Begun> {
        match self {
            Self::Sql(ledger) => ledger.begin(job, worker).await,
            Self::Redis(ledger) => ledger.begin(job, worker).await,
        }
    }

    /// Says that this worker lives, and will be dead if it does not say so again for so long.
    pub(crate) async fn beat(&self, worker: &str, dead_after: Duration) -> anyhow::Result<()> {
        match self {
            Self::Sql(ledger) => ledger.beat(worker, dead_after).await,
            Self::Redis(ledger) => ledger.beat(worker, dead_after).await,
        }
    }

    /// Says that this worker has ended.
    pub(crate) async fn leave(&self, worker: &str) -> anyhow::Result<()> {
        match self {
            Self::Sql(ledger) => ledger.leave(worker).await,
            Self::Redis(ledger) => ledger.leave(worker).await,
        }
    }

    /// Notes that the scan has ended.
    pub(crate) async fn end(&self, job: &Job) -> anyhow::Result<()> {
        match self {
            Self::Sql(ledger) => ledger.end(job).await,
            Self::Redis(ledger) => ledger.end(job).await,
        }
    }

    /// How many scans of this type wait.
    pub(crate) async fn waiting(&self, scan_type: &str) -> anyhow::Result<Waiting> {
        match self {
            Self::Sql(ledger) => ledger.waiting(scan_type).await,
            Self::Redis(ledger) => ledger.waiting(scan_type).await,
        }
    }
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn from_millis(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
