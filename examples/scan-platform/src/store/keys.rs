//! API keys, of which only a hash is kept.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use sqlx::{Row as _, any::AnyRow};

use super::{
    Store,
    queries::{Query, timed},
    scans::millis,
};
use crate::auth::{KeyHash, Role};

/// A key, without the key.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    /// What it is called in the log, and by who revokes it.
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// What it is good for.
    pub role: Role,
    /// Since when there is one.
    pub created_at: SystemTime,
    /// From when on it is good for nothing, if ever.
    pub expires_at: Option<SystemTime>,
    /// Since when it is good for nothing, if it was revoked.
    pub revoked_at: Option<SystemTime>,
}

impl Store {
    /// Writes a new key.
    ///
    /// # Errors
    ///
    /// If the database does not take it.
    pub async fn add_key(&self, key: &KeyRecord, hash: &KeyHash) -> anyhow::Result<()> {
        let insert = sqlx::query(
            "INSERT INTO api_keys (id, hash, name, role, created_ms, expires_ms, revoked_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&key.id)
        .bind(hash.as_str())
        .bind(&key.name)
        .bind(key.role.as_str())
        .bind(millis(key.created_at))
        .bind(key.expires_at.map_or(0, millis))
        .bind(key.revoked_at.map_or(0, millis))
        .execute(&self.pool);
        timed(Query::KeyWrite, insert).await?;
        Ok(())
    }

    /// The key of this hash.
    ///
    /// # Errors
    ///
    /// If the database does not answer, or what it holds is no key.
    pub async fn key(&self, hash: &KeyHash) -> anyhow::Result<Option<KeyRecord>> {
        let row = sqlx::query(
            "SELECT id, name, role, created_ms, expires_ms, revoked_ms FROM api_keys
             WHERE hash = $1",
        )
        .bind(hash.as_str())
        .fetch_optional(&self.pool);
        timed(Query::KeyGet, row)
            .await?
            .as_ref()
            .map(key)
            .transpose()
    }

    /// All keys, the oldest first.
    ///
    /// # Errors
    ///
    /// If the database does not answer, or what it holds is no key.
    pub async fn keys(&self) -> anyhow::Result<Vec<KeyRecord>> {
        let rows = sqlx::query(
            "SELECT id, name, role, created_ms, expires_ms, revoked_ms FROM api_keys
             ORDER BY created_ms, id",
        )
        .fetch_all(&self.pool);
        timed(Query::KeyList, rows).await?.iter().map(key).collect()
    }

    /// Revokes a key. Gives whether there was one to revoke.
    ///
    /// # Errors
    ///
    /// If the database does not take it.
    pub async fn revoke_key(&self, id: &str) -> anyhow::Result<bool> {
        let update =
            sqlx::query("UPDATE api_keys SET revoked_ms = $1 WHERE id = $2 AND revoked_ms = 0")
                .bind(millis(SystemTime::now()))
                .bind(id)
                .execute(&self.pool);
        Ok(timed(Query::KeyWrite, update).await?.rows_affected() > 0)
    }
}

fn key(row: &AnyRow) -> anyhow::Result<KeyRecord> {
    let role: String = row.try_get(2)?;
    let time = |column: usize| -> sqlx::Result<Option<SystemTime>> {
        let millis = u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or(0);
        Ok((millis > 0).then(|| UNIX_EPOCH + Duration::from_millis(millis)))
    };
    Ok(KeyRecord {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        role: role
            .parse()
            .context("the database holds a key that is none")?,
        created_at: time(3)?.unwrap_or(UNIX_EPOCH),
        expires_at: time(4)?,
        revoked_at: time(5)?,
    })
}
