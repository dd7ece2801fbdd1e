//! What was found in each target when it was last approved.

use anyhow::Context as _;
use sqlx::Row as _;

use super::{
    Store,
    queries::{Query, timed},
};
use crate::{
    record::ScanRecord,
    scan::{Finding, ScanType},
};

/// What a later scan of the same target is compared with.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// The scan that it comes from.
    pub scan_id: String,
    /// What that scan found.
    pub findings: Vec<Finding>,
}

impl Store {
    /// The baseline of a target.
    ///
    /// # Errors
    ///
    /// If the database does not answer, or what it holds are no findings.
    pub async fn baseline(
        &self,
        scan_type: ScanType,
        path: &str,
    ) -> anyhow::Result<Option<Baseline>> {
        let row =
            sqlx::query("SELECT scan_id, findings FROM baselines WHERE type = $1 AND path = $2")
                .bind(scan_type.as_str())
                .bind(path)
                .fetch_optional(&self.pool);
        let Some(row) = timed(Query::BaselineGet, row).await? else {
            return Ok(None);
        };
        let findings: String = row.try_get(1)?;
        let findings = serde_json::from_str(&findings);
        Ok(Some(Baseline {
            scan_id: row.try_get(0)?,
            findings: findings.context("the database holds a baseline that is none")?,
        }))
    }

    /// Makes a scan its target's baseline, if it has none yet or `replace` says so.
    ///
    /// # Errors
    ///
    /// If the database does not take it.
    pub async fn set_baseline(&self, scan: &ScanRecord, replace: bool) -> anyhow::Result<()> {
        let text = if replace {
            "INSERT INTO baselines (type, path, scan_id, findings) VALUES ($1, $2, $3, $4)
             ON CONFLICT (type, path)
             DO UPDATE SET scan_id = excluded.scan_id, findings = excluded.findings"
        } else {
            "INSERT INTO baselines (type, path, scan_id, findings) VALUES ($1, $2, $3, $4)
             ON CONFLICT (type, path) DO NOTHING"
        };
        let insert = sqlx::query(text)
            .bind(scan.scan_type.as_str())
            .bind(&scan.path)
            .bind(&scan.id)
            .bind(serde_json::to_string(&scan.findings)?)
            .execute(&self.pool);
        timed(Query::BaselineSet, insert).await?;
        Ok(())
    }
}
