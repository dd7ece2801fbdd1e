//! What goes through the queue.

use scan_platform::scan::{ScanType, Severities};
use serde::{Deserialize, Serialize};
use tower_scan_lifecycle::{ScanMeta, Ticket};

/// A scan to be run by whichever worker takes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Its id, type, and since when it waits, for which attempt.
    pub(crate) ticket: Ticket,
    /// Which scanner is to run.
    pub(crate) scan_type: ScanType,
    /// What it is to read, relative to the worker's scan root.
    pub(crate) path: String,
}

impl Job {
    /// The scan's id. Whoever put a job into the queue by other means than ours may have given none.
    pub(crate) fn id(&self) -> &str {
        self.ticket.id().unwrap_or_default()
    }

    /// What is recorded of it.
    pub(crate) fn meta(&self) -> ScanMeta {
        let meta = self.ticket.clone().into_meta();
        meta.target(self.path.clone())
    }
}

/// What becomes of a job, for whoever asks the queue.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// `completed`, `failed`, `timed_out`; `waits` for its next attempt; `skipped`: it had ended before.
    pub(crate) status: String,
    /// Whether the policy lets it pass, if it completed.
    pub(crate) passed: Option<bool>,
    /// How many findings there are of each severity.
    pub(crate) severities: Severities,
    /// Why there are none.
    pub(crate) error: Option<String>,
}

impl Summary {
    pub(crate) fn of(status: &str) -> Self {
        Self {
            status: status.to_owned(),
            ..Self::default()
        }
    }
}
