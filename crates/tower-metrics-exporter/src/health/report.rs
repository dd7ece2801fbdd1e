use std::{error::Error, fmt, sync::Arc, time::Duration};

use crate::text::chain;

/// What a probe asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Probe {
    /// Whether the process has started: its checks of startup have passed, once.
    Startup,
    /// Whether the process is beyond help, and is to be restarted: its checks of liveness.
    Live,
    /// Whether the process is to be sent work: all checks, and it is not shutting down.
    Ready,
}

impl Probe {
    pub(super) const ALL: [Self; 3] = [Self::Startup, Self::Live, Self::Ready];

    /// The value of the label `probe`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Live => "live",
            Self::Ready => "ready",
        }
    }

    /// Whether this probe asks the checks of that one.
    pub(super) const fn asks(self, of: Self) -> bool {
        matches!(
            (self, of),
            (Self::Ready, _) | (Self::Startup, Self::Startup) | (Self::Live, Self::Live)
        )
    }
}

/// Why a check did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Error(Arc<str>),
    TimedOut(Duration),
    Panicked(Arc<str>),
}

impl Failure {
    pub(super) fn error(error: &(dyn Error + 'static)) -> Self {
        Self::Error(chain(error).into())
    }

    pub(super) const fn outcome(&self) -> &'static str {
        match self {
            Self::Error(_) => "failed",
            Self::TimedOut(_) => "timed_out",
            Self::Panicked(_) => "panicked",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(text) => f.write_str(text),
            Self::TimedOut(after) => write!(f, "no answer within {after:?}"),
            Self::Panicked(text) => write!(f, "it panicked: {text}"),
        }
    }
}

/// What one check said.
#[derive(Clone, Debug)]
pub struct CheckReport {
    pub(super) name: Arc<str>,
    pub(super) outcome: Result<(), Failure>,
}

impl CheckReport {
    /// What the check is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it passed.
    pub const fn is_passing(&self) -> bool {
        self.outcome.is_ok()
    }

    /// Why it did not pass.
    pub fn failure(&self) -> Option<impl fmt::Display + '_> {
        self.outcome.as_ref().err()
    }
}

/// The answer to a probe.
#[derive(Clone, Debug)]
pub struct HealthReport {
    pub(super) probe: Probe,
    pub(super) checks: Vec<CheckReport>,
    pub(super) is_shutting_down: bool,
}

impl HealthReport {
    /// Whether all checks passed, and if readiness was asked for, whether the process is not shutting down.
    pub fn is_passing(&self) -> bool {
        let refuses = self.probe == Probe::Ready && self.is_shutting_down;
        !refuses && self.checks.iter().all(CheckReport::is_passing)
    }

    /// What each check said, in the order in which they were added.
    pub fn checks(&self) -> &[CheckReport] {
        &self.checks
    }
}
