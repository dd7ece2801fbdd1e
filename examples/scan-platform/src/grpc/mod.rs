//! The gRPC interface: `proto/sentrascan/v1/scans.proto`.

mod convert;
mod scans;

use std::{any::Any, time::Duration};

use anyhow::Context as _;
use tokio::{net::TcpListener, sync::watch};
use tonic::{
    Status,
    body::Body,
    server::NamedService,
    transport::{Server, server::TcpIncoming},
};
use tower_http::catch_panic::CatchPanicLayer;
use tower_metrics_exporter::HealthHandle;
use tower_observe::ObserveLayer;
use tower_request_metrics::CountRequestBodyLayer;

use self::{proto::scans_server::ScansServer, scans::ScanService};
use crate::{api::MAX_BODY_BYTES, platform::Platform, telemetry};

/// What is generated from the `.proto`, for servers and clients.
#[allow(
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "it is generated"
)]
pub mod proto {
    tonic::include_proto!("sentrascan.v1");

    /// The `.proto` and what it imports, compiled: an encoded `FileDescriptorSet`.
    pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("sentrascan.v1");
}

/// How often a silent connection is asked whether anybody is there, as a silent stream of server-sent
/// events is.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The services that are served, each as an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: [&[u8]; 4] = [
    proto::FILE_DESCRIPTOR_SET,
    tonic_health::pb::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
];

/// Serves until the sender of `stopped` is gone, and then what was asked until then.
///
/// # Errors
///
/// If the server fails.
pub async fn serve(
    platform: Platform,
    listener: TcpListener,
    health: &HealthHandle,
    mut stopped: watch::Receiver<()>,
) -> anyhow::Result<()> {
    let metrics = telemetry::rpc_metrics()?;
    metrics.init_grpc();
    let described = || {
        let described = tonic_reflection::server::Builder::configure();
        DESCRIPTORS.into_iter().fold(described, |described, set| {
            described.register_encoded_file_descriptor_set(set)
        })
    };
    // From the outside in, as around the HTTP interface.
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .layer(ObserveLayer::new((metrics, telemetry::rpc_log())))
        .layer(CountRequestBodyLayer::new())
        .layer(CatchPanicLayer::custom(panicked))
        .add_service(health.grpc([<ScansServer<ScanService> as NamedService>::NAME]))
        .add_service(described().build_v1()?)
        .add_service(described().build_v1alpha()?)
        .add_service(
            ScansServer::new(ScanService::new(platform)).max_decoding_message_size(MAX_BODY_BYTES),
        );
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    // An error tells that the sender is gone.
    let stopped = async { while stopped.changed().await.is_ok() {} };
    let served = server.serve_with_incoming_shutdown(incoming, stopped);
    served.await.context("the gRPC server failed")
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> axum::http::Response<Body> {
    Status::internal("the request's handler panicked").into_http()
}
