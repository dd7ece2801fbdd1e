//! What findings mean: whether the policy lets them pass, and whether they are new.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tower_scan_lifecycle::{BlockReason, ScanReport, Verdict};

use crate::{
    scan::{Finding, Policy, ScanType, Severities, Severity},
    store::Store,
};

/// What a scan found, and what that means.
#[derive(Debug)]
pub struct Assessed {
    /// What it found.
    pub findings: Vec<Finding>,
    /// How many of each severity.
    pub severities: Severities,
    /// Whether the policy lets them pass.
    pub passed: bool,
    /// How they differ from the target's baseline, if it has one.
    pub drift: Option<Drift>,
}

/// How the findings of a scan differ from those of its target's baseline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// The scan that the baseline comes from.
    pub baseline: String,
    /// How many findings are new.
    pub added: u64,
    /// How many findings are gone.
    pub removed: u64,
}

impl Drift {
    /// Whether anything is new or gone.
    pub const fn is_any(&self) -> bool {
        self.added > 0 || self.removed > 0
    }

    fn between(baseline: String, before: &[Finding], now: &[Finding]) -> Self {
        let mut balance: BTreeMap<_, i64> = BTreeMap::new();
        let key = |finding: &Finding| {
            let Finding {
                severity,
                rule,
                message,
                location,
            } = finding.clone();
            (severity, rule, message, location)
        };
        for finding in now {
            *balance.entry(key(finding)).or_default() += 1;
        }
        for finding in before {
            *balance.entry(key(finding)).or_default() -= 1;
        }
        let sum = |sign: i64| {
            let counts = balance
                .values()
                .map(|count| (count * sign).max(0).unsigned_abs());
            counts.sum()
        };
        Self {
            baseline,
            added: sum(1),
            removed: sum(-1),
        }
    }
}

/// Assesses what scans find.
#[derive(Clone, Debug)]
pub struct Assessor {
    policy: Policy,
    store: Store,
}

impl Assessor {
    /// By this policy, and the baselines in this store.
    pub const fn new(policy: Policy, store: Store) -> Self {
        Self { policy, store }
    }

    /// Assesses what a scan of `path` found.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn assess(
        &self,
        scan_type: ScanType,
        path: &str,
        findings: &[Finding],
    ) -> anyhow::Result<Assessed> {
        let baseline = self.store.baseline(scan_type, path).await;
        let baseline = baseline.context("cannot read the target's baseline")?;
        let severities = Severities::of(findings);
        let drift =
            baseline.map(|baseline| Drift::between(baseline.scan_id, &baseline.findings, findings));
        Ok(Assessed {
            passed: self.policy.passed(&severities),
            severities,
            findings: findings.to_vec(),
            drift,
        })
    }
}

impl Assessed {
    /// The same for the scan's record in the metrics.
    pub fn report(&self) -> ScanReport {
        let drift = self.drift.as_ref().is_some_and(Drift::is_any);
        report(&self.severities, self.passed).drift(drift)
    }
}

/// What a scan with these findings reports.
pub fn report(severities: &Severities, passed: bool) -> ScanReport {
    let verdict = if passed {
        Verdict::Passed
    } else {
        Verdict::Blocked(BlockReason::Severity)
    };
    let report = ScanReport::new().verdict(verdict);
    severities.iter().fold(report, |report, (severity, count)| {
        report.findings(recorded(severity), count)
    })
}

const fn recorded(severity: Severity) -> tower_scan_lifecycle::Severity {
    match severity {
        Severity::Critical => tower_scan_lifecycle::Severity::Critical,
        Severity::High => tower_scan_lifecycle::Severity::High,
        Severity::Medium => tower_scan_lifecycle::Severity::Medium,
        Severity::Low => tower_scan_lifecycle::Severity::Low,
        Severity::Info => tower_scan_lifecycle::Severity::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(location: &str) -> Finding {
        Finding {
            severity: Severity::High,
            rule: "plain-http".into(),
            message: String::from("m"),
            location: location.to_owned(),
        }
    }

    #[test]
    fn drift_counts_what_came_and_what_went_each_as_often_as_it_did() {
        let drift = |before: &[&str], now: &[&str]| {
            let findings = |locations: &[&str]| -> Vec<_> {
                locations.iter().map(|location| finding(location)).collect()
            };
            let drift = Drift::between(String::new(), &findings(before), &findings(now));
            (drift.added, drift.removed, drift.is_any())
        };
        assert_eq!(drift(&[], &[]), (0, 0, false));
        assert_eq!(drift(&["a", "b"], &["b", "a"]), (0, 0, false));
        assert_eq!(drift(&["a"], &["a", "a"]), (1, 0, true));
        assert_eq!(drift(&["a", "a", "b"], &["c"]), (1, 3, true));
    }
}
