use clap::{Args, ValueEnum};

/// How a team's series are named: what it gave to the builders.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The first word of the series of scans: what `ScanMetricsBuilder::prefix` was given. Alerts begin with
    /// it, too
    #[arg(long, value_name = "WORD", default_value = "sentrascan")]
    pub prefix: String,
    /// The job under which Prometheus scrapes the service; by default the prefix
    #[arg(long, value_name = "NAME")]
    pub job: Option<String>,
    /// How the series of scans are named and labelled: what `ScanMetricsBuilder::names` was given
    #[arg(long, value_enum, default_value_t)]
    pub scans: ScanPreset,
    /// How the series of requests are named and labelled
    #[arg(long, value_enum, default_value_t)]
    pub requests: Preset,
    /// The first word of the series of requests, if `RequestMetricsBuilder::prefix` was given one
    #[arg(long, value_name = "WORD")]
    pub requests_prefix: Option<String>,
    /// How the series of gRPC calls are named and labelled: what `RequestMetricsBuilder::grpc_names` was given
    #[arg(long, value_enum, default_value_t)]
    pub grpc: GrpcPreset,
    /// The words for how scans end: what `ScanMetricsBuilder::status_names` was given
    #[arg(long, value_enum, default_value_t)]
    pub statuses: Statuses,
    /// Routes that are no part of the objectives: probes, scrapes
    #[arg(
        long,
        value_name = "REGEX",
        default_value = "/metrics|/api/v1/health|_OTHER"
    )]
    pub unwatched_routes: String,
    /// Routes that may be slow: they run a scan before they answer
    #[arg(
        long,
        value_name = "REGEX",
        default_value = "/api/v1/(mcp|models)/scans"
    )]
    pub long_routes: String,
    /// Where the runbook can be read, for links in alerts
    #[arg(long, value_name = "URL", default_value = "monitoring/runbook.md")]
    pub runbook_url: String,
}

/// How series of requests are named and labelled: `tower_request_metrics::Names`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// `api_requests_total{method,endpoint,status}`
    #[default]
    Api,
    /// `http_server_request_duration_count{http_request_method,http_route,…}`
    OpenTelemetry,
    /// `axum_http_requests_total{method,status,endpoint}`
    AxumPrometheus,
}

/// How series of scans are named and labelled: `tower_scan_lifecycle::Names`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ScanPreset {
    /// `…_scan_duration_seconds{type}`
    #[default]
    Scans,
    /// `cicd_pipeline_run_duration{cicd_pipeline_name,…}`, and what has no name there as above
    OpenTelemetry,
}

/// How series of gRPC calls are named and labelled: `tower_request_metrics::GrpcNames`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GrpcPreset {
    /// `grpc_server_handled_total{grpc_type,grpc_service,grpc_method,grpc_code}`
    #[default]
    GoGrpc,
    /// `rpc_server_call_duration_count{rpc_method,rpc_response_status_code,…}`
    OpenTelemetry,
}

/// The words for how scans end: `tower_scan_lifecycle::StatusNames`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Statuses {
    /// `completed`, `failed`, `timed_out`, `cancelled`
    #[default]
    Lifecycle,
    /// `completed`, `failed`, `aborted`
    Sentrascan,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            prefix: String::from("sentrascan"),
            job: None,
            scans: ScanPreset::Scans,
            requests: Preset::Api,
            requests_prefix: None,
            grpc: GrpcPreset::GoGrpc,
            statuses: Statuses::Lifecycle,
            unwatched_routes: String::from("/metrics|/api/v1/health|_OTHER"),
            long_routes: String::from("/api/v1/(mcp|models)/scans"),
            runbook_url: String::from("monitoring/runbook.md"),
        }
    }
}
