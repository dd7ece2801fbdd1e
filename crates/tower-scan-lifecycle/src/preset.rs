use crate::Status;

/// How the series of scans are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Names {
    /// `sentrascan_scans_total{type,status}` and so on: see [`names`](crate::names).
    #[default]
    Scans,
    /// Those of OpenTelemetry's semantic conventions for CI/CD, where they have any; the others as above.
    ///
    /// | in place of | |
    /// |---|---|
    /// | `…_scan_duration_seconds` | `cicd.pipeline.run.duration{cicd.pipeline.name,cicd.pipeline.run.state="executing",cicd.pipeline.result,error.type}` |
    /// | `…_scan_queue_duration_seconds` | `cicd.pipeline.run.duration{cicd.pipeline.name,cicd.pipeline.run.state="pending"}` |
    /// | `…_active_scans`, `…_queued_scans` | `cicd.pipeline.run.active{cicd.pipeline.name,cicd.pipeline.run.state}` |
    /// | `…_scan_failures_total` | `cicd.pipeline.run.errors{cicd.pipeline.name,error.type}` |
    ///
    /// `cicd.pipeline.name` is the scan's type. `cicd.pipeline.result` is `success`; `failure` if the
    /// verdict is to block; `error`, `timeout` or `cancellation`. `error.type` is a
    /// [`FailureReason`](crate::FailureReason), or `blocked`, and not there on a success or a cancellation.
    OpenTelemetryCicd,
}

/// The words of the label `status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StatusNames {
    /// `completed`, `failed`, `timed_out`, `cancelled`.
    #[default]
    Lifecycle,
    /// Those of the SentraScan platform's database, which calls both of the last two `aborted`.
    SentraScan,
}

impl StatusNames {
    /// The word for a status.
    pub const fn name(self, status: Status) -> &'static str {
        match (self, status) {
            (Self::SentraScan, Status::TimedOut | Status::Cancelled) => "aborted",
            _ => status.as_str(),
        }
    }
}
