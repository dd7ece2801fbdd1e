//! Request metrics inside an axum router, on one recorder each.

use std::sync::{Arc, atomic::Ordering};

use axum::Router;
use axum_prometheus::PrometheusMetricLayerBuilder;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tower_http::metrics::InFlightRequestsLayer;
use tower_observe::ObserveLayer;
use tower_request_metrics::{RequestMetrics, RequestMetricsLayer};

use crate::{
    bare::Bare,
    harness::{self, Effort, Side},
    route,
};

/// Compares, after checking that both sides counted the same.
pub fn run(effort: Effort) {
    let (in_flight, _counter) = InFlightRequestsLayer::pair();
    let sides = vec![
        Side::new("tower-http 0.7.1 InFlightRequests (the floor)", {
            let mut service = route::service(route::router().layer(in_flight));
            move |n| route::requests(&mut service, n)
        }),
        Side::new("tower-observe, observing nothing", {
            let layer = ObserveLayer::new(());
            let mut service = route::service(route::router().layer(layer));
            move |n| route::requests(&mut service, n)
        }),
        Side::new("tower-request-metrics, bare-atomic recorder", {
            let recorder = Arc::new(Bare::default());
            let metrics = RequestMetrics::builder().recorder(recorder.clone()).build();
            let layer = RequestMetricsLayer::from(metrics.expect("the defaults can be built"));
            let mut service = route::service(route::router().layer(layer));
            route::requests(&mut service, 7);
            assert_eq!(recorder.counted.load(Ordering::Relaxed), 7);
            move |n| route::requests(&mut service, n)
        }),
        recorded("tower-request-metrics", "api_requests_total", |router| {
            router.layer(RequestMetricsLayer::new())
        }),
        recorded(
            "axum-prometheus 0.10.1",
            "axum_http_requests_total",
            |router| {
                let layer = PrometheusMetricLayerBuilder::new()
                    .no_initialize_metrics()
                    .build();
                router.layer(layer)
            },
        ),
    ];
    let costs = harness::measure(sides, effort);
    harness::print("request-metrics", "request", &costs);
}

fn recorded(name: &str, counter: &'static str, layered: impl Fn(Router) -> Router) -> Side {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let mut service =
        metrics::with_local_recorder(&recorder, || route::service(layered(route::router())));
    check(&recorder, &handle, counter, |n| {
        route::requests(&mut service, n)
    });
    Side::new(name, move |n| {
        metrics::with_local_recorder(&recorder, || route::requests(&mut service, n));
        // Outside of what a request pays, but it keeps the memory of the samples bounded.
        handle.run_upkeep();
    })
}

fn check(
    recorder: &PrometheusRecorder,
    handle: &PrometheusHandle,
    counter: &str,
    mut run: impl FnMut(usize),
) {
    metrics::with_local_recorder(recorder, || run(7));
    let page = handle.render();
    let counted: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with(counter))
        .collect();
    assert!(
        matches!(counted[..], [line] if line.ends_with(" 7") && line.contains("/api/v1/scans/{id}")),
        "{counter} did not count 7 requests of the route: {counted:?}"
    );
}
