use std::{fmt, time::Instant};

use metrics::SharedString;
use tracing::Span;

use crate::{Outcome, ScanMeta, ScanMetrics, Severity};

/// A scan that runs. It ends exactly once: by one of the methods that consume it, else when dropped.
///
/// Dropped unfinished, it is cancelled. (`std::mem::forget` leaves it active for ever.)
#[must_use = "a scan that is dropped is cancelled"]
pub struct ActiveScan {
    scans: ScanMetrics,
    scan_type: SharedString,
    started: Instant,
    span: Span,
    /// Set while the scan's code runs: still set when dropped, that code did not return.
    inside: bool,
    ended: bool,
}

impl ActiveScan {
    pub(crate) fn new(
        scans: ScanMetrics,
        scan_type: SharedString,
        meta: &ScanMeta,
        started: Instant,
    ) -> Self {
        // At ERROR, so that a filter for severe events keeps what they belong to.
        let span = tracing::error_span!(
            target: "scan",
            "scan",
            scan_id = meta.id,
            scan_type = scan_type.as_ref(),
            scan_target = meta.target,
        );
        Self {
            scans,
            scan_type,
            started,
            span,
            inside: false,
            ended: false,
        }
    }

    /// The scan's span, to be entered where it works elsewhere (in a blocking task, say).
    pub const fn span(&self) -> &Span {
        &self.span
    }

    /// Ends the scan.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "one end, one outcome: neither is used again"
    )]
    pub fn end(mut self, outcome: Outcome) {
        self.finish(&outcome);
    }

    /// Runs a piece of the scan in its span, knowing that a panic may come.
    pub(crate) fn run<R>(&mut self, piece: impl FnOnce() -> R) -> R {
        self.inside = true;
        let result = self.span.in_scope(piece);
        self.inside = false;
        result
    }

    fn finish(&mut self, outcome: &Outcome) {
        self.ended = true;
        let duration = self
            .scans
            .clock()
            .now()
            .saturating_duration_since(self.started);
        self.scans.ended(&self.scan_type, outcome, duration);
        let duration_ms = duration.as_secs_f64() * 1e3;
        let status = outcome.status();
        self.span.in_scope(|| match outcome {
            Outcome::Completed(report) => tracing::info!(
                target: "scan",
                scan_status = status.as_str(),
                scan_duration_ms = duration_ms,
                findings_critical = report.count(Severity::Critical),
                findings_high = report.count(Severity::High),
                findings_medium = report.count(Severity::Medium),
                findings_low = report.count(Severity::Low),
                findings_info = report.count(Severity::Info),
                "scan finished",
            ),
            Outcome::Failed(error) => tracing::error!(
                target: "scan",
                scan_status = status.as_str(),
                scan_duration_ms = duration_ms,
                error,
                "scan finished",
            ),
            Outcome::TimedOut | Outcome::Cancelled => tracing::warn!(
                target: "scan",
                scan_status = status.as_str(),
                scan_duration_ms = duration_ms,
                "scan finished",
            ),
        });
    }
}

impl Drop for ActiveScan {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let outcome = if self.inside {
            Outcome::Failed(String::from("the scan panicked"))
        } else {
            Outcome::Cancelled
        };
        self.finish(&outcome);
    }
}

impl fmt::Debug for ActiveScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveScan")
            .field("type", &self.scan_type)
            .finish_non_exhaustive()
    }
}
