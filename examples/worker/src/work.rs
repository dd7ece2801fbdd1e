//! `scan-worker work`: takes scans from the queue and runs them.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, ensure};
use apalis::prelude::{BackendExt as _, Task, WorkerBuilder, WorkerError};
use axum::{Router, routing::get};
use scan_platform::{
    log,
    probe::{keep_probing, probe_all},
    scan::{Engine, Limits, Policy, ScanRoot, ScanType},
    scanner::deadline,
};
use tokio::{net::TcpListener, sync::watch, time};
use tower::{
    BoxError, ServiceBuilder, ServiceExt as _, limit::ConcurrencyLimitLayer, timeout::Timeout,
    util::BoxCloneSyncService,
};
use tower_metrics_exporter::{BuildInfo, Exporter, ProcessCollector, TokioCollector, collector_fn};
use tower_scan_lifecycle::{ScanLayer, ScanMetrics};

use crate::{
    job::{Job, Summary},
    ledger::Ledger,
    once::{OnceLayer, WAITS, next_attempt},
    queue::{Queue, QueueUrl, Share, Store},
    scan::{Found, Scanner, Stopped, describe, judge},
};

/// How often the queue is looked at, and how many wait is told.
const LOOK: Duration = Duration::from_secs(1);

/// How long a scan that may be tried again waits at least.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How a worker is to work.
#[derive(Clone, Debug)]
pub struct Options {
    /// The queue.
    pub queue_url: QueueUrl,
    /// Where `/metrics` and `/health` are.
    pub metrics_listen: SocketAddr,
    /// The directory below which scans read.
    pub scan_root: PathBuf,
    /// The worker's name, unlike any other's.
    pub name: String,
    /// How many scans run at once.
    pub at_once: usize,
    /// How often a scan may be begun.
    pub attempts: u32,
    /// How often the worker says that it lives.
    pub heartbeat: Duration,
    /// How long scans may take to finish once the worker is told to stop.
    pub drain: Duration,
}

/// Works until the process is told to stop, by SIGINT or SIGTERM.
///
/// # Errors
///
/// If the queue, the scan root or the address cannot be used, or the queue is lost.
pub async fn work(options: Options) -> anyhow::Result<()> {
    let _log = log::to_stdout("info,sqlx=warn,apalis_core=warn")?;
    let scans = ScanMetrics::builder()
        .types(ScanType::ALL.map(ScanType::as_str))
        .engines(Engine::ALL.map(Engine::as_str))
        .build()?;
    let exporter = install_exporter(&scans)?;
    ensure!(
        options.heartbeat >= Duration::from_secs(1),
        "--heartbeat {:?} is too often: stores count in seconds",
        options.heartbeat
    );
    probe_all(&scans).await;
    tokio::spawn(keep_probing(scans.clone()));
    let root = ScanRoot::open(&options.scan_root)
        .with_context(|| format!("cannot open {:?}: give a directory", options.scan_root))?;
    let share = Share {
        batch: options.at_once,
        heartbeat: options.heartbeat,
    };
    let queue = Queue::connect(&options.queue_url, share).await?;
    let listener = TcpListener::bind(options.metrics_listen).await;
    let listener = listener.with_context(|| {
        let address = options.metrics_listen;
        format!("cannot listen on {address}: choose another address with --metrics-listen")
    })?;
    tracing::info!(
        address = %listener.local_addr()?,
        queue = %options.queue_url,
        worker = options.name,
        "working"
    );

    let dead_after = options.heartbeat * 3;
    let (stop, stopped) = watch::channel(false);
    let scanner = Scanner {
        root: Arc::new(root),
        limits: Arc::new(Limits::default()),
        policy: Policy::default(),
        attempts: options.attempts,
        stop: stopped,
    };
    let once = OnceLayer {
        queue: queue.clone(),
        scans: scans.clone(),
        worker: options.name.as_str().into(),
        attempts: options.attempts,
        dead_after,
    };
    // By itself: apalis says nothing any more while a worker that is told to stop finishes.
    queue.ledger.beat(&options.name, dead_after).await?;
    let beats = tokio::spawn(beat(
        queue.ledger.clone(),
        options.name.clone(),
        options.heartbeat,
        dead_after,
    ));
    let service = ServiceBuilder::new()
        .layer(ConcurrencyLimitLayer::new(options.at_once))
        .layer(once)
        .service(recorded(&scans, scanner, queue.clone()));

    let drain = options.drain;
    let (told, mut heard) = watch::channel(());
    // An error of this tells that the sender is gone, which is the signal.
    let stopping = heard.clone();
    let told_to_stop = async move {
        shutdown_signal().await;
        tracing::info!(
            seconds = drain.as_secs(),
            "told to stop: finishing what runs"
        );
        drop(told);
        Ok::<(), WorkerError>(())
    };
    let drained = async move {
        while heard.changed().await.is_ok() {}
        time::sleep(drain).await;
        // What runs now is put into the queue again.
        stop.send_replace(true);
        time::sleep(drain.max(Duration::from_secs(5))).await;
    };
    // apalis has a backend for each store, each a type of its own.
    macro_rules! run {
        ($storage:expr) => {
            WorkerBuilder::new(options.name.as_str())
                .backend($storage.poll_with_interval(LOOK))
                .build(service)
                .run_until(told_to_stop)
                .await
        };
    }
    let worker = async {
        match queue.store {
            Store::Sqlite(storage) => run!(storage),
            Store::Postgres(storage) => run!(storage),
            Store::Redis(storage) => run!(storage),
        }
    };
    let ledger = queue.ledger.clone();
    tokio::select! {
        worked = worker => match worked {
            // apalis may have given a job of a worker that finishes to another, and then takes offence at
            // its end. The ledger knows better.
            Err(error) if stopping.has_changed().is_err() => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the queue did not take every end");
            }
            worked => worked.context("the queue was lost")?,
        },
        () = drained => tracing::warn!("some scans could not be put into the queue again"),
        served = serve(listener, &exporter) => served.context("the HTTP server failed")?,
        () = tell_depth(&scans, &ledger) => {}
    }
    beats.abort();
    ledger.leave(&options.name).await?;
    tracing::info!("stopped");
    Ok(())
}

/// From the outside in: record the scan, watch its deadline, run it. What is to be tried again is put
/// into the queue.
fn recorded(
    scans: &ScanMetrics,
    scanner: Scanner,
    queue: Queue,
) -> BoxCloneSyncService<Task<Job>, Summary, BoxError> {
    let of_type = |scan_type: ScanType| {
        let service = ServiceBuilder::new()
            .layer(ScanLayer::new(scans.clone(), describe).outcome(judge))
            .layer_fn(|inner| Timeout::new(inner, deadline(scan_type)))
            .service(scanner.clone());
        BoxCloneSyncService::new(service)
    };
    let (mcp, model) = (of_type(ScanType::Mcp), of_type(ScanType::Model));
    BoxCloneSyncService::new(tower::service_fn(move |task: Task<Job>| {
        let service = match task.args.scan_type {
            ScanType::Mcp => mcp.clone(),
            ScanType::Model => model.clone(),
        };
        run(service, queue.clone(), task)
    }))
}

async fn run(
    service: BoxCloneSyncService<Task<Job>, Found, BoxError>,
    mut queue: Queue,
    task: Task<Job>,
) -> Result<Summary, BoxError> {
    let mut job = task.args.clone();
    let error = match service.oneshot(task).await {
        Ok(Found { severities, passed }) => {
            return Ok(Summary {
                passed: Some(passed),
                severities,
                ..Summary::of("completed")
            });
        }
        Err(error) => error,
    };
    let again = error
        .downcast_ref()
        .is_some_and(|Stopped { again, .. }| *again);
    if again {
        job.ticket = next_attempt(&job.ticket).delayed(AGAIN_AFTER);
        queue.push(job, AGAIN_AFTER).await?;
        return Ok(Summary::of(WAITS));
    }
    let timed_out = error.is::<tower::timeout::error::Elapsed>();
    // For the queue the job is done: what becomes of it was decided here.
    Ok(Summary {
        error: Some(error.to_string()),
        ..Summary::of(if timed_out { "timed_out" } else { "failed" })
    })
}

/// Says that the worker lives. Never ends by itself.
async fn beat(ledger: Ledger, worker: String, every: Duration, dead_after: Duration) {
    loop {
        time::sleep(every).await;
        if let Err(error) = ledger.beat(&worker, dead_after).await {
            let error = error.as_ref() as &dyn std::error::Error;
            tracing::error!(error, "cannot say that this worker lives");
        }
    }
}

/// Says how many scans wait, and for how long. Never ends by itself.
async fn tell_depth(scans: &ScanMetrics, ledger: &Ledger) {
    loop {
        for scan_type in ScanType::ALL.map(ScanType::as_str) {
            match ledger.waiting(scan_type).await {
                Ok(waiting) => {
                    let oldest = waiting.oldest.map(|since| {
                        let waited = SystemTime::now().duration_since(since);
                        waited.unwrap_or_default()
                    });
                    scans.set_queue(scan_type, waiting.depth, oldest);
                }
                Err(error) => {
                    let error = error.as_ref() as &dyn std::error::Error;
                    tracing::error!(error, "cannot read how many scans wait");
                }
            }
        }
        time::sleep(LOOK).await;
    }
}

fn install_exporter(scans: &ScanMetrics) -> anyhow::Result<Exporter> {
    let refreshed = scans.clone();
    let exporter = Exporter::builder()
        .specs(scans.specs())
        .specs(tower_json_logging::specs())
        .collector(collector_fn("scans", move |_| refreshed.refresh()))
        .exemplars_from_spans()
        .collector(ProcessCollector::new())
        .collector(TokioCollector::new(&tokio::runtime::Handle::try_current()?))
        .collector(BuildInfo::new(
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
        ))
        .install()?;
    scans.register();
    Ok(exporter)
}

async fn serve(listener: TcpListener, exporter: &Exporter) -> std::io::Result<()> {
    let router = Router::new()
        .route("/health", get(async || "ok"))
        .route_service("/metrics", exporter.service());
    axum::serve(listener, router).await
}

async fn shutdown_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    drop(tokio::signal::ctrl_c().await);
}

/// A name that no other worker has.
pub fn new_name() -> String {
    format!("scan-worker-{}", uuid::Uuid::now_v7())
}
