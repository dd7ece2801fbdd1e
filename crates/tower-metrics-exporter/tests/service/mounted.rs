//! Other registries in the same service.

#![cfg(all(
    feature = "metrics-exporter-prometheus",
    feature = "prometheus",
    feature = "prometheus-client"
))]

use std::sync::{Arc, Mutex};

use http::{StatusCode, header};
use metrics::with_local_recorder;
use tower_metrics_exporter::{Format, MetricsService};

use crate::common::scrape;

/// Asks in each format: the one of the registry is had, another is refused, and who takes anything is served.
async fn serves(service: MetricsService, format: Format, series: &str) {
    for asked in Format::ALL {
        let response = scrape(&service, &[("accept", asked.content_type())]).await;
        if asked == format {
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(
                response.headers()[header::CONTENT_TYPE],
                format.content_type()
            );
            let page = std::str::from_utf8(response.body()).unwrap();
            assert!(page.lines().any(|line| line == series), "{page}");
        } else {
            assert_eq!(response.status(), StatusCode::NOT_ACCEPTABLE, "{asked}");
        }
    }
    let gzip = scrape(&service, &[("accept-encoding", "gzip, identity;q=0")]).await;
    assert_eq!(gzip.status(), StatusCode::OK);
    let is_compressed = cfg!(feature = "gzip");
    assert_eq!(
        gzip.headers().contains_key(header::CONTENT_ENCODING),
        is_compressed
    );
}

#[tokio::test]
async fn a_handle_of_metrics_exporter_prometheus() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    with_local_recorder(&recorder, || metrics::counter!("jobs_total").increment(3));
    let service = MetricsService::new(recorder.handle());
    serves(service, Format::Text, "jobs_total 3").await;
}

#[tokio::test]
async fn a_registry_of_prometheus() {
    let registry = prometheus::Registry::new();
    let jobs = prometheus::IntCounter::new("jobs_total", "Jobs.").unwrap();
    jobs.inc_by(3);
    registry.register(Box::new(jobs)).unwrap();
    serves(MetricsService::new(registry), Format::Text, "jobs_total 3").await;
}

#[tokio::test]
async fn a_registry_of_prometheus_client_that_takes_more_later() {
    use prometheus_client::{metrics::counter::Counter, registry::Registry};

    let registry = Arc::new(Mutex::new(Registry::default()));
    let service = MetricsService::new(Arc::clone(&registry));
    let jobs = <Counter>::default();
    jobs.inc_by(3);
    registry.lock().unwrap().register("jobs", "Jobs", jobs);
    serves(service, Format::OpenMetrics, "jobs_total 3").await;
}
