//! Lifecycle metrics for scans: long-running work with a type, an end status and findings, behind any
//! tower [`Service`](tower_service::Service).
//!
//! ```
//! use metrics_exporter_prometheus::PrometheusBuilder;
//! use tower::{Service as _, ServiceBuilder, ServiceExt as _, service_fn};
//! use tower_scan_lifecycle::{Outcome, ScanLayer, ScanMeta, ScanMetrics, ScanReport, Severity};
//!
//! struct Job { id: u64, path: &'static str }
//! struct Done { secrets: u64 }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // Any recorder of the `metrics` facade will do.
//! let recorder = PrometheusBuilder::new().build_recorder();
//! let page = recorder.handle();
//! let _local = metrics::set_default_local_recorder(&recorder);
//!
//! let scans = ScanMetrics::builder().types(["mcp", "model"]).build();
//! scans.register(); // every series at zero
//!
//! let mut scanner = ServiceBuilder::new()
//!     .layer(
//!         ScanLayer::new(scans, |job: &Job| {
//!             Some(ScanMeta::new("mcp").id(job.id.to_string()).target(job.path))
//!         })
//!         .outcome(|result: Result<&Done, &std::io::Error>| match result {
//!             Ok(done) => {
//!                 Outcome::Completed(ScanReport::new().findings(Severity::Critical, done.secrets))
//!             }
//!             Err(error) => Outcome::failed(error),
//!         }),
//!     )
//!     .service(service_fn(|_job: Job| async { Ok(Done { secrets: 2 }) }));
//!
//! scanner.ready().await.unwrap().call(Job { id: 7, path: "mcp.json" }).await.unwrap();
//!
//! let page = page.render();
//! assert!(page.contains("sentrascan_scans_total{type=\"mcp\",status=\"completed\"} 1"));
//! assert!(page.contains("sentrascan_findings_total{severity=\"critical\"} 2"));
//! assert!(page.contains("sentrascan_active_scans 0"));
//! # }
//! ```
//!
//! # What is recorded, and when
//!
//! | series | kind | labels | when |
//! |---|---|---|---|
//! | `sentrascan_scans_total` | counter | `type`, `status` | once a scan, at its end |
//! | `sentrascan_scan_duration_seconds` | histogram | `type` | once a scan, at its end |
//! | `sentrascan_active_scans` | gauge | | at each start and end: this process's count |
//! | `sentrascan_findings_total` | counter | `severity` | at the end of a completed scan |
//!
//! | how it ends | [`Status`] |
//! |---|---|
//! | the service answers | what the outcome's classifier says; by default `completed` |
//! | the service gives an error | what the classifier says; by default `failed` |
//! | the service panics, in `call` or in a poll | `failed` |
//! | the future is dropped: the caller went away, a timeout outside | `cancelled` |
//!
//! Labels take closed sets of values: types are those the program gives, else `other`. Ids and targets
//! go into the scan's span (`scan_id`, `scan_type`, `scan_target`), and each end is one event
//! `scan finished` in it, from the same code as the counter.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod active;
mod classify;
mod future;
mod layer;
mod metrics;
pub mod names;
mod outcome;
mod service;
mod status;

pub use self::{
    active::ActiveScan,
    classify::{ClassifyOutcome, ClassifyScan, ScanMeta},
    future::ScanFuture,
    layer::ScanLayer,
    metrics::{ScanMetrics, ScanMetricsBuilder},
    outcome::{Outcome, ScanReport},
    service::ScanService,
    status::{Severity, Status},
};
