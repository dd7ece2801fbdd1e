//! The queue, in whichever store.

use std::{fmt, str::FromStr as _, time::Duration};

use anyhow::{Context as _, bail};
use apalis::prelude::{TaskBuilder, TaskSink as _};
use apalis_postgres::PostgresStorage;
use apalis_redis::RedisStorage;
use apalis_sqlite::SqliteStorage;
use scan_platform::store::DatabaseUrl;
use sqlx::{
    PgPool, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};

use crate::{job::Job, ledger::Ledger};

/// The queue's name in its store.
const NAME: &str = "scans";

/// The address of a queue. What it shows of itself has no password.
#[derive(Clone, Debug)]
pub struct QueueUrl(DatabaseUrl);

impl From<String> for QueueUrl {
    fn from(text: String) -> Self {
        Self(DatabaseUrl::from(text))
    }
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A queue that is connected.
#[derive(Clone)]
pub(crate) struct Queue {
    pub(crate) store: Store,
    pub(crate) ledger: Ledger,
}

/// apalis has a backend of its own for each store.
#[derive(Clone)]
pub(crate) enum Store {
    Sqlite(SqliteStorage<Job>),
    Postgres(PostgresStorage<Job>),
    Redis(RedisStorage<Job>),
}

/// How a worker takes part in the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// How many jobs it takes at once.
    pub(crate) batch: usize,
    /// How often it says that it lives. One that has not for twice as long is dead.
    pub(crate) heartbeat: Duration,
}

macro_rules! config {
    ($store:ident, $share:expr) => {
        $store::Config::default()
            .queue(NAME)
            .batch_size($share.batch)
            .heartbeat_interval($share.heartbeat)
            .missed_heartbeats(2)
    };
}

impl Queue {
    /// Connects, and makes what is missing in the store.
    pub(crate) async fn connect(url: &QueueUrl, share: Share) -> anyhow::Result<Self> {
        let connected = Self::connected(url.0.expose(), share).await;
        connected.with_context(|| format!("cannot open the queue \"{url}\""))
    }

    async fn connected(url: &str, share: Share) -> anyhow::Result<Self> {
        match url.split(':').next() {
            Some("sqlite") => {
                let options = SqliteConnectOptions::from_str(url)?
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .busy_timeout(Duration::from_secs(10));
                let pool = SqlitePool::connect_with(options).await?;
                SqliteStorage::setup(&pool).await?;
                let storage = SqliteStorage::new(&pool);
                Ok(Self {
                    store: Store::Sqlite(storage.with_config(config!(apalis_sqlite, share))),
                    ledger: Ledger::sql(url).await?,
                })
            }
            Some("postgres" | "postgresql") => {
                let pool = PgPool::connect(url).await?;
                PostgresStorage::setup(&pool).await?;
                let storage = PostgresStorage::new(&pool);
                Ok(Self {
                    store: Store::Postgres(storage.with_config(config!(apalis_postgres, share))),
                    ledger: Ledger::sql(url).await?,
                })
            }
            Some("redis") => {
                let connection = apalis_redis::connect(url).await?;
                let storage = RedisStorage::new(connection.clone());
                Ok(Self {
                    store: Store::Redis(storage.with_config(config!(apalis_redis, share))),
                    ledger: Ledger::redis(connection),
                })
            }
            _ => bail!(
                "write sqlite://FILE, postgres://USER@HOST/DATABASE or redis://HOST; another store is not \
                 spoken"
            ),
        }
    }

    /// Puts a job into the queue, to be taken after `delay` at the earliest.
    pub(crate) async fn push(&mut self, job: Job, delay: Duration) -> anyhow::Result<()> {
        // First the ledger: a worker may be faster than we are.
        self.ledger.wait(&job).await?;
        self.put(job, delay).await
    }

    /// As [`push`](Self::push), of a job that the ledger knows of.
    pub(crate) async fn put(&mut self, job: Job, delay: Duration) -> anyhow::Result<()> {
        let task = TaskBuilder::new(job).run_after(delay).build();
        match &mut self.store {
            Store::Sqlite(storage) => storage.push_task(task).await?,
            Store::Postgres(storage) => storage.push_task(task).await?,
            Store::Redis(storage) => storage.push_task(task).await?,
        }
        Ok(())
    }
}
