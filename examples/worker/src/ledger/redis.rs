//! The ledger in Redis: a hash for each scan, and for each type the set of those that wait, by time.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use apalis_redis::ConnectionManager;
use redis::{AsyncCommands as _, Script};

use super::{Begun, REMEMBER, Waiting, from_millis, millis};
use crate::job::Job;

#[derive(Clone)]
pub(crate) struct RedisLedger {
    connection: ConnectionManager,
}

/// Decides as one step what the SQL ledger decides by comparing before it writes.
///
/// Keys: the scan, those that wait. Arguments: id, attempt, worker, now, where workers are. Gives what it
/// found: `now`, `over`, `elsewhere`, or `lost` with the worker and the time.
const BEGIN: &str = r"
local state, attempt, owner, at = unpack(redis.call('HMGET', KEYS[1], 'state', 'attempt', 'worker', 'at'))
local asked = tonumber(ARGV[2])
local known = tonumber(attempt) or asked
local lost = state == 'runs'
if state == 'ended' or (known > asked and not lost) or (lost and owner == ARGV[3]) then
    return {'over', '', '0'}
end
if lost and redis.call('EXISTS', ARGV[5] .. owner) == 1 then
    return {'elsewhere', '', '0'}
end
local begun = lost and known + 1 or asked
redis.call('HSET', KEYS[1], 'state', 'runs', 'attempt', begun, 'worker', ARGV[3], 'at', ARGV[4])
redis.call('PERSIST', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
if lost then
    return {'lost', owner, at}
end
return {'now', '', '0'}
";

impl RedisLedger {
    pub(super) const fn new(connection: ConnectionManager) -> Self {
        Self { connection }
    }

    pub(super) async fn wait(&self, job: &Job) -> anyhow::Result<()> {
        let since = millis(job.ticket.enqueued_at());
        let mut pipe = redis::pipe();
        pipe.atomic()
            .cmd("HSET")
            .arg(scan(job.id()))
            .arg(&["state", "waits", "worker", ""])
            .arg("attempt")
            .arg(job.ticket.attempt())
            .arg("at")
            .arg(since)
            .ignore();
        pipe.zadd(waiting(job.scan_type.as_str()), job.id(), since)
            .ignore();
        pipe.query_async::<()>(&mut self.connection.clone()).await?;
        Ok(())
    }

    pub(super) async fn begin(&self, job: &Job, worker: &str) -> anyhow::Result<Begun> {
        let (found, owner, at): (String, String, String) = Script::new(BEGIN)
            .key(scan(job.id()))
            .key(waiting(job.scan_type.as_str()))
            .arg(job.id())
            .arg(job.ticket.attempt())
            .arg(worker)
            .arg(millis(SystemTime::now()))
            .arg(worker_key(""))
            .invoke_async(&mut self.connection.clone())
            .await?;
        match found.as_str() {
            "now" => Ok(Begun::Now),
            "lost" => Ok(Begun::Lost {
                worker: owner,
                since: from_millis(at.parse().context("Redis holds a time that is none")?),
            }),
            "elsewhere" => Ok(Begun::Elsewhere),
            _ => Ok(Begun::Over),
        }
    }

    pub(super) async fn beat(&self, worker: &str, dead_after: Duration) -> anyhow::Result<()> {
        let millis = u64::try_from(dead_after.as_millis()).unwrap_or(u64::MAX);
        let key = worker_key(worker);
        let mut connection = self.connection.clone();
        connection.pset_ex::<_, _, ()>(key, 1, millis).await?;
        Ok(())
    }

    pub(super) async fn leave(&self, worker: &str) -> anyhow::Result<()> {
        let mut connection = self.connection.clone();
        connection.del::<_, ()>(worker_key(worker)).await?;
        Ok(())
    }

    pub(super) async fn end(&self, job: &Job) -> anyhow::Result<()> {
        let key = scan(job.id());
        let seconds = i64::try_from(REMEMBER.as_secs()).unwrap_or(i64::MAX);
        let mut pipe = redis::pipe();
        pipe.atomic()
            .hset(&key, "state", "ended")
            .ignore()
            .expire(&key, seconds)
            .ignore();
        pipe.query_async::<()>(&mut self.connection.clone()).await?;
        Ok(())
    }

    pub(super) async fn waiting(&self, scan_type: &str) -> anyhow::Result<Waiting> {
        let key = waiting(scan_type);
        let (depth, oldest): (u64, Vec<(String, f64)>) = redis::pipe()
            .atomic()
            .zcard(&key)
            .zrange_withscores(&key, 0, 0)
            .query_async(&mut self.connection.clone())
            .await?;
        // Times are whole numbers that a float has room for.
        let oldest = oldest.first().map(|(_, since)| from_millis(*since as i64));
        Ok(Waiting { depth, oldest })
    }
}

fn scan(id: &str) -> String {
    format!("scan-ledger:scan:{id}")
}

fn worker_key(name: &str) -> String {
    format!("scan-ledger:worker:{name}")
}

fn waiting(scan_type: &str) -> String {
    format!("scan-ledger:waiting:{scan_type}")
}
