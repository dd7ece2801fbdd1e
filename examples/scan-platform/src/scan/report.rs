//! Findings on their way to the caller.

use std::borrow::Cow;

use super::finding::{Finding, Severity};

/// Collects findings in the order they are made, bounded for each severity: a file that drowns its one critical
/// finding in a million harmless ones does not get rid of it.
#[derive(Debug)]
pub(super) struct Report {
    by_severity: [Kept; Severity::ALL.len()],
    maximum: usize,
}

/// Findings of one severity.
#[derive(Debug, Default)]
struct Kept {
    findings: Vec<Finding>,
    seen: u64,
}

impl Report {
    pub(super) fn new(maximum: usize) -> Self {
        Self {
            by_severity: Default::default(),
            maximum,
        }
    }

    pub(super) fn add(
        &mut self,
        severity: Severity,
        rule: impl Into<Cow<'static, str>>,
        location: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.push(Finding {
            severity,
            rule: rule.into(),
            message: message.into(),
            location: location.into(),
        });
    }

    fn push(&mut self, finding: Finding) {
        let maximum = self.maximum;
        if let Some(kept) = self.kept(finding.severity) {
            kept.seen = kept.seen.saturating_add(1);
            if kept.findings.len() < maximum {
                kept.findings.push(finding);
            }
        }
    }

    fn kept(&mut self, severity: Severity) -> Option<&mut Kept> {
        Severity::ALL
            .into_iter()
            .zip(&mut self.by_severity)
            .find(|(of, _)| *of == severity)
            .map(|(_, kept)| kept)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_severity.iter().all(|kept| kept.seen == 0)
    }

    /// Whether anything at least as bad as `severity` was found.
    pub(super) fn has(&self, severity: Severity) -> bool {
        Severity::ALL
            .into_iter()
            .zip(&self.by_severity)
            .any(|(of, kept)| of >= severity && kept.seen > 0)
    }

    /// Adds what `other` found, keeping only what is at least as bad as `severity`.
    pub(super) fn merge(&mut self, other: Self, severity: Severity) {
        for (of, Kept { findings, seen }) in Severity::ALL.into_iter().zip(other.by_severity) {
            if of < severity {
                continue;
            }
            let dropped = seen.saturating_sub(findings.len() as u64);
            findings.into_iter().for_each(|finding| self.push(finding));
            if let Some(kept) = self.kept(of) {
                kept.seen = kept.seen.saturating_add(dropped);
            }
        }
    }

    /// An empty report with the same maximum.
    pub(super) fn fresh(&self) -> Self {
        Self::new(self.maximum)
    }

    /// The findings, most severe first and otherwise in the order they were made.
    pub(super) fn finish(self) -> Vec<Finding> {
        let Self {
            by_severity,
            maximum,
        } = self;
        let seen = by_severity
            .iter()
            .fold(0_u64, |sum, kept| sum.saturating_add(kept.seen));
        let mut findings: Vec<_> = by_severity
            .into_iter()
            .flat_map(|kept| kept.findings)
            .take(maximum)
            .collect();
        let dropped = seen.saturating_sub(findings.len() as u64);
        if dropped > 0 {
            findings.push(Finding {
                severity: Severity::Info,
                rule: Cow::Borrowed("findings-truncated"),
                message: format!("{dropped} less severe or later findings are not listed: max_findings is {maximum}"),
                location: String::new(),
            });
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_critical_finding_outlives_a_flood_of_lesser_ones() {
        let mut report = Report::new(3);
        for at in 0..100 {
            report.add(Severity::Low, "noise", at.to_string(), "");
        }
        report.add(Severity::Critical, "signal", "100", "");
        let found = report.finish();
        let rules: Vec<_> = found.iter().map(|f| (&*f.rule, &*f.location)).collect();
        assert_eq!(
            rules,
            [
                ("signal", "100"),
                ("noise", "0"),
                ("noise", "1"),
                ("findings-truncated", "")
            ]
        );
        assert!(found[3].message.starts_with("98 "), "{}", found[3].message);
    }
}
