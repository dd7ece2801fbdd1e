//! A `/metrics` endpoint for any hyper, axum or tonic service.
//!
//! ```
//! use http::Request;
//! use http_body_util::BodyExt as _;
//! use tower::ServiceExt as _;
//! use tower_metrics_exporter::Exporter;
//! use tower_observe::{Spec, Unit};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Layers say what they record: `.specs(layer.specs())`. Here it is said by hand.
//! let exporter = Exporter::builder()
//!     .specs([Spec::histogram("job_seconds", Unit::Seconds, "Time of jobs.").buckets([1.0, 60.0])])
//!     .install()?;
//!
//! metrics::histogram!("job_seconds").record(2.5);
//!
//! let response = exporter.service().oneshot(Request::new(())).await?;
//! assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
//! let page = response.into_body().collect().await?.to_bytes();
//! assert!(page.starts_with(b"# HELP job_seconds Time of jobs.\n# TYPE job_seconds histogram\n"));
//! assert!(String::from_utf8_lossy(&page).contains("job_seconds_bucket{le=\"60\"} 1\n"));
//! # Ok(())
//! # }
//! ```
//!
//! # Where to put the service
//!
//! [`MetricsService`] is a `tower::Service` for any request body:
//! - axum: `Router::new().route_service("/metrics", exporter.service())`
//! - hyper: `hyper_util::service::TowerToHyperService::new(exporter.service())`, on a listener of its
//!   own or behind a `match` on the path
//! - tonic: `Routes::from(axum_router)`, as for axum
//!
//! What it shows may be confidential: give it a listener that only Prometheus reaches, or something in
//! front of it that asks who is there.
//!
//! # Buckets
//!
//! A histogram that a [`Spec`](tower_observe::Spec) describes has that spec's buckets, any other
//! [`DEFAULT_BUCKETS`]. None becomes a summary.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod error;
mod exporter;
mod service;

pub use self::{
    body::MetricsBody,
    error::BuildError,
    exporter::{DEFAULT_BUCKETS, Exporter, ExporterBuilder},
    service::MetricsService,
};
