//! The HTTP interface.

mod error;
mod scans;

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{Method, StatusCode, Uri},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::{get, post, put},
};
use serde_json::{Value, json};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    timeout::TimeoutLayer,
};
use tower_metrics_exporter::Exporter;
use tower_observe::ObserveLayer;

use self::error::ApiError;
use crate::{
    auth::{GateError, Role},
    platform::Platform,
    telemetry,
};

/// A request body is a path and its quotes.
pub(crate) const MAX_BODY_BYTES: usize = 64 << 10;

/// Longer than any scan may take, so that a scan's own deadline ends it.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(660);

/// All routes, with all layers, and `/metrics` of this exporter.
pub fn router(platform: Platform, exporter: Option<&Exporter>) -> Router {
    // From the outside in. Ours stands outside of the timeout and of catch-panic, so that it sees the
    // answers that they give, and of compression, so that it counts the bytes that are sent.
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(ObserveLayer::new((
            telemetry::request_metrics(),
            telemetry::request_log(),
        )))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            REQUEST_TIMEOUT,
        ))
        .layer(CompressionLayer::new())
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    routes(platform, exporter).layer(layers)
}

/// The same without any layer around them.
pub fn routes(platform: Platform, exporter: Option<&Exporter>) -> Router {
    let guarded = Router::new()
        .route("/api/v1/mcp/scans", post(scans::start_mcp))
        .route("/api/v1/models/scans", post(scans::start_model))
        .route("/api/v1/scans", get(scans::list))
        .route("/api/v1/scans/{id}", get(scans::show))
        .route("/api/v1/scans/{id}/status", get(scans::status))
        .route(
            "/api/v1/scans/{id}/status/stream",
            get(scans::status_stream),
        )
        .route("/api/v1/scans/{id}/baseline", put(scans::approve))
        .route_layer(from_fn_with_state(platform.clone(), ask_for_key));
    let metrics = exporter.map_or_else(Router::new, |exporter| {
        Router::new().route_service("/metrics", exporter.service())
    });
    Router::new()
        .merge(guarded)
        .merge(metrics)
        .route("/api/v1/health", get(health))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(platform)
}

/// Reading is for every key, anything else for some.
async fn ask_for_key(
    State(platform): State<Platform>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let needs = match request.method() {
        &Method::GET | &Method::HEAD => Role::Viewer,
        _ => Role::Scanner,
    };
    match platform.gate().pass(request.headers(), needs).await {
        Ok(()) => Ok(next.run(request).await),
        Err(GateError::Refused(refusal)) => Err(refusal.into()),
        Err(GateError::Platform(error)) => Err(error.into()),
    }
}

async fn health(State(platform): State<Platform>) -> (StatusCode, Json<Value>) {
    match platform.store().ping().await {
        Ok(()) => (
            StatusCode::OK,
            Json(json!({"status": "ok", "database": "ok"})),
        ),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the database does not answer"
            );
            let body = json!({"status": "unavailable", "database": "unavailable"});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body))
        }
    }
}

async fn not_found(uri: Uri) -> ApiError {
    let message = format!("there is nothing at {:?}", uri.path());
    ApiError::new(StatusCode::NOT_FOUND, "not_found", message)
}

async fn method_not_allowed(method: Method) -> ApiError {
    let message = format!("{method} is not for this path; the Allow header says what is");
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        message,
    )
}

fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> axum::response::Response {
    use axum::response::IntoResponse as _;
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "the request's handler panicked",
    )
    .into_response()
}
