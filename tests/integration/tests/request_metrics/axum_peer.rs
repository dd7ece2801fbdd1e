//! The preset for axum-prometheus says what that crate says, of requests that complete.

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
    routing::{get, post},
};
use axum_prometheus::PrometheusMetricLayerBuilder;
use http_body_util::BodyExt as _;
use metrics::with_local_recorder;
use tower::ServiceExt as _;
use tower_request_metrics::{Names, RequestMetrics, RequestMetricsLayer};

use crate::common::{lines, recorder};

fn app() -> Router {
    Router::new()
        .route("/", get(async || "hello"))
        .route(
            "/users/{id}",
            get(async || "user").delete(async || StatusCode::NO_CONTENT),
        )
        .route("/fail", post(async || StatusCode::INTERNAL_SERVER_ERROR))
        .nest(
            "/api",
            Router::new().route("/x/{y}", get(async || StatusCode::IM_A_TEAPOT)),
        )
}

/// What is rendered after the same requests, without the seconds.
fn traffic(app: Router) -> Vec<String> {
    let recorder = recorder();
    let handle = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    with_local_recorder(&recorder, || {
        runtime.block_on(async {
            for (method, path) in [
                ("GET", "/"),
                ("GET", "/users/1"),
                ("GET", "/users/2"),
                ("DELETE", "/users/2"),
                ("POST", "/fail"),
                ("GET", "/api/x/1"),
                ("HEAD", "/"),
                ("POST", "/"),
            ] {
                let request = Request::builder().method(method).uri(path);
                let request = request.body(Body::empty()).unwrap();
                let response = app.clone().oneshot(request).await.unwrap();
                response.into_body().collect().await.unwrap();
            }
        });
    });
    let mut lines = lines(&handle);
    lines.retain(|line| !line.contains("_sum{"));
    lines
}

#[test]
fn the_preset_and_the_crate_render_the_same() {
    let peer = PrometheusMetricLayerBuilder::new().build();
    let theirs = traffic(app().layer(peer));
    let metrics = RequestMetrics::builder()
        .names(Names::AxumPrometheus)
        .build()
        .unwrap();
    let ours = traffic(app().layer(RequestMetricsLayer::from(metrics)));
    assert!(theirs.len() > 20, "{theirs:?}");
    assert_eq!(theirs, ours);
}
