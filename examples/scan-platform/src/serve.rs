//! `scan-platform serve`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use tokio::{net::TcpListener, sync::watch};
use tower_metrics_exporter::Probe;

use crate::{
    api, background, grpc, log, operations,
    platform::{self, Platform, Setup},
    push,
    store::{DatabaseUrl, Store},
    telemetry,
};

/// How long scans that wait again may take to be recorded, after that; and then the rest.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What the log says unless `RUST_LOG` tells.
const LEVELS: &str = "info,sqlx=warn";

/// What to serve, and where.
#[derive(Debug)]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where to listen for gRPC, if at all.
    pub grpc_listen: Option<SocketAddr>,
    /// Where those who run it ask.
    pub admin: operations::Options,
    /// Whether `/metrics` is there for whom the platform serves, too.
    pub public_metrics: bool,
    /// Where the log goes, instead of standard output.
    pub log_file: Option<PathBuf>,
    /// The directory below which scans read.
    pub scan_root: PathBuf,
    /// Where scans are kept.
    pub database_url: DatabaseUrl,
    /// What this instance is called among those that share the database; by default after the machine
    /// and the port.
    pub instance: Option<String>,
    /// Policy, keys and limits.
    pub setup: Setup,
    /// How long requests and scans may take to finish once the process is told to stop.
    pub drain: Duration,
    /// How long an instance may say nothing before others take it for dead.
    pub instance_timeout: Duration,
    /// Where series are sent to.
    pub push: push::Options,
}

/// Serves until the process is told to stop, by SIGINT or SIGTERM.
///
/// # Errors
///
/// If the address, the scan root or the database cannot be used.
pub async fn serve(options: Options) -> anyhow::Result<()> {
    let log = match &options.log_file {
        Some(path) => log::to_file(path, LEVELS)?,
        None => log::to_stdout(LEVELS)?,
    };
    let scans = platform::scan_metrics()?;
    let (listener, address) = listen(options.listen, "--listen").await?;
    let instance = options.instance.unwrap_or_else(|| instance(address));
    let store = Store::new(&options.database_url, &instance)?;
    let exporter = telemetry::install_exporter(&scans, &store)?;
    let sinks = push::start(&exporter, &options.push, &instance)?;
    store.open().await?;
    let (interrupt, interrupted) = watch::channel(false);
    let platform = Platform::new(
        &options.scan_root,
        &options.setup,
        &scans,
        store.clone(),
        &interrupted,
    )?;
    let health = operations::health(&store, &scans);
    drop(health.report(Probe::Ready).await);
    store.beat().await?;
    background::end_abandoned(&platform, &instance).await?;
    let (grpc_listener, grpc_address) = match options.grpc_listen {
        Some(address) => Some(listen(address, "--grpc-listen").await?),
        None => None,
    }
    .unzip();
    let admin = operations::start(options.admin, &exporter, &health, &log, sinks).await?;
    tracing::info!(
        address = %address,
        admin_address = admin.address.map(tracing::field::display),
        grpc_address = grpc_address.map(tracing::field::display),
        scan_root = %options.scan_root.display(),
        database = %options.database_url,
        instance,
        "listening",
    );

    let public = options.public_metrics.then_some(&exporter);
    let app =
        api::router(platform.clone(), public).into_make_service_with_connect_info::<SocketAddr>();
    let (stop, stopped) = watch::channel(());
    let drain = options.drain;
    let not_ready = health.clone();
    let told_to_stop = async move {
        shutdown_signal().await;
        tracing::info!(
            seconds = drain.as_secs(),
            "told to stop: finishing what runs"
        );
        // First, so that no more is sent here while what runs is finished, and nobody watches any more.
        not_ready.shut_down();
        drop(stop);
    };
    let http = async {
        let server = axum::serve(listener, app).with_graceful_shutdown(told_to_stop);
        server.await.context("the HTTP server failed")
    };
    let grpc = async {
        match grpc_listener {
            Some(listener) => {
                grpc::serve(platform.clone(), listener, &health, stopped.clone()).await
            }
            None => Ok(()),
        }
    };
    let drained = async {
        let mut stopped = stopped.clone();
        // An error tells that the sender is gone, which is the signal.
        while stopped.changed().await.is_ok() {}
        tokio::time::sleep(drain).await;
        // Scans that have waited can wait again; requests cannot.
        interrupt.send_replace(true);
        tokio::time::sleep(LAST_WORDS).await;
    };
    let queue = async {
        background::run(platform.clone(), stopped.clone()).await;
        anyhow::Ok(())
    };
    let timeout = options.instance_timeout;
    let watch = tokio::spawn(background::keep_watch(platform.clone(), timeout));
    // Without a file, and without tokens, the signal does what it always did.
    let has_files = options.log_file.is_some() || admin.credentials.is_some();
    let reopening = operations::keep_reopening(log.clone(), admin.credentials);
    let reopening = has_files.then(|| tokio::spawn(reopening));
    // What failed is told when the rest has ended: its series are to be sent, too.
    let served = tokio::select! {
        served = async { tokio::try_join!(http, grpc, queue) } => served.map(drop),
        () = drained => {
            tracing::warn!("some requests did not finish in time");
            Ok(())
        }
    };
    watch.abort();
    if let Some(reopening) = reopening {
        reopening.abort();
    }
    if let Err(error) = store.forget(&instance).await {
        let error = error.as_ref() as &dyn std::error::Error;
        tracing::warn!(error, "cannot say that this instance has ended");
    }
    store.close().await;
    // Last, so that probes and metrics can tell of all of it.
    let report = admin.operations.shutdown(LAST_WORDS).await;
    if report.is_clean() {
        tracing::info!(%report, "operations ended");
    } else {
        tracing::warn!(%report, "operations ended, and not all was done");
    }
    tracing::info!("stopped");
    served
}

/// The same after a restart, and another's on the same machine is another.
fn instance(address: SocketAddr) -> String {
    let host = host_name().unwrap_or_else(|| String::from("localhost"));
    format!("{host}:{}", address.port())
}

#[cfg(unix)]
pub(crate) fn host_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

#[cfg(not(unix))]
pub(crate) fn host_name() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

async fn listen(address: SocketAddr, option: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: choose another address with {option}")
    })?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

#[cfg(unix)]
async fn shutdown_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "SIGTERM is not watched"
            );
            drop(tokio::signal::ctrl_c().await);
        }
    }
}

#[cfg(not(unix))]
async fn shutdown_signal() {
    drop(tokio::signal::ctrl_c().await);
}
