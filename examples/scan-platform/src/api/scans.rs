//! Scans: to start one, to list them, to read one.

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
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

/// Where one scan stands, without its findings.
pub async fn status(
    State(platform): State<Platform>,
    Path(id): Path<String>,
) -> Result<Json<StatusOnly>, ApiError> {
    let ScanRecord {
        id, status, passed, ..
    } = find(&platform, &id).await?;
    Ok(Json(StatusOnly { id, status, passed }))
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
