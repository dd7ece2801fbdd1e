//! What the platform tells of itself: series, log lines, and who records them.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use tonic::transport::server::TcpConnectInfo;
use tower_json_logging::{JsonLogging, PathPolicy};
use tower_metrics_exporter::{
    BuildInfo, Exporter, ExporterBuilder, ProcessCollector, TokioCollector, collector_fn,
};
use tower_observe::Spec;
use tower_request_metrics::{Protocol, RequestMetrics};
use tower_scan_lifecycle::ScanMetrics;

use crate::{
    grpc,
    store::{self, Store},
};

/// The observer that records requests.
pub fn request_metrics() -> RequestMetrics {
    RequestMetrics::new()
}

/// The observer that writes a line for each request, except those that come every few seconds.
pub fn request_log() -> JsonLogging {
    JsonLogging::new()
        // There are ids in them, and no secrets.
        .path(PathPolicy::raw())
        .client_ip(|request| {
            let peer = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
            Some(peer.0.ip())
        })
        .skip(|request| matches!(request.uri().path(), "/metrics" | "/api/v1/health"))
}

/// The observer that records gRPC calls, with the types of the methods that there are and the messages
/// in both directions: it wants a [`CountRequestBodyLayer`](tower_request_metrics::CountRequestBodyLayer)
/// inside.
///
/// # Errors
///
/// If what was generated to describe them cannot be read.
pub fn rpc_metrics() -> anyhow::Result<RequestMetrics> {
    let builder = RequestMetrics::builder()
        .protocol(Protocol::Grpc)
        .count_request_bodies();
    let builder = grpc::DESCRIPTORS
        .into_iter()
        .fold(builder, |builder, set| builder.descriptors(set));
    Ok(builder.build()?)
}

/// As [`request_log`], of gRPC calls.
pub fn rpc_log() -> JsonLogging {
    JsonLogging::new()
        // There are ids in them, and no secrets.
        .path(PathPolicy::raw())
        .client_ip(|request| {
            let peer = request.extensions().get::<TcpConnectInfo>()?;
            Some(peer.remote_addr()?.ip())
        })
        .skip(|request| request.uri().path().starts_with("/grpc.health.v1.Health/"))
}

/// Installs the exporter for everything that the platform records, with every series of scans at zero.
///
/// # Errors
///
/// If the process has a recorder already.
pub fn install_exporter(scans: &ScanMetrics, store: &Store) -> anyhow::Result<Exporter> {
    let exporter = exporter(scans)?.collector(store.collector()).install()?;
    scans.register();
    Ok(exporter)
}

/// Everything that the platform records of its own: requests, calls, scans, queries, log lines. What the
/// exporter adds of the process and of itself is not among it.
///
/// # Errors
///
/// See [`rpc_metrics`] and [`scan_metrics`](crate::platform::scan_metrics).
pub fn specs() -> anyhow::Result<Vec<Spec>> {
    let mut specs = request_metrics().specs();
    specs.extend(rpc_metrics()?.specs());
    specs.extend(crate::platform::scan_metrics()?.specs());
    specs.extend(store::specs());
    specs.extend(tower_json_logging::specs());
    Ok(specs)
}

/// An exporter that knows everything that the platform records.
///
/// # Errors
///
/// See [`rpc_metrics`].
pub fn exporter(scans: &ScanMetrics) -> anyhow::Result<ExporterBuilder> {
    Ok(Exporter::builder()
        .specs(specs()?)
        .collector(collector_fn("scans", {
            // The ages of the oldest scans rise between starts and ends, too.
            let scans = scans.clone();
            move |_| scans.refresh()
        }))
        .exemplars_from_spans()
        .collector(ProcessCollector::new())
        .collector(TokioCollector::new(&tokio::runtime::Handle::try_current()?))
        .collector(BuildInfo::new(
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
        )))
}
