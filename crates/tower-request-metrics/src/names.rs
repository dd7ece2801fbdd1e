//! Names of the series, labels and label values.

/// What a label says of a value that is not one of the known ones: an unmatched route, an unknown
/// method, a value over budget.
pub const OTHER: &str = "_OTHER";

/// The series of the default preset, [`Names::Api`](crate::Names::Api), with the prefix `api`.
pub mod api {
    /// Counter of ended requests. Labels: `method`, `endpoint`, `status`.
    pub const REQUESTS_TOTAL: &str = "api_requests_total";
    /// Histogram of seconds from the call of the service to the end of the response's body, streams and
    /// upgrades left out. Label: `endpoint`.
    pub const REQUEST_DURATION_SECONDS: &str = "api_request_duration_seconds";
    /// Histogram of seconds from the call of the service to the response's head. Label: `endpoint`.
    pub const TIME_TO_HEADERS_SECONDS: &str = "api_time_to_headers_seconds";
    /// Gauge of requests that have started and not yet ended. Labels: `method`, `endpoint`.
    pub const ACTIVE_REQUESTS: &str = "api_active_requests";
    /// Histogram of the declared bytes of request bodies. Label: `endpoint`.
    pub const REQUEST_SIZE_BYTES: &str = "api_request_size_bytes";
    /// Histogram of the sent bytes of response bodies. Label: `endpoint`.
    pub const RESPONSE_SIZE_BYTES: &str = "api_response_size_bytes";
    /// Histogram of seconds that streams lasted. Label: `endpoint`.
    pub const STREAM_DURATION_SECONDS: &str = "api_stream_duration_seconds";
    /// Gauge of streams that are being sent. Label: `endpoint`.
    pub const ACTIVE_STREAMS: &str = "api_active_streams";
    /// Counter of bytes of streams, as they go. Labels: `endpoint`, `direction`.
    pub const STREAM_BYTES_TOTAL: &str = "api_stream_bytes_total";
    /// Counter of connections that switched protocols. Label: `endpoint`.
    pub const UPGRADES_TOTAL: &str = "api_upgrades_total";
    /// Counter of label values that were over budget, and recorded as `_OTHER`. Label: `label`.
    pub const LABEL_OVERFLOW_TOTAL: &str = "api_label_overflow_total";
}

/// Buckets of histograms.
pub mod buckets {
    /// Seconds: those of OpenTelemetry's `http.server.request.duration`, and two above for slow work.
    pub const DURATION: [f64; 16] = [
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0,
    ];
    /// Seconds: those of OpenTelemetry's `http.server.request.duration` and `rpc.server.call.duration`.
    pub const SEMCONV: [f64; 14] = [
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    ];
    /// Seconds: the default of Prometheus' client libraries.
    pub const PROMETHEUS: [f64; 11] = [
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ];
    /// Bytes: 256 B to 64 MiB, in steps of four.
    pub const SIZE: [f64; 10] = [
        256.0,
        1024.0,
        4096.0,
        16384.0,
        65536.0,
        262_144.0,
        1_048_576.0,
        4_194_304.0,
        16_777_216.0,
        67_108_864.0,
    ];
    /// Seconds: how long streams last, one second to a day.
    pub const STREAM: [f64; 10] = [
        1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0,
    ];
}
