use std::error::Error;

use crate::{Severity, Status};

/// What a completed scan found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanReport {
    critical: u64,
    high: u64,
    medium: u64,
    low: u64,
    info: u64,
}

impl ScanReport {
    /// A report without findings.
    pub const fn new() -> Self {
        Self {
            critical: 0,
            high: 0,
            medium: 0,
            low: 0,
            info: 0,
        }
    }

    /// Adds `count` findings of one severity.
    #[must_use]
    pub const fn findings(mut self, severity: Severity, count: u64) -> Self {
        let slot = match severity {
            Severity::Critical => &mut self.critical,
            Severity::High => &mut self.high,
            Severity::Medium => &mut self.medium,
            Severity::Low => &mut self.low,
            Severity::Info => &mut self.info,
        };
        *slot = slot.saturating_add(count);
        self
    }

    /// How many findings there are of one severity.
    pub const fn count(&self, severity: Severity) -> u64 {
        match severity {
            Severity::Critical => self.critical,
            Severity::High => self.high,
            Severity::Medium => self.medium,
            Severity::Low => self.low,
            Severity::Info => self.info,
        }
    }
}

/// How a scan ended, with what belongs to that end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It ran to its end. Only now its findings count: a failed attempt's would be counted twice.
    Completed(ScanReport),
    /// It gave an error, which the log line repeats.
    Failed(String),
    /// Its deadline passed.
    TimedOut,
    /// It was told to stop.
    Cancelled,
}

impl Outcome {
    /// The end of a scan that gave this error: its text and its sources', separated by `: `.
    pub fn failed(error: &(dyn Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        Self::Failed(text)
    }

    /// The status that is recorded.
    pub const fn status(&self) -> Status {
        match self {
            Self::Completed(_) => Status::Completed,
            Self::Failed(_) => Status::Failed,
            Self::TimedOut => Status::TimedOut,
            Self::Cancelled => Status::Cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_its_sources() {
        let inner = std::io::Error::other("disk full");
        let outer = std::io::Error::other(Wrapped(inner));
        assert_eq!(
            Outcome::failed(&outer),
            Outcome::Failed("no report: disk full".to_owned())
        );
    }

    #[derive(Debug)]
    struct Wrapped(std::io::Error);

    impl std::fmt::Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("no report")
        }
    }

    impl Error for Wrapped {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }
}
