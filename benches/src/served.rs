//! The servers of the end-to-end comparison: each is a process with the layers of its stack around a route that
//! answers two bytes, or around the routes of the scan platform.

use std::{
    fs::File,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use anyhow::Result;
use axum::Router;
use axum_prometheus::PrometheusMetricLayerBuilder;
use benches::route;
use clap::ValueEnum;
use metrics_exporter_prometheus::PrometheusBuilder;
use opentelemetry::global;
use tower_http::{
    metrics::InFlightRequestsLayer,
    trace::{DefaultMakeSpan, DefaultOnResponse, TraceLayer},
};
use tower_json_logging::{JsonLayer, JsonLogging, Sink};
use tower_metrics_exporter::Exporter;
use tower_observe::ObserveLayer;
use tower_request_metrics::{CountRequestBodyLayer, RequestMetrics};
use tower_scan_lifecycle::{HttpScans, ScanMeta, ScanMetrics};
use tracing::Level;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::{
    filter::LevelFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{backend::OpenTelemetry, least::LeastLayer};

/// What stands around the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stack {
    Bare,
    /// A layer that does nothing but wrap the response's body.
    Floor,
    /// The recordings of metrics, which count wrongly.
    Least,
    /// The same, and a line that was ready before.
    LeastAndLine,
    Metrics,
    MetricsAndLine,
    MetricsAndDirectLine,
    Everything,
    AxumPrometheus,
    Opentelemetry,
    Trace,
    AxumPrometheusAndTrace,
}

/// What they stand around.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Inner {
    /// A route that answers two bytes.
    Route,
    /// The scan platform, whose health is a query of its database.
    Platform,
}

impl Inner {
    async fn routes(self) -> Result<Router> {
        match self {
            Self::Route => Ok(route::router(1)),
            Self::Platform => platform().await,
        }
    }
}

#[cfg(feature = "platform")]
async fn platform() -> Result<Router> {
    use scan_platform::{
        api,
        platform::Platform,
        scan::Policy,
        store::{DatabaseUrl, Store},
    };

    let store = Store::opened(&DatabaseUrl::in_memory(), "benches").await?;
    let scans = ScanMetrics::builder().build()?;
    let root = std::env::current_dir()?;
    let platform = Platform::by_itself(&root, Policy::default(), &scans, store)?;
    Ok(api::routes(platform, None))
}

#[cfg(not(feature = "platform"))]
async fn platform() -> Result<Router> {
    anyhow::bail!(
        "compiled without the feature `platform`: `cargo xtask bench` compiles a program that has it"
    )
}

/// Serves until the process is ended. Tells its address on standard output first.
pub fn serve(stack: Stack, inner: Inner, log: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // What it holds is held as long as it serves.
        let (router, _held) = around(inner.routes().await?, stack, log)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = tokio::net::TcpListener::bind(address).await?;
        println!("{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        axum::serve(listener, router).await?;
        Ok(())
    })
}

#[derive(Default)]
struct Held {
    _exporter: Option<Exporter>,
    _sink: Option<Sink>,
    _appender: Option<WorkerGuard>,
    _provider: Option<OpenTelemetry>,
}

fn around(router: Router, stack: Stack, log: &Path) -> Result<(Router, Held)> {
    let mut held = Held::default();
    let ours = matches!(
        stack,
        Stack::Least
            | Stack::LeastAndLine
            | Stack::Metrics
            | Stack::MetricsAndLine
            | Stack::MetricsAndDirectLine
            | Stack::Everything
    );
    if ours {
        let exporter = Exporter::builder().build()?;
        metrics::set_global_recorder(exporter.recorder())?;
        held._exporter = Some(exporter);
    }
    let metrics = || RequestMetrics::builder().build();
    let sink = || Sink::file(log).build();
    let through_tracing = |sink: &Sink| {
        let json = JsonLayer::to(sink.clone());
        let registry = tracing_subscriber::registry().with(LevelFilter::INFO);
        registry.with(json).try_init()
    };
    let router = match stack {
        Stack::Bare => router,
        Stack::Floor => router.layer(InFlightRequestsLayer::pair().0),
        Stack::Least => router.layer(LeastLayer::default()),
        Stack::LeastAndLine => {
            let sink = held._sink.insert(sink()?);
            router.layer(LeastLayer::to(sink.clone()))
        }
        Stack::Metrics => router.layer(ObserveLayer::new(metrics()?)),
        Stack::MetricsAndLine => {
            let sink = held._sink.insert(sink()?);
            through_tracing(sink)?;
            router.layer(ObserveLayer::new((metrics()?, JsonLogging::new())))
        }
        Stack::MetricsAndDirectLine => {
            let sink = held._sink.insert(sink()?);
            let logging = JsonLogging::new().direct(&JsonLayer::to(sink.clone()));
            router.layer(ObserveLayer::new((metrics()?, logging)))
        }
        Stack::Everything => {
            let sink = held._sink.insert(sink()?);
            through_tracing(sink)?;
            let scans = ScanMetrics::builder().types(["mcp"]).build()?;
            let scans = HttpScans::new(scans).classify(|_| Some(ScanMeta::new("mcp")));
            router
                .layer(CountRequestBodyLayer::default())
                .layer(ObserveLayer::new((metrics()?, JsonLogging::new(), scans)))
        }
        Stack::AxumPrometheus => axum_prometheus(router)?,
        Stack::Opentelemetry => {
            let provider = held._provider.insert(OpenTelemetry::new());
            global::set_meter_provider(provider.provider().clone());
            let layer = opentelemetry_instrumentation_tower::http::server::LayerBuilder::builder();
            router.layer(layer.with_tracing(false).build()?)
        }
        Stack::Trace => trace(router, log, &mut held)?,
        Stack::AxumPrometheusAndTrace => axum_prometheus(trace(router, log, &mut held)?)?,
    };
    Ok((router, held))
}

fn axum_prometheus(router: Router) -> Result<Router> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    // As its own documentation has it: without, each sample is kept.
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            handle.run_upkeep();
        }
    });
    let layer = PrometheusMetricLayerBuilder::new().no_initialize_metrics();
    Ok(router.layer(layer.build()))
}

/// tower-http's layer and tracing-subscriber's JSON, written by tracing-appender's thread.
fn trace(router: Router, log: &Path, held: &mut Held) -> Result<Router> {
    let (writer, guard) = tracing_appender::non_blocking(File::create(log)?);
    held._appender = Some(guard);
    let json = tracing_subscriber::fmt::layer().json().with_writer(writer);
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(json)
        .try_init()?;
    let trace = TraceLayer::new_for_http()
        .make_span_with(DefaultMakeSpan::new().level(Level::INFO))
        .on_response(DefaultOnResponse::new().level(Level::INFO));
    Ok(router.layer(trace))
}
