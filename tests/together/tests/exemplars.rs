//! A request's own observation has its trace as an exemplar.

use axum::{Router, body::Body, routing::get};
use http::Request;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use tower_json_logging::JsonLogging;
use tower_metrics_exporter::{Exporter, Filter, Format, Source as _, SpanExemplarsLayer};
use tower_observe::ObserveLayer;
use tower_request_metrics::RequestMetrics;
use tracing_subscriber::layer::SubscriberExt as _;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test]
async fn a_request_in_a_trace_leaves_it_at_its_duration_though_its_body_ends_elsewhere() {
    let metrics = RequestMetrics::new();
    let exporter = Exporter::builder()
        .specs(metrics.specs())
        .exemplars_from_spans();
    let exporter = exporter.build().unwrap();
    let subscriber = tracing_subscriber::registry().with(SpanExemplarsLayer::new());
    let _subscriber = tracing::subscriber::set_default(subscriber);
    let recorder = exporter.recorder();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let app = Router::new()
        .route("/traced", get(async || "hello"))
        .route("/alone", get(async || "hello"))
        .layer(ObserveLayer::new((metrics, JsonLogging::new())));
    for (path, trace) in [("/traced", Some(TRACE)), ("/alone", None)] {
        let mut request = Request::get(path);
        if let Some(trace) = trace {
            request = request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
        }
        let request = request.body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        // Here nobody is in the request's span.
        response.into_body().collect().await.unwrap();
    }
    let mut page = Vec::new();
    let filter = Filter::new(["api_request_duration_seconds"]);
    exporter.encode(Format::OpenMetrics, &filter, &mut page);
    let page = String::from_utf8(page).unwrap();
    let exemplars: Vec<_> = page.lines().filter(|line| line.contains(" # {")).collect();
    assert_eq!(exemplars.len(), 1, "{page}");
    assert!(exemplars[0].contains("endpoint=\"/traced\""), "{page}");
    let exemplar = format!(" # {{trace_id=\"{TRACE}\"}} ");
    assert!(exemplars[0].contains(&exemplar), "{page}");
    assert!(page.contains("endpoint=\"/alone\""), "{page}");
}
