//! A recorder for the `metrics` facade, and a `/metrics` endpoint for any hyper, axum or tonic service.
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
//! let Ok(response) = exporter.service().oneshot(Request::new(())).await;
//! assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
//! let page = response.into_body().collect().await?.to_bytes();
//! let page = String::from_utf8_lossy(&page);
//! assert!(page.contains("# HELP job_seconds Time of jobs.\n# TYPE job_seconds histogram\n"));
//! assert!(page.contains("job_seconds_bucket{le=\"60.0\"} 1\n"));
//! # Ok(())
//! # }
//! ```
//!
//! # Where to put the service
//!
//! [`MetricsService`] is a `tower::Service` for any request body, [`MetricsLayer`] answers one path in
//! front of a service:
//! - axum: `Router::new().route_service("/metrics", exporter.service())`
//! - hyper: `hyper_util::service::TowerToHyperService::new(exporter.service())`, on a listener of its
//!   own, or `exporter.layer()` around the service
//! - tonic: `Server::builder().accept_http1(true).layer(exporter.layer())`
//!
//! What it shows may be confidential: give it a listener that only Prometheus reaches, or something in
//! front of it that asks who is there. [`AdminService`] asks, and [`AdminServer`] is such a listener.
//!
//! # What is recorded
//!
//! | | |
//! |---|---|
//! | counters | whole numbers, exact to 2^64; `absolute` never lowers them |
//! | gauges | floats |
//! | histograms | fixed buckets of constant size, never a summary: those of the family's [`Spec`], of [`buckets`](ExporterBuilder::buckets), else [`DEFAULT_BUCKETS`], or [`DEFAULT_SIZE_BUCKETS`] for `*_bytes`; [native ones](ExporterBuilder::native_histograms) beside them if asked for. Values that are no finite numbers are left out and counted |
//! | memory | nothing grows between scrapes, and nothing has to be called. What nobody can reach any more is never more than what is there |
//! | names | made valid: `[a-zA-Z_:][a-zA-Z0-9_:]*`, with [base units](ExporterBuilder::base_units) by how they end; the unit of a `describe_…!` changes nothing. Two names that become one are one family, counted in `exporter_name_collisions_total{family}` |
//! | labels | sorted; names made valid, `le`, `quantile` and `__*` with the prefix `exported_`; of two of one name the first; empty values left out, as they are none to Prometheus; any other value kept as it is, but for those of more than 8 KiB, which are recorded in the overflow |
//! | families | of one kind and unit each, and none that writes a histogram's samples: what comes second is refused, and counted in `exporter_series_rejected_total{reason}` (`kind`, `unit`, `name_clash`; `duplicate_label` and `label_too_long` count what was taken otherwise) |
//! | series | [10,000](DEFAULT_LIMIT) a family, or what its spec or a [limit](ExporterBuilder::limit) says: more are one series, `{otel_metric_overflow="true"}`, counted in `exporter_series_overflow_total{family}` |
//! | lifetime | of the process, unless they [expire](ExporterBuilder::expire), are [removed](Exporter::remove) or [leased](Exporter::lease). A held handle that is used again brings its series back with its full value |
//!
//! A signal handler must not record: it may have interrupted its own thread while that records, whose value is
//! then lost, or whose lock it waits for for ever.
//!
//! What it says of itself is in [`specs`].
//!
//! # Formats
//!
//! Text 0.0.4, OpenMetrics 1.0 and protobuf, as `Accept` asks; gzip and zstd, as `Accept-Encoding` asks. A
//! series is the same in each: OpenMetrics does not rename counters (one whose name does not end in
//! `_total`, or whose other names are taken there, is `unknown`), and bounds are written as Prometheus writes those that come by protobuf
//! (`le="1.0"`). Exemplars are in OpenMetrics and protobuf, native histograms and created timestamps in
//! protobuf.
//!
//! # Collectors
//!
//! A [`Collector`] is read when somebody scrapes: [`ProcessCollector`], [`TokioCollector`], [`BuildInfo`],
//! or [a closure](collector_fn). One that panics does not spoil the page, and one that hangs does not hold it
//! up if it [said](Collector::is_blocking) that it may block; else the scrape ends by its
//! [timeout](MetricsService::timeout).
//!
//! # Health
//!
//! A [`HealthHandle`] has named [`Check`]s of startup, liveness and readiness. Whoever asks, hears the same:
//! over HTTP ([`HealthService`]), over gRPC ([`HealthHandle::grpc`]), and in the gauges of the registry. A check that
//! hangs or panics has failed, and holds up nobody.
//!
//! # Operations
//!
//! [`AdminService`] has metrics and probes for those who run the process: on its very paths, for whom has
//! [`Credentials`], and for nobody who calls it by another's name. [`AdminServer`] is a listener for it, on loopback unless
//! told otherwise, with limits for slow and hostile clients, and TLS. [`Operations`] run them, and end them: readiness off, a last
//! scrape, what is asked answered, what waits flushed, by a deadline, and a [report](ShutdownReport) of what did not
//! make it.
//!
//! # Sinks
//!
//! Where nobody scrapes, [`Exporter::sinks`] sends the same series, those of collectors included, to any number
//! of places at once, with one reading for all of them: `Otlp` to OpenTelemetry collectors over HTTP
//! and gRPC, `RemoteWrite` to Prometheus and what speaks its protocol, `Pushgateway` for jobs that end, `Statsd` to
//! agents, `MemorySink` for tests. What cannot be sent is tried again with
//! growing pauses and waits in a buffer of bounded size; what is lost is counted. One handle owns all tasks,
//! and its `shutdown` sends everything once more, by a deadline, and reports what did not make it. With the feature
//! `serde` a file can say what is sent where: `SinksConfig`.
//!
//! # Other registries
//!
//! [`MetricsService::new`] takes any [`Source`]: with a feature each, `metrics-exporter-prometheus`'s
//! handle, a `prometheus::Registry`, or a `prometheus_client` registry.
//!
//! # Tests
//!
//! [`ExporterBuilder::build`] touches nothing global: record with
//! [`metrics::with_local_recorder`], or give a layer the [`recorder`](Exporter::recorder), and read with
//! [`value`](Exporter::value) or [`snapshot`](Exporter::snapshot).
//!
//! # Features
//!
//! | feature | |
//! |---|---|
//! | `gzip` (default), `zstd` | compression of pages |
//! | `tokio` | renders off the async workers, with a timeout; [`TokioCollector`] |
//! | `health` | [`HealthHandle`], [`Operations`] |
//! | `tonic` | health over `grpc.health.v1` |
//! | `admin`, `admin-tls` | [`AdminService`] and [`AdminServer`], and TLS for it |
//! | `sinks` | `Sinks`, `MemorySink` |
//! | `otlp`, `remote-write`, `pushgateway`, `statsd` | these sinks |
//! | `serde` | sinks as a file describes them: `SinksConfig` |
//! | `rustls` | TLS for sinks, with the provider that the application chooses |
//! | `process` | [`ProcessCollector`], on Linux |
//! | `tracing` | [exemplars from spans](ExporterBuilder::exemplars_from_spans) |
//! | `metrics-exporter-prometheus`, `prometheus`, `prometheus-client` | these registries as a [`Source`] |
//!
//! [`Spec`]: tower_observe::Spec

#![cfg_attr(docsrs, feature(doc_cfg))]

mod admin;
mod builder;
mod cell;
mod collect;
mod error;
mod exporter;
mod format;
mod health;
mod lease;
#[cfg(feature = "health")]
mod operations;
mod panic;
mod recorder;
mod registry;
mod service;
#[cfg(feature = "sinks")]
mod sink;
mod snapshot;
mod source;
#[cfg(feature = "tracing")]
mod span_exemplars;
mod sync;
#[cfg(feature = "health")]
mod text;
mod unique;

#[cfg(feature = "admin")]
pub use self::admin::{
    AdminFuture, AdminServer, AdminService, Credentials, CredentialsError, NotFound,
};
#[cfg(feature = "tokio")]
pub use self::collect::TokioCollector;
#[cfg(feature = "process")]
pub use self::collect::{ProcessCollector, process_start_time};
#[cfg(feature = "health")]
pub use self::health::{
    Check, CheckReport, HealthBuilder, HealthFuture, HealthHandle, HealthReport, HealthService,
    Probe,
};
#[cfg(feature = "tonic")]
pub use self::health::{GrpcHealth, GrpcHealthStream};
#[cfg(feature = "health")]
pub use self::operations::{FlushReport, Operations, OperationsBuilder, ShutdownReport};
#[cfg(feature = "_http")]
pub use self::sink::HttpClient;
#[cfg(feature = "otlp")]
pub use self::sink::Otlp;
#[cfg(feature = "pushgateway")]
pub use self::sink::Pushgateway;
#[cfg(all(feature = "serde", feature = "pushgateway"))]
pub use self::sink::PushgatewayConfig;
#[cfg(feature = "remote-write")]
pub use self::sink::RemoteWrite;
#[cfg(all(feature = "serde", feature = "remote-write"))]
pub use self::sink::RemoteWriteConfig;
#[cfg(feature = "serde")]
pub use self::sink::SinksConfig;
#[cfg(feature = "statsd")]
pub use self::sink::Statsd;
#[cfg(all(feature = "serde", feature = "_http"))]
pub use self::sink::{BasicConfig, HeadersConfig};
#[cfg(feature = "sinks")]
pub use self::sink::{MemorySink, Sink, SinkError, SinkReport, Sinks, SinksHandle, SinksReport};
#[cfg(all(feature = "serde", feature = "otlp"))]
pub use self::sink::{OtlpCompression, OtlpConfig, OtlpProtocol};
#[cfg(all(feature = "serde", feature = "statsd"))]
pub use self::sink::{StatsdConfig, StatsdDialect};
#[cfg(feature = "tracing")]
pub use self::span_exemplars::SpanExemplarsLayer;
pub use self::{
    builder::ExporterBuilder,
    collect::{BuildInfo, Collector, CollectorFn, SampleFamily, Samples, TargetInfo, collector_fn},
    error::BuildError,
    exporter::{Exporter, specs},
    format::Format,
    lease::Lease,
    recorder::Recorder,
    registry::{DEFAULT_BUCKETS, DEFAULT_LIMIT, DEFAULT_SIZE_BUCKETS, Matcher},
    service::{
        MetricsBody, MetricsLayer, MetricsService, ResponseFuture, RouteBody, RouteFuture,
        RouteService,
    },
    snapshot::{SeriesSnapshot, Snapshot, Value},
    source::{Filter, Source},
};
