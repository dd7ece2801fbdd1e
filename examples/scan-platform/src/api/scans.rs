//! Scans: to start one, to list them, to read one.

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{StatusCode, header::LOCATION},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use crate::{
    platform::{Approval, Platform},
    record::{ScanRecord, ScanStatus},
    scan::ScanType,
    store::MAX_LIST,
};

/// What a client asks to be scanned.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewScan {
    path: String,
    /// Whether the scan is to wait for its turn, and the client not for the scan.
    #[serde(default)]
    background: bool,
}

/// Starts a scan of MCP client configurations, and answers at its end; one in the background is answered
/// at once.
pub async fn start_mcp(
    state: State<Platform>,
    body: Result<Json<NewScan>, JsonRejection>,
) -> Result<Response, ApiError> {
    start(ScanType::Mcp, state, body).await
}

/// As [`start_mcp`], of model files.
pub async fn start_model(
    state: State<Platform>,
    body: Result<Json<NewScan>, JsonRejection>,
) -> Result<Response, ApiError> {
    start(ScanType::Model, state, body).await
}

async fn start(
    scan_type: ScanType,
    State(platform): State<Platform>,
    body: Result<Json<NewScan>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(NewScan { path, background }) = body?;
    if !background {
        let scan = platform.scan_path(scan_type, path).await?;
        return Ok(Json(scan).into_response());
    }
    let scan = platform.enqueue_path(scan_type, path).await?;
    let place = [(LOCATION, format!("/api/v1/scans/{}", scan.id))];
    Ok((StatusCode::ACCEPTED, place, Json(scan)).into_response())
}

/// Makes what a scan found its target's baseline: what later scans of the target are compared with.
pub async fn approve(
    State(platform): State<Platform>,
    Path(id): Path<String>,
) -> Result<Json<ScanRecord>, ApiError> {
    match platform.approve(&id).await? {
        Approval::Approved(scan) => Ok(Json(*scan)),
        Approval::Absent => Err(absent(&id)),
        Approval::NotCompleted(status) => Err(ApiError::new(
            StatusCode::CONFLICT,
            "not_completed",
            format!(
                "the scan is {}: only a completed one can be a baseline",
                status.as_str()
            ),
        )),
    }
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

/// Where one scan stands, as server-sent events: one now, and
/// one after each change, until its end ends the stream.
///
/// Each is an event `status` with the data that [`status`] answers.
pub async fn status_stream(
    State(platform): State<Platform>,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, axum::Error>>>, ApiError> {
    // Before the stream begins, so that an unknown scan is a `404`.
    let scans = platform.follow(&id).await?.ok_or_else(|| absent(&id))?;
    let events = scans.map(|scan| {
        let event = Event::default().event("status");
        event.json_data(StatusOnly::of(&scan))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

async fn find(platform: &Platform, id: &str) -> Result<ScanRecord, ApiError> {
    platform.find(id).await?.ok_or_else(|| absent(id))
}

fn absent(id: &str) -> ApiError {
    let message = format!("there is no scan {id:?}; GET /api/v1/scans lists the latest");
    ApiError::new(StatusCode::NOT_FOUND, "not_found", message)
}
