//! Scans: to start one, to list them, to read one.

use std::time::Duration;

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::Span;

use super::error::ApiError;
use crate::{
    platform::Platform,
    record::{ScanRecord, ScanStatus},
    scan::ScanType,
    store::MAX_LIST,
};

/// What a client asks to be scanned.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewScan {
    path: String,
}

/// Starts a scan of MCP client configurations, and answers at its end.
pub async fn start_mcp(
    state: State<Platform>,
    body: Result<Json<NewScan>, JsonRejection>,
) -> Result<Json<ScanRecord>, ApiError> {
    start(ScanType::Mcp, state, body).await
}

/// Starts a scan of model files, and answers at its end.
pub async fn start_model(
    state: State<Platform>,
    body: Result<Json<NewScan>, JsonRejection>,
) -> Result<Json<ScanRecord>, ApiError> {
    start(ScanType::Model, state, body).await
}

async fn start(
    scan_type: ScanType,
    State(platform): State<Platform>,
    body: Result<Json<NewScan>, JsonRejection>,
) -> Result<Json<ScanRecord>, ApiError> {
    let Json(NewScan { path }) = body?;
    let target = platform.target(path).await?;
    let scan = ScanRecord::start(scan_type, target.display_path());
    // The request's log line is to have it, too.
    Span::current().record("scan_id", scan.id.as_str());
    Ok(Json(platform.scan(scan, target, None).await?))
}

/// Which scans a list shows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListOptions {
    #[serde(default = "default_limit")]
    limit: u32,
}

const fn default_limit() -> u32 {
    20
}

/// A list of scans.
#[derive(Debug, Serialize)]
pub struct ScanList {
    scans: Vec<ScanRecord>,
}

/// The latest scans, the newest first: `?limit=N`, 20 by default.
pub async fn list(
    State(platform): State<Platform>,
    options: Result<Query<ListOptions>, QueryRejection>,
) -> Result<Json<ScanList>, ApiError> {
    let Query(ListOptions { limit }) = options?;
    if !(1..=MAX_LIST).contains(&limit) {
        let message = format!("limit={limit} is out of range: give 1 to {MAX_LIST}");
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "bad_request",
            message,
        ));
    }
    Ok(Json(ScanList {
        scans: platform.store().list(limit).await?,
    }))
}

/// One scan.
pub async fn show(
    State(platform): State<Platform>,
    Path(id): Path<String>,
) -> Result<Json<ScanRecord>, ApiError> {
    find(&platform, &id).await.map(Json)
}

/// Where one scan stands.
#[derive(Debug, Serialize)]
pub struct StatusOnly {
    id: String,
    status: ScanStatus,
    passed: Option<bool>,
}

impl StatusOnly {
    fn of(scan: &ScanRecord) -> Self {
        Self {
            id: scan.id.clone(),
            status: scan.status,
            passed: scan.passed,
        }
    }
}

/// Where one scan stands, without its findings.
pub async fn status(
    State(platform): State<Platform>,
    Path(id): Path<String>,
) -> Result<Json<StatusOnly>, ApiError> {
    Ok(Json(StatusOnly::of(&find(&platform, &id).await?)))
}

/// Where one scan stands, as server-sent events: one now, and one at its end, which ends the stream.
///
/// Each is an event `status` with the data that [`status`] answers.
pub async fn status_stream(
    State(platform): State<Platform>,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, axum::Error>>>, ApiError> {
    let changes = platform.store().changes();
    // Before the stream begins, so that an unknown scan is a `404`.
    let now = find(&platform, &id).await?;
    let follow = (Step::Tell(now), changes, platform);
    let events = stream::unfold(follow, |(step, mut changes, platform)| async move {
        let scan = match step {
            Step::Tell(scan) => scan,
            Step::Wait(seen) => changed(&seen, &mut changes, &platform).await?,
        };
        let event = Event::default()
            .event("status")
            .json_data(StatusOnly::of(&scan));
        Some((event, (Step::Wait(scan), changes, platform)))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// What a stream of changes does next.
enum Step {
    /// Tell of this.
    Tell(ScanRecord),
    /// Wait until it differs from this.
    Wait(ScanRecord),
}

/// Another process on the same database tells of no changes: this is how often it is asked.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The scan once it stands elsewhere; nothing if it has ended, or is gone.
async fn changed(
    seen: &ScanRecord,
    changes: &mut watch::Receiver<()>,
    platform: &Platform,
) -> Option<ScanRecord> {
    if seen.status != ScanStatus::InProgress {
        return None;
    }
    loop {
        // Whether told or not, the database says what is so.
        drop(tokio::time::timeout(LOOK_AGAIN, changes.changed()).await);
        match platform.store().get(&seen.id).await {
            Ok(Some(scan)) if scan.status == seen.status => {}
            Ok(scan) => return scan,
            Err(error) => {
                let error = error.as_ref() as &dyn std::error::Error;
                tracing::error!(error, "cannot follow the scan any longer");
                return None;
            }
        }
    }
}

async fn find(platform: &Platform, id: &str) -> Result<ScanRecord, ApiError> {
    let found = match uuid::Uuid::parse_str(id) {
        Ok(id) => {
            Span::current().record("scan_id", tracing::field::display(id));
            platform.store().get(&id.to_string()).await?
        }
        // What a client made up goes neither to the database nor to the log.
        Err(_) => None,
    };
    found.ok_or_else(|| {
        let message = format!("there is no scan {id:?}; GET /api/v1/scans lists the latest");
        ApiError::new(StatusCode::NOT_FOUND, "not_found", message)
    })
}
