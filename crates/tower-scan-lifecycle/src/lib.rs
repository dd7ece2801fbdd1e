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
//! let scans = ScanMetrics::builder().types(["mcp", "model"]).build().unwrap();
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
//! # Where a scan begins and ends
//!
//! | where it runs | with |
//! |---|---|
//! | behind any `Service` | [`ScanLayer`]: the request says which scan it is, the answer how it ended |
//! | behind an HTTP or gRPC route | `HttpScanLayer` (feature `http`): the handler has a `CurrentScan`, reports, or takes the scan over for a `202` |
//! | in code of one's own | [`ScanMetrics::start`], which gives an [`ActiveScan`] |
//! | after a wait in this process | [`ScanMetrics::queue`], which gives a [`QueuedScan`], then [`QueuedScan::start`] |
//! | after a wait in a queue that processes share | [`QueuedScan::into_ticket`], then [`ScanMetrics::start_ticket`]; the depth from its store by [`ScanMetrics::set_queue`] |
//! | in a process that is gone | [`ScanMetrics::abandoned`], at the next start |
//!
//! Whatever it is, it ends exactly once:
//!
//! | how it ends | `status` | `reason` |
//! |---|---|---|
//! | [`ActiveScan::complete`]; the service answers | `completed` | |
//! | [`ActiveScan::fail`]; the service gives an error | `failed` | that of the [`Failure`]; `error` unless it says more |
//! | its code panics, whether or not something catches that | `failed` | `panic` |
//! | it is dropped: the caller went away, its task was aborted, the runtime is shut down | `cancelled` | `cancelled` |
//! | it is dropped at its [deadline](ScanMeta::deadline) or later; a timeout is told apart | `timed_out` | `timeout` |
//! | its process is gone | `failed` | `worker_lost` |
//! | [`ActiveScan::retry`], [`ActiveScan::reject`]: it was no end of a scan | none | |
//!
//! # What is recorded, and when
//!
//! | series | kind | labels | when |
//! |---|---|---|---|
//! | `sentrascan_scans_total` | counter | `type`, `status` | once a scan, at its end |
//! | `sentrascan_scan_duration_seconds` | histogram | `type` ([`status`](ScanMetricsBuilder::status_on_duration)) | at each of these ends, from the start on |
//! | `sentrascan_active_scans` | gauge | ([`type`](ScanMetricsBuilder::type_labels)) | at each start and end: this process's count |
//! | `sentrascan_findings_total` | counter | `severity` ([`type`](ScanMetricsBuilder::type_labels)) | when a scan completes |
//! | `sentrascan_scans_started_total` | counter | `type` | at each start; at each rejection before one |
//! | `sentrascan_scan_failures_total` | counter | `type`, `reason` | at each end but completed |
//! | `sentrascan_scans_rejected_total` | counter | `type`, `reason` | when what was asked for does not become a scan |
//! | `sentrascan_scan_retries_total` | counter | `type` | when an attempt is given back |
//! | `sentrascan_scans_blocked_total` | counter | `type` ([`reason`](ScanMetricsBuilder::reason_on_blocked)) | when a scan completes whose verdict is to block |
//! | `sentrascan_baseline_drift_total` | counter | `type` | when a scan completes that saw a drift |
//! | `sentrascan_queued_scans` | gauge | ([`type`](ScanMetricsBuilder::type_labels)) | as scans come to wait in this process, and leave |
//! | `sentrascan_queue_depth` | gauge | `type` | at [`ScanMetrics::set_queue`]; the same in all processes: take the maximum |
//! | `sentrascan_scan_queue_duration_seconds` | histogram | `type` | at the start of a scan that waited |
//! | `sentrascan_oldest_active_scan_age_seconds` | gauge | `type` | at each start and end, and each [refresh](ScanMetrics::refresh); 0 if there is none; take the maximum |
//! | `sentrascan_oldest_queued_scan_age_seconds` | gauge | `type` | the same |
//! | `sentrascan_scan_last_success_timestamp_seconds` | gauge | `type` | when a scan completes; Unix time, 0 before; take the maximum |
//! | `sentrascan_api_key_uses_total` | counter | `outcome` ([`role`](ScanMetricsBuilder::roles)) | at [`ScanMetrics::api_key_use`] |
//! | `sentrascan_scan_stage_duration_seconds` | histogram | `type`, `stage` | at the end of a [`Stage`], if there are [stages](ScanMetricsBuilder::stages) |
//! | `sentrascan_scan_engine_runs_total` | counter | `engine`, `status` | at the end of an [`EngineRun`], if there are [engines](ScanMetricsBuilder::engines) |
//! | `sentrascan_engine_up` | gauge | `engine` | at [`ScanMetrics::engine_up`], if there are engines |
//!
//! Labels take closed sets of values: types, stages, engines and roles are those the program gives, else
//! `other`; the others are enums ([`Status`], [`FailureReason`], [`RejectReason`], [`BlockReason`],
//! [`Severity`], [`EngineStatus`], [`KeyUse`]). All of them stand at zero after
//! [`register`](ScanMetrics::register): a series that is born at 1 shows no rise. Ids, targets and tenants are
//! never labels; they are in the scan's span.
//!
//! So that, over any time in which no recorder was changed:
//!
//! - started = ended (all of `scans_total`) + rejected + given back + active;
//! - for each type, the durations' count = what ended, except [abandoned](ScanMetrics::abandoned) scans of
//!   which nobody knows when they began;
//! - for each type, the failures of all reasons = what ended in another status than `completed`.
//!
//! A scan that is blocked has completed: the [`Verdict`] is not the status.
//!
//! The gauges are set from this process's own count, at each change. A recorder that comes late, is replaced
//! or forgets loses counts, and shows the right gauges after the next change or
//! [`refresh`](ScanMetrics::refresh). Have the exporter refresh before each scrape; with
//! `tower-metrics-exporter`: `.collector(collector_fn("scans", move |_| scans.refresh()))`. And give the
//! exporter the [specs](ScanMetrics::specs): without their buckets, durations of minutes are past the last
//! bucket of most, or in a summary.
//!
//! # Queries
//!
//! | question | query |
//! |---|---|
//! | scans an hour | `sum by (type) (increase(sentrascan_scans_total[1h]))` |
//! | success ratio | `sum by (type) (increase(sentrascan_scans_total{status="completed"}[1d])) / sum by (type) (increase(sentrascan_scans_total{status!="cancelled"}[1d]))` |
//! | 95th percentile | `histogram_quantile(0.95, sum by (le, type) (rate(sentrascan_scan_duration_seconds_bucket[30m])))` |
//! | stuck | `max by (type) (sentrascan_oldest_active_scan_age_seconds) > 1800` |
//! | nothing succeeded for a day | `time() - max by (type) (sentrascan_scan_last_success_timestamp_seconds > 0) > 86400` |
//! | an engine dies in scans that complete | `sum by (engine) (increase(sentrascan_scan_engine_runs_total{status!="completed"}[1h])) / sum by (engine) (increase(sentrascan_scan_engine_runs_total[1h])) > 0.2` |
//!
//! A ratio needs `sum` on both sides: `rate(x{status="failed"}[15m]) / rate(x[15m])` is always 1, as each
//! side keeps its `status`, and matches itself.
//!
//! # What is logged
//!
//! Each scan has a span `scan` (target `scan`) with `scan_id`, `scan_type`, `scan_target`, and where they are
//! known `scan_attempt`, `scan_trigger`, `tenant_id`. It is a child of the present span where the scan is
//! asked for and run at one place. A scan that waited, or that a handler took over for a `202`, outlives what
//! asked for it: its span has no parent, the one that asked is linked (`follows_from`) if it is still open,
//! and a [`traceparent`](ScanMeta::traceparent) gives it `trace_id` and `linked_span_id`.
//!
//! Each end that `scans_total` counts is one event `scan finished` in that span, from the same code as the
//! counter: at INFO if completed, at ERROR if failed, else (blocked, timed out, cancelled) at WARN, with
//! `scan_status`, `scan_reason`, `scan_duration_ms`, `scan_queue_ms`, `findings_critical` to `findings_info`,
//! `scan_verdict`, `scan_drift` and `error`. (Scans counted by [`ScanMetrics::abandoned`] are one event
//! `scans abandoned` with their number.) Durations are recorded within the span, so that an exporter with
//! exemplars points to the scan's trace.
//!
//! # Features
//!
//! | | |
//! |---|---|
//! | `http` | `HttpScanLayer` |
//! | `axum` | the same, with axum's routes, and `CurrentScan` as an extractor |
//! | `serde` | [`Ticket`]s serialise |
//! | `timeout` | [`ScanError`] for boxed errors, which tells tower's timeout apart |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod active;
mod books;
mod builder;
mod classify;
mod context;
mod end;
mod error;
mod future;
mod gauges;
#[cfg(feature = "http")]
mod http;
mod instruments;
mod layer;
mod meta;
mod metrics;
pub mod names;
mod outcome;
mod parts;
mod preset;
mod queued;
mod recorder;
mod report;
mod scope;
mod series;
mod service;
mod severity;
mod span;
mod status;
mod ticket;
mod trace_parent;
mod typed;

#[cfg(feature = "axum")]
pub use self::http::NoScan;
#[cfg(feature = "http")]
pub use self::http::{CurrentScan, HttpScan, HttpScanLayer, HttpScans};
pub use self::{
    active::ActiveScan,
    builder::ScanMetricsBuilder,
    classify::{ClassifyOutcome, ClassifyScan},
    context::ScanContext,
    error::BuildError,
    future::ScanFuture,
    layer::ScanLayer,
    meta::ScanMeta,
    metrics::ScanMetrics,
    outcome::{Failure, Outcome},
    parts::{EngineRun, Stage},
    preset::{Names, StatusNames},
    queued::QueuedScan,
    report::{ScanReport, Verdict},
    scope::Scope,
    service::ScanService,
    status::{BlockReason, EngineStatus, FailureReason, KeyUse, RejectReason, Severity, Status},
    ticket::Ticket,
    typed::{ScanError, ScanRequest, ScanResponse, Typed},
};
