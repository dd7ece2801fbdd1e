use std::{borrow::Cow, error::Error};

use crate::{FailureReason, RejectReason, ScanReport, Status};

/// How a scan ended, with what belongs to that end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It ran to its end. Only now its findings count: a failed attempt's would be counted twice.
    Completed(ScanReport),
    /// It did not.
    Failed(Failure),
    /// Its deadline passed.
    TimedOut,
    /// It was told to stop.
    Cancelled,
    /// It turned out to be none: started, and neither completed nor failed.
    Rejected(RejectReason),
    /// This attempt ends, and somebody will start another.
    Retry,
}

impl Outcome {
    /// The end of a scan that gave this error: see [`Failure::of`].
    pub fn failed(error: &(dyn Error + 'static)) -> Self {
        Self::Failed(Failure::of(error))
    }

    /// The status that is recorded; none of a scan that was rejected or is tried again.
    pub const fn status(&self) -> Option<Status> {
        match self {
            Self::Completed(_) => Some(Status::Completed),
            Self::Failed(failure) => Some(failure.reason.status()),
            Self::TimedOut => Some(Status::TimedOut),
            Self::Cancelled => Some(Status::Cancelled),
            Self::Rejected(_) | Self::Retry => None,
        }
    }
}

impl From<ScanReport> for Outcome {
    fn from(report: ScanReport) -> Self {
        Self::Completed(report)
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Why a scan did not complete: a reason, which is a label, and a text for the log line.
///
/// ```
/// use tower_scan_lifecycle::{Failure, FailureReason};
///
/// let error = std::io::Error::other("disk full");
/// assert_eq!(Failure::of(&error).reason(), FailureReason::Error);
/// let failure = Failure::new(FailureReason::EngineUnavailable).message("semgrep is not installed");
/// assert_eq!(failure.text(), Some("semgrep is not installed"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    reason: FailureReason,
    message: Option<Cow<'static, str>>,
}

impl Failure {
    /// A failure for this reason, without a text.
    pub const fn new(reason: FailureReason) -> Self {
        Self {
            reason,
            message: None,
        }
    }

    /// A failure by [`FailureReason::Error`]. Its text is the error's and its sources', separated by `: `.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        Self::new(FailureReason::Error).message(text)
    }

    /// Sets the text.
    #[must_use]
    pub fn message(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.message = Some(text.into());
        self
    }

    /// Sets the reason.
    #[must_use]
    pub const fn because(mut self, reason: FailureReason) -> Self {
        self.reason = reason;
        self
    }

    /// The reason.
    pub const fn reason(&self) -> FailureReason {
        self.reason
    }

    /// The text for the log line.
    pub fn text(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

impl From<FailureReason> for Failure {
    fn from(reason: FailureReason) -> Self {
        Self::new(reason)
    }
}

impl From<&'static str> for Failure {
    fn from(text: &'static str) -> Self {
        Self::new(FailureReason::Error).message(text)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::new(FailureReason::Error).message(text)
    }
}

impl From<&(dyn Error + 'static)> for Failure {
    fn from(error: &(dyn Error + 'static)) -> Self {
        Self::of(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_its_sources() {
        let inner = std::io::Error::other("disk full");
        let outer = std::io::Error::other(Wrapped(inner));
        assert_eq!(Failure::of(&outer).text(), Some("no report: disk full"));
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
