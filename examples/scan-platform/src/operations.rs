//! Health, the admin listener, and how both end.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    routing::get,
};
use tokio::runtime::Handle;
use tower_json_logging::Levels;
use tower_metrics_exporter::{
    AdminServer, AdminService, Check, Credentials, Exporter, HealthHandle, Operations, SinksHandle,
};
use tower_scan_lifecycle::ScanMetrics;

use crate::{log::Log, probe, scan::Engine, store::Store};

/// How long a file of the log may take to be opened again.
const REOPEN: Duration = Duration::from_secs(5);

/// Where those who run the platform ask, and who they are.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where to listen, if at all.
    pub listen: Option<SocketAddr>,
    /// A file with bearer tokens, one a line. Without, whoever reaches the address may see metrics.
    pub token_file: Option<PathBuf>,
    /// The names that the listener goes by.
    pub hosts: Vec<String>,
}

/// The platform is ready while its database answers and each of its engines reads a sample.
pub fn health(store: &Store, scans: &ScanMetrics) -> HealthHandle {
    let store = store.clone();
    let database = Check::new("database", move || {
        let store = store.clone();
        async move { store.ping().await }
    });
    let health = HealthHandle::builder().check(database);
    Engine::ALL
        .into_iter()
        .map(|engine| probe::check(engine, scans))
        .fold(health, |health, check| health.check(check))
        .build()
}

/// What was started.
#[derive(Debug)]
pub struct Started {
    /// What runs.
    pub operations: Operations,
    /// Where the admin listener is.
    pub address: Option<SocketAddr>,
    /// Who may ask it.
    pub credentials: Option<Credentials>,
}

/// Starts to keep asking for health, and the admin listener if there is to be one. Metrics that are sent are sent once
/// more at the end.
///
/// # Errors
///
/// If the address or the file of tokens cannot be used.
pub async fn start(
    options: Options,
    exporter: &Exporter,
    health: &HealthHandle,
    log: &Log,
    sinks: Option<SinksHandle>,
) -> anyhow::Result<Started> {
    let operations = Operations::builder(health).exporter(exporter);
    let operations = match sinks {
        Some(sinks) => operations.flush("metrics", |left| async move {
            sinks.shutdown(left).await.into_result()
        }),
        None => operations,
    };
    let Some(listen) = options.listen else {
        return Ok(Started {
            operations: operations.start(&Handle::current()),
            address: None,
            credentials: None,
        });
    };
    let server = AdminServer::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen}: choose another address with --admin-listen")
    })?;
    let address = server.local_addr();
    let credentials = options.token_file.map(Credentials::bearer_file).transpose();
    let credentials = credentials.context("--admin-token-file cannot be used")?;
    let admin = AdminService::new(exporter).health(health.service());
    let admin = options
        .hosts
        .into_iter()
        .fold(admin, AdminService::allow_host);
    let admin = match &credentials {
        Some(credentials) => admin.credentials(credentials.clone()),
        None => admin,
    };
    let admin = admin.fallback(log_levels(log.levels()));
    Ok(Started {
        operations: operations.admin(server, admin).start(&Handle::current()),
        address: Some(address),
        credentials,
    })
}

/// `/loglevel`: what the log says, and what it is to say from now on. The admin service lets nobody there who has
/// no credentials.
fn log_levels(levels: &Levels) -> Router {
    let show = async |State(levels): State<Levels>| format!("{levels}\n");
    let set = async |State(levels): State<Levels>, text: String| {
        let before = levels.to_string();
        match levels.set(text.trim()) {
            Ok(()) => {
                tracing::warn!(before, after = %levels, "the levels of the log were changed");
                (StatusCode::OK, format!("{levels}\n"))
            }
            Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
        }
    };
    Router::new()
        .route("/loglevel", get(show).put(set))
        .layer(DefaultBodyLimit::max(1 << 10))
        .with_state(levels.clone())
}

/// Opens the log's file again, and reads tokens again, at each SIGHUP. Never ends by itself.
#[cfg(unix)]
pub async fn keep_reopening(log: Log, credentials: Option<Credentials>) {
    use tokio::signal::unix::{SignalKind, signal};

    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            return tracing::warn!(error, "SIGHUP is not watched");
        }
    };
    while hangups.recv().await.is_some() {
        let (log, credentials) = (log.clone(), credentials.clone());
        // Both wait for files.
        let reopening = tokio::task::spawn_blocking(move || {
            let reopened = log
                .sink()
                .reopen(REOPEN)
                .context("cannot open the log again");
            let reloaded = credentials.map_or(Ok(()), |credentials| {
                credentials.reload().context("cannot read the tokens again")
            });
            (reopened, reloaded)
        });
        let Ok((reopened, reloaded)) = reopening.await else {
            continue;
        };
        tracing::info!("told to open the log again");
        for error in [reopened.err(), reloaded.err()].into_iter().flatten() {
            let error = error.as_ref() as &dyn std::error::Error;
            tracing::error!(error, "not all could be opened again");
        }
    }
}

/// There is no such signal.
#[cfg(not(unix))]
pub async fn keep_reopening(_: Log, _: Option<Credentials>) {
    std::future::pending().await
}
