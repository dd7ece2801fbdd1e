//! The names of OpenTelemetry's semantic conventions.

use http::{Method, Request, Version};
use metrics_exporter_prometheus::PrometheusBuilder;
use tower::Layer as _;
use tower_request_metrics::{Names, RequestMetrics, RequestMetricsLayer, Route};

use crate::common::{Scene, finish};

fn scene() -> Scene {
    Scene::with(|builder| builder.names(Names::OpenTelemetry))
}

/// The labels of the one request, without what the conventions require of each.
fn labels(scene: &Scene) -> String {
    let counts = scene.of("http_server_request_duration_count");
    let [count] = &counts[..] else {
        panic!("{counts:?}")
    };
    let labels = count.split_once('{').unwrap().1.split_once('}').unwrap().0;
    labels.to_owned()
}

#[test]
fn a_request_has_the_required_attributes_and_those_whose_condition_it_meets() {
    let scene = scene();
    scene.run(Method::GET, "/whole");
    assert_eq!(
        labels(&scene),
        concat!(
            r#"http_request_method="GET",url_scheme="http",http_response_status_code="200","#,
            r#"http_route="/whole",network_protocol_version="1.1""#
        )
    );
    let active = r#"http_server_active_requests{http_request_method="GET",url_scheme="http"}"#;
    assert_eq!(scene.value(active), Some(0.0));
}

#[test]
fn an_error_type_is_there_only_for_errors_and_a_status_only_if_one_was_sent() {
    let of = |path| {
        let scene = scene();
        scene.run(Method::GET, path);
        let labels = labels(&scene);
        let value = |name: &str| {
            let (_, rest) = labels.split_once(name)?;
            Some(rest.strip_prefix("=\"")?.split('"').next()?.to_owned())
        };
        (value("error_type"), value("http_response_status_code"))
    };
    let pair = |error: Option<&str>, status: Option<&str>| {
        (error.map(str::to_owned), status.map(str::to_owned))
    };
    assert_eq!(of("/whole"), pair(None, Some("200")));
    assert_eq!(of("/404"), pair(None, Some("404")));
    assert_eq!(of("/upgrade"), pair(None, Some("101")));
    assert_eq!(of("/503"), pair(Some("503"), Some("503")));
    assert_eq!(of("/never"), pair(Some("client_gone_before_head"), None));
    assert_eq!(of("/error"), pair(Some("service_error"), None));
    assert_eq!(of("/panic/call"), pair(Some("panic"), None));
    assert_eq!(of("/body/error"), pair(Some("body_error"), Some("200")));
    assert_eq!(
        of("/body/stall"),
        pair(Some("client_gone_in_body"), Some("200"))
    );
}

#[test]
fn a_route_that_is_not_known_is_left_out() {
    let scene = scene();
    finish(&mut scene.layer_over_anything(), Request::new(()));
    assert!(!labels(&scene).contains("http_route"));
    let overflowing = Scene::with(|builder| builder.names(Names::OpenTelemetry).max_routes(0));
    let request = Request::builder()
        .extension(Route::new("/a"))
        .body(())
        .unwrap();
    finish(&mut overflowing.layer_over_anything(), request);
    assert!(!labels(&overflowing).contains("http_route"));
    let overflow = r#"http_server_label_overflow{label="http.route"}"#;
    assert_eq!(overflowing.value(overflow), Some(1.0));
}

#[test]
fn protocol_versions_and_schemes_and_unknown_methods_are_spelt_as_agreed() {
    for (version, said) in [
        (Version::HTTP_10, "1.0"),
        (Version::HTTP_11, "1.1"),
        (Version::HTTP_2, "2"),
        (Version::HTTP_3, "3"),
    ] {
        let scene = scene();
        let request = Request::builder().version(version).body(()).unwrap();
        finish(&mut scene.layer_over_anything(), request);
        assert!(labels(&scene).contains(&format!(r#"network_protocol_version="{said}""#)));
    }
    for (given, said) in [("https", "https"), ("http", "http"), ("wss", "_OTHER")] {
        let scene = Scene::with(|builder| builder.names(Names::OpenTelemetry).scheme(given));
        // What the client says of it is not believed.
        let request = Request::builder().uri("ftp://host/").body(()).unwrap();
        finish(&mut scene.layer_over_anything(), request);
        assert!(labels(&scene).contains(&format!(r#"url_scheme="{said}""#)));
    }
    let scene = scene();
    let request = Request::builder().method("PURGE").body(()).unwrap();
    finish(&mut scene.layer_over_anything(), request);
    assert!(labels(&scene).contains(r#"http_request_method="_OTHER""#));
}

#[test]
fn an_exporter_that_is_told_the_buckets_renders_them() {
    let metrics = RequestMetrics::builder().names(Names::OpenTelemetry);
    let specs = metrics.clone().build().unwrap().specs();
    let buckets = &specs
        .iter()
        .find(|spec| spec.name == "http.server.request.duration")
        .unwrap()
        .buckets;
    let matcher =
        metrics_exporter_prometheus::Matcher::Full("http_server_request_duration".to_owned());
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(matcher, buckets)
        .unwrap()
        .build_recorder();
    let handle = recorder.handle();
    let layer = RequestMetricsLayer::from(
        metrics
            .recorder(std::sync::Arc::new(recorder))
            .build()
            .unwrap(),
    );
    let mut service = layer.layer(tower::service_fn(crate::common::behave));
    finish(
        &mut service,
        Request::builder().uri("/whole").body(()).unwrap(),
    );
    let rendered = crate::common::lines(&handle);
    let found = rendered
        .iter()
        .filter(|line| line.starts_with("http_server_request_duration_bucket"));
    assert_eq!(found.count(), 15);
}
