//! Names, labels and buckets, as data: a table for each preset.

use crate::{
    instrument::{
        Dimension::{
            self, Direction, ErrorType, Label, Method, ProtocolVersion, Route, RpcCode, RpcMethod,
            RpcService, RpcSystem, RpcType, Scheme, Status,
        },
        Instrument::{
            self, Active, ActiveStreams, Duration, LabelOverflow, RequestSize, Requests,
            ResponseSize, RpcDuration, RpcHandled, RpcInFlight, RpcReceived, RpcSent, RpcStarted,
            StreamBytes, StreamDuration, TimeToHeaders, Upgrades,
        },
    },
    names::{api, buckets},
};

/// How the series of HTTP requests are named and labelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Names {
    /// `api_requests_total{method,endpoint,status}` and so on: see [`names::api`](crate::names::api).
    ///
    /// Streams and upgrades are left out of the duration, and have series of their own.
    #[default]
    Api,
    /// OpenTelemetry's semantic conventions for HTTP servers: `http.server.request.duration` and so on,
    /// with their attributes, units and buckets. Exporters to Prometheus turn the dots into `_`.
    OpenTelemetry,
    /// Those of the crate axum-prometheus: `axum_http_requests_total{method,status,endpoint}` and so on.
    AxumPrometheus,
}

/// How the series of gRPC calls are named and labelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GrpcNames {
    /// Those of go-grpc-middleware: `grpc_server_handled_total{grpc_type,grpc_service,grpc_method,
    /// grpc_code}` and so on, with Go's spelling of codes (`NotFound`).
    #[default]
    GoGrpc,
    /// OpenTelemetry's semantic conventions for RPC servers: `rpc.server.call.duration`.
    OpenTelemetry,
}

/// One row of a preset.
pub(crate) struct Row {
    pub(crate) instrument: Instrument,
    /// Without the prefix, which the builder may change.
    pub(crate) name: &'static str,
    pub(crate) labels: &'static [(Dimension, &'static str)],
    pub(crate) buckets: &'static [f64],
    pub(crate) on: bool,
}

const fn row(
    instrument: Instrument,
    name: &'static str,
    labels: &'static [(Dimension, &'static str)],
    buckets: &'static [f64],
    on: bool,
) -> Row {
    Row {
        instrument,
        name,
        labels,
        buckets,
        on,
    }
}

impl Names {
    /// The first word of the names, which a prefix replaces.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::OpenTelemetry => "http.server",
            Self::AxumPrometheus => "axum_http",
        }
    }

    /// Whether streams and upgrades have series of their own instead of the duration.
    pub(crate) const fn splits_streams(self) -> bool {
        matches!(self, Self::Api)
    }

    /// Whether a route that is not known is left out, rather than `_OTHER`.
    pub(crate) const fn omits_unmatched(self) -> bool {
        matches!(self, Self::OpenTelemetry)
    }

    pub(crate) const fn rows(self) -> &'static [Row] {
        match self {
            Self::Api => API,
            Self::OpenTelemetry => OPEN_TELEMETRY,
            Self::AxumPrometheus => AXUM_PROMETHEUS,
        }
    }
}

const ENDPOINT: &[(Dimension, &str)] = &[(Route, "endpoint")];

const API: &[Row] = &[
    row(
        Requests,
        api::REQUESTS_TOTAL,
        &[(Method, "method"), (Route, "endpoint"), (Status, "status")],
        &[],
        true,
    ),
    row(
        Duration,
        api::REQUEST_DURATION_SECONDS,
        ENDPOINT,
        &buckets::DURATION,
        true,
    ),
    row(
        TimeToHeaders,
        api::TIME_TO_HEADERS_SECONDS,
        ENDPOINT,
        &buckets::DURATION,
        false,
    ),
    row(
        Active,
        api::ACTIVE_REQUESTS,
        &[(Method, "method"), (Route, "endpoint")],
        &[],
        true,
    ),
    row(
        RequestSize,
        api::REQUEST_SIZE_BYTES,
        ENDPOINT,
        &buckets::SIZE,
        false,
    ),
    row(
        ResponseSize,
        api::RESPONSE_SIZE_BYTES,
        ENDPOINT,
        &buckets::SIZE,
        true,
    ),
    row(
        StreamDuration,
        api::STREAM_DURATION_SECONDS,
        ENDPOINT,
        &buckets::STREAM,
        true,
    ),
    row(ActiveStreams, api::ACTIVE_STREAMS, ENDPOINT, &[], true),
    row(
        StreamBytes,
        api::STREAM_BYTES_TOTAL,
        &[(Route, "endpoint"), (Direction, "direction")],
        &[],
        true,
    ),
    row(Upgrades, api::UPGRADES_TOTAL, ENDPOINT, &[], true),
    row(
        LabelOverflow,
        api::LABEL_OVERFLOW_TOTAL,
        &[(Label, "label")],
        &[],
        true,
    ),
];

/// Semantic conventions 1.44, `model/http/metrics.yaml`. Body sizes and active requests are opt-in
/// there; the active requests are on here, since nothing else tells them.
const OPEN_TELEMETRY: &[Row] = &[
    row(
        Duration,
        "http.server.request.duration",
        SEMCONV_REQUEST,
        &buckets::SEMCONV,
        true,
    ),
    row(
        Active,
        "http.server.active_requests",
        &[(Method, "http.request.method"), (Scheme, "url.scheme")],
        &[],
        true,
    ),
    row(
        RequestSize,
        "http.server.request.body.size",
        SEMCONV_REQUEST,
        &buckets::SIZE,
        false,
    ),
    row(
        ResponseSize,
        "http.server.response.body.size",
        SEMCONV_REQUEST,
        &buckets::SIZE,
        false,
    ),
    row(
        LabelOverflow,
        "http.server.label_overflow",
        &[(Label, "label")],
        &[],
        true,
    ),
];

const SEMCONV_REQUEST: &[(Dimension, &str)] = &[
    (Method, "http.request.method"),
    (Scheme, "url.scheme"),
    (ErrorType, "error.type"),
    (Status, "http.response.status_code"),
    (Route, "http.route"),
    (ProtocolVersion, "network.protocol.version"),
];

/// axum-prometheus 0.10.1.
const AXUM_PROMETHEUS: &[Row] = &[
    row(
        Requests,
        "axum_http_requests_total",
        AXUM_REQUEST,
        &[],
        true,
    ),
    row(
        Duration,
        "axum_http_requests_duration_seconds",
        AXUM_REQUEST,
        &buckets::PROMETHEUS,
        true,
    ),
    row(
        Active,
        "axum_http_requests_pending",
        AXUM_METHOD_ENDPOINT,
        &[],
        true,
    ),
    row(
        ResponseSize,
        "axum_http_response_body_size",
        AXUM_METHOD_ENDPOINT,
        &buckets::SIZE,
        false,
    ),
    row(
        LabelOverflow,
        "axum_http_label_overflow_total",
        &[(Label, "label")],
        &[],
        true,
    ),
];

const AXUM_REQUEST: &[(Dimension, &str)] =
    &[(Method, "method"), (Status, "status"), (Route, "endpoint")];

const AXUM_METHOD_ENDPOINT: &[(Dimension, &str)] = &[(Method, "method"), (Route, "endpoint")];

impl GrpcNames {
    /// The first word of the names, which a prefix replaces.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::GoGrpc => "grpc_server",
            Self::OpenTelemetry => "rpc.server",
        }
    }

    /// Whether service and method are one value, `package.Service/Method`.
    pub(crate) const fn joins_method(self) -> bool {
        matches!(self, Self::OpenTelemetry)
    }

    /// Whether codes are spelled as Go does.
    pub(crate) const fn go_codes(self) -> bool {
        matches!(self, Self::GoGrpc)
    }

    pub(crate) const fn rows(self) -> &'static [Row] {
        match self {
            Self::GoGrpc => GO_GRPC,
            Self::OpenTelemetry => OPEN_TELEMETRY_RPC,
        }
    }
}

const GO_CALL: &[(Dimension, &str)] = &[
    (RpcType, "grpc_type"),
    (RpcService, "grpc_service"),
    (RpcMethod, "grpc_method"),
];

/// go-grpc-middleware, `providers/prometheus/server_metrics.go`; in flight is ours.
const GO_GRPC: &[Row] = &[
    row(RpcStarted, "grpc_server_started_total", GO_CALL, &[], true),
    row(
        RpcHandled,
        "grpc_server_handled_total",
        &[
            (RpcType, "grpc_type"),
            (RpcService, "grpc_service"),
            (RpcMethod, "grpc_method"),
            (RpcCode, "grpc_code"),
        ],
        &[],
        true,
    ),
    row(
        RpcReceived,
        "grpc_server_msg_received_total",
        GO_CALL,
        &[],
        true,
    ),
    row(RpcSent, "grpc_server_msg_sent_total", GO_CALL, &[], true),
    row(
        RpcDuration,
        "grpc_server_handling_seconds",
        GO_CALL,
        &buckets::PROMETHEUS,
        true,
    ),
    row(RpcInFlight, "grpc_server_in_flight", GO_CALL, &[], true),
    row(
        LabelOverflow,
        "grpc_server_label_overflow_total",
        &[(Label, "label")],
        &[],
        true,
    ),
];

/// Semantic conventions 1.44, `model/rpc/metrics.yaml`.
const OPEN_TELEMETRY_RPC: &[Row] = &[
    row(
        RpcDuration,
        "rpc.server.call.duration",
        &[
            (RpcSystem, "rpc.system.name"),
            (RpcMethod, "rpc.method"),
            (RpcCode, "rpc.response.status_code"),
            (ErrorType, "error.type"),
        ],
        &buckets::SEMCONV,
        true,
    ),
    row(
        LabelOverflow,
        "rpc.server.label_overflow",
        &[(Label, "label")],
        &[],
        true,
    ),
];
