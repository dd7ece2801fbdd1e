//! Names of the series and labels, and bounds of buckets. Series are named without their prefix.

/// The default prefix of the series.
pub const PREFIX: &str = "sentrascan";

/// Counter of ended scans. Labels: [`TYPE`], [`STATUS`].
pub const SCANS_TOTAL: &str = "scans_total";

/// Histogram of seconds from a scan's start to its end, of every end that [`SCANS_TOTAL`] counts; time in
/// a queue is not in it. Label: [`TYPE`].
pub const SCAN_DURATION_SECONDS: &str = "scan_duration_seconds";

/// Gauge of scans that run now, in this process. No labels.
pub const ACTIVE_SCANS: &str = "active_scans";

/// Counter of findings of completed scans. Label: [`SEVERITY`].
pub const FINDINGS_TOTAL: &str = "findings_total";

/// Counter of runs that have begun, and of scans that were rejected before. Label: [`TYPE`].
pub const SCANS_STARTED_TOTAL: &str = "scans_started_total";

/// Counter of scans that ended in another way than completed. Labels: [`TYPE`], [`REASON`].
pub const SCAN_FAILURES_TOTAL: &str = "scan_failures_total";

/// Counter of what was asked for and never became a scan. Labels: [`TYPE`], [`REASON`].
pub const SCANS_REJECTED_TOTAL: &str = "scans_rejected_total";

/// Counter of attempts that were given back to be tried again. Label: [`TYPE`].
pub const SCAN_RETRIES_TOTAL: &str = "scan_retries_total";

/// Counter of completed scans whose verdict is to block. Label: [`TYPE`].
pub const SCANS_BLOCKED_TOTAL: &str = "scans_blocked_total";

/// Counter of completed scans that saw a drift from their baseline. Label: [`TYPE`].
pub const BASELINE_DRIFT_TOTAL: &str = "baseline_drift_total";

/// Gauge of scans that wait in this process. No labels.
pub const QUEUED_SCANS: &str = "queued_scans";

/// Gauge of scans that wait in a queue that processes share, as its store says. Label: [`TYPE`]. The
/// maximum across instances is the depth, not the sum.
pub const QUEUE_DEPTH: &str = "queue_depth";

/// Histogram of seconds that scans waited before they started. Label: [`TYPE`].
pub const SCAN_QUEUE_DURATION_SECONDS: &str = "scan_queue_duration_seconds";

/// Gauge of seconds since the oldest scan that still runs has started, 0 without one. Label: [`TYPE`].
/// Across instances: the maximum.
pub const OLDEST_ACTIVE_SCAN_AGE_SECONDS: &str = "oldest_active_scan_age_seconds";

/// Gauge of seconds that the oldest scan that still waits has waited, 0 without one. Label: [`TYPE`].
/// Across instances: the maximum.
pub const OLDEST_QUEUED_SCAN_AGE_SECONDS: &str = "oldest_queued_scan_age_seconds";

/// Gauge of the Unix time of the last completed scan, 0 before the first. Label: [`TYPE`]. Across
/// instances: the maximum.
pub const SCAN_LAST_SUCCESS_TIMESTAMP_SECONDS: &str = "scan_last_success_timestamp_seconds";

/// Histogram of seconds of the parts of scans. Labels: [`TYPE`], [`STAGE`].
pub const SCAN_STAGE_DURATION_SECONDS: &str = "scan_stage_duration_seconds";

/// Counter of runs of engines within scans. Labels: [`ENGINE`], [`STATUS`].
pub const SCAN_ENGINE_RUNS_TOTAL: &str = "scan_engine_runs_total";

/// Gauge: 1 if the engine's last probe found it working, else 0. Label: [`ENGINE`].
pub const ENGINE_UP: &str = "engine_up";

/// Counter of requests by what became of their API key. Label: [`OUTCOME`].
pub const API_KEY_USES_TOTAL: &str = "api_key_uses_total";

/// The scan's type: one of those the program gave, or [`OTHER`].
pub const TYPE: &str = "type";

/// How it ended: a [`Status`](crate::Status), or an [`EngineStatus`](crate::EngineStatus).
pub const STATUS: &str = "status";

/// Why: a [`FailureReason`](crate::FailureReason), a [`RejectReason`](crate::RejectReason) or a
/// [`BlockReason`](crate::BlockReason).
pub const REASON: &str = "reason";

/// A finding's [`Severity`](crate::Severity).
pub const SEVERITY: &str = "severity";

/// A part of a scan: one of those the program gave, or [`OTHER`].
pub const STAGE: &str = "stage";

/// What does the scanning within a scan: one of those the program gave, or [`OTHER`].
pub const ENGINE: &str = "engine";

/// A [`KeyUse`](crate::KeyUse).
pub const OUTCOME: &str = "outcome";

/// The role of an API key's holder: one of those the program gave, [`OTHER`], or [`NONE`].
pub const ROLE: &str = "role";

/// What a label says of a value that the program did not give.
pub const OTHER: &str = "other";

/// The role of a key that nobody holds.
pub const NONE: &str = "none";

/// Upper bounds of [`SCAN_DURATION_SECONDS`]' buckets, in seconds: half a second to an hour, with a
/// bound at each usual deadline (60, 300, 600), so that `le` says how many ended within it.
pub const SCAN_DURATION_BUCKETS: [f64; 15] = [
    0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1800.0, 3600.0,
];

/// Upper bounds of [`SCAN_QUEUE_DURATION_SECONDS`]' buckets, in seconds: 50 milliseconds to an hour.
pub const SCAN_QUEUE_BUCKETS: [f64; 15] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
];

/// Upper bounds of [`SCAN_STAGE_DURATION_SECONDS`]' buckets, in seconds: 10 milliseconds to ten minutes.
pub const SCAN_STAGE_BUCKETS: [f64; 14] = [
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];

/// OpenTelemetry's semantic conventions for CI/CD pipelines, as far as they speak of runs.
pub mod cicd {
    /// Histogram of seconds of runs by state: waiting, or executing until the result.
    pub const RUN_DURATION: &str = "cicd.pipeline.run.duration";
    /// Runs by state, now.
    pub const RUN_ACTIVE: &str = "cicd.pipeline.run.active";
    /// Counter of errors in runs.
    pub const RUN_ERRORS: &str = "cicd.pipeline.run.errors";
    /// The pipeline: here the scan's type.
    pub const PIPELINE_NAME: &str = "cicd.pipeline.name";
    /// `pending` or `executing`.
    pub const RUN_STATE: &str = "cicd.pipeline.run.state";
    /// `success`, `failure`, `error`, `timeout` or `cancellation`.
    pub const RESULT: &str = "cicd.pipeline.result";
    /// Why a run is no success.
    pub const ERROR_TYPE: &str = "error.type";
}
