use crate::{BlockReason, Severity};

/// What a completed scan found.
///
/// ```
/// use tower_scan_lifecycle::{BlockReason, ScanReport, Severity, Verdict};
///
/// let report = ScanReport::new()
///     .finding(Severity::Critical)
///     .findings(Severity::Low, 12)
///     .verdict(Verdict::Blocked(BlockReason::Severity));
/// assert_eq!(report.count(Severity::Low), 12);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanReport {
    findings: [u64; Severity::ALL.len()],
    verdict: Verdict,
    drift: bool,
}

/// What a policy says of what was scanned. It is not the scan's status: a scan that blocks has completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// Nobody asked.
    #[default]
    NotEvaluated,
    /// It may go on.
    Passed,
    /// It may go on, and somebody should look at it.
    Warned,
    /// It may not go on.
    Blocked(BlockReason),
}

impl Verdict {
    /// The word in the log line: `not_evaluated`, `passed`, `warned`, `blocked`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotEvaluated => "not_evaluated",
            Self::Passed => "passed",
            Self::Warned => "warned",
            Self::Blocked(_) => "blocked",
        }
    }
}

impl ScanReport {
    /// A report without findings, verdict or drift.
    pub const fn new() -> Self {
        Self {
            findings: [0; Severity::ALL.len()],
            verdict: Verdict::NotEvaluated,
            drift: false,
        }
    }

    /// Adds one finding.
    #[must_use]
    pub fn finding(self, severity: Severity) -> Self {
        self.findings(severity, 1)
    }

    /// Adds `count` findings of one severity.
    #[must_use]
    pub fn findings(mut self, severity: Severity, count: u64) -> Self {
        self.add(severity, count);
        self
    }

    /// Sets the policy's verdict. Default: [`Verdict::NotEvaluated`].
    #[must_use]
    pub const fn verdict(mut self, verdict: Verdict) -> Self {
        self.verdict = verdict;
        self
    }

    /// Says whether what was scanned differs from its baseline: one incident, however many things changed.
    /// Default: no.
    #[must_use]
    pub const fn drift(mut self, drift: bool) -> Self {
        self.drift = drift;
        self
    }

    /// How many findings there are of one severity.
    pub fn count(&self, severity: Severity) -> u64 {
        self.findings.get(severity.index()).copied().unwrap_or(0)
    }

    /// How many findings there are of all severities.
    pub fn total(&self) -> u64 {
        self.findings
            .iter()
            .fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// The policy's verdict.
    pub const fn has_verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether what was scanned differs from its baseline.
    pub const fn has_drift(&self) -> bool {
        self.drift
    }

    pub(crate) fn add(&mut self, severity: Severity, count: u64) {
        if let Some(findings) = self.findings.get_mut(severity.index()) {
            *findings = findings.saturating_add(count);
        }
    }

    pub(crate) const fn set_verdict(&mut self, verdict: Verdict) {
        self.verdict = verdict;
    }

    pub(crate) const fn set_drift(&mut self) {
        self.drift = true;
    }

    /// Both: what was found on the way, and what was said at the end. The end's verdict counts, if it has
    /// one.
    pub(crate) fn with(mut self, last: &Self) -> Self {
        for severity in Severity::ALL {
            self.add(severity, last.count(severity));
        }
        if last.verdict != Verdict::NotEvaluated {
            self.verdict = last.verdict;
        }
        self.drift |= last.drift;
        self
    }
}
