//! Names of the series, as the default names them.

/// Counter of ended requests. Labels: [`METHOD`], [`ENDPOINT`], [`STATUS`].
pub const REQUESTS_TOTAL: &str = "api_requests_total";

/// Histogram of seconds from the call of the service to the end of the response's body.
/// Label: [`ENDPOINT`].
pub const REQUEST_DURATION_SECONDS: &str = "api_request_duration_seconds";

/// Gauge of requests that have started and not yet ended. Labels: [`METHOD`], [`ENDPOINT`].
pub const ACTIVE_REQUESTS: &str = "api_active_requests";

/// The request's method, or [`OTHER`].
pub const METHOD: &str = "method";

/// The route's template, or [`OTHER`]. Never a path.
pub const ENDPOINT: &str = "endpoint";

/// The effective status, as three digits.
pub const STATUS: &str = "status";

/// What a label says of a value that is not one of the known ones.
pub const OTHER: &str = "_OTHER";

/// Upper bounds of [`REQUEST_DURATION_SECONDS`]' buckets, in seconds: those of OpenTelemetry's
/// `http.server.request.duration`, and two above for slow work.
pub const DURATION_BUCKETS: [f64; 16] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0,
];
