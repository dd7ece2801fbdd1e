//! Names of the series and labels, without the prefix.

/// The default prefix of the series.
pub const PREFIX: &str = "sentrascan";

/// Counter of ended scans. Labels: [`TYPE`], [`STATUS`].
pub const SCANS_TOTAL: &str = "scans_total";

/// Histogram of seconds from a scan's start to its end. Label: [`TYPE`].
pub const SCAN_DURATION_SECONDS: &str = "scan_duration_seconds";

/// Gauge of scans that run now, in this process. No labels.
pub const ACTIVE_SCANS: &str = "active_scans";

/// Counter of findings of completed scans. Label: [`SEVERITY`].
pub const FINDINGS_TOTAL: &str = "findings_total";

/// The scan's type: one of those the program gave, or [`OTHER`].
pub const TYPE: &str = "type";

/// How the scan ended: a [`Status`](crate::Status).
pub const STATUS: &str = "status";

/// A finding's [`Severity`](crate::Severity).
pub const SEVERITY: &str = "severity";

/// The type of a scan whose type the program did not give.
pub const OTHER: &str = "other";

/// Upper bounds of [`SCAN_DURATION_SECONDS`]' buckets, in seconds: half a second to an hour, with a
/// bound at each usual deadline (60, 300, 600), so that `le` says how many ended within it.
pub const SCAN_DURATION_BUCKETS: [f64; 15] = [
    0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1800.0, 3600.0,
];
