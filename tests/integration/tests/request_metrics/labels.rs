//! What the labels of a request's outcome say.

use http::{Method, StatusCode};
use tower_observe::{Class, Classify as _, End, HttpClassify};
use tower_request_metrics::{
    ClientGone, Dimension, Instrument, RequestMetricsBuilder, StatusLabel,
};

use crate::common::Scene;

/// The status of the one request to a path.
fn status(
    build: impl FnOnce(RequestMetricsBuilder) -> RequestMetricsBuilder,
    path: &'static str,
) -> String {
    let scene = Scene::with(build);
    scene.run(Method::GET, path);
    let lines = scene.of("api_requests_total");
    let [line] = &lines[..] else {
        panic!("{lines:?}")
    };
    let status = line.split_once("status=\"").map_or("", |(_, rest)| rest);
    status.split('"').next().unwrap().to_owned()
}

#[test]
fn the_status_can_be_a_class() {
    let class = |path| status(|builder| builder.status(StatusLabel::Class), path);
    assert_eq!(class("/whole"), "2xx");
    assert_eq!(class("/304"), "3xx");
    assert_eq!(class("/404"), "4xx");
    assert_eq!(class("/never"), "4xx");
    assert_eq!(class("/error"), "5xx");
    assert_eq!(class("/upgrade"), "1xx");
}

#[test]
fn the_status_can_be_an_outcome() {
    let outcome = |path| status(|builder| builder.status(StatusLabel::Outcome), path);
    assert_eq!(outcome("/whole"), "success");
    assert_eq!(outcome("/404"), "client_error");
    assert_eq!(outcome("/body/stall"), "client_error");
    assert_eq!(outcome("/panic/poll"), "server_error");
}

#[test]
fn a_classifier_decides_what_is_an_error() {
    let classify = |end: &End<'_>| match end.effective_status() {
        StatusCode::NOT_FOUND => Class::ServerError,
        _ => HttpClassify.end(end),
    };
    let outcome = |path| {
        let build = |builder: RequestMetricsBuilder| builder.status(StatusLabel::Outcome);
        status(|builder| build(builder).classify(classify), path)
    };
    assert_eq!(outcome("/404"), "server_error");
    assert_eq!(outcome("/whole"), "success");

    let scene = Scene::with(|builder| {
        let labels = [Dimension::Status, Dimension::ErrorType];
        builder
            .labels(Instrument::Requests, labels)
            .classify(classify)
    });
    scene.run(Method::GET, "/404");
    let counted = r#"api_requests_total{status="404",error_type="404"} 1"#;
    assert_eq!(scene.of("api_requests_total"), [counted]);
}

#[test]
fn a_client_that_went_away_can_have_another_status() {
    let gone = ClientGone::Status(StatusCode::REQUEST_TIMEOUT);
    let build = |builder: RequestMetricsBuilder| builder.client_gone(gone);
    assert_eq!(status(build, "/never"), "408");
    assert_eq!(status(build, "/body/stall"), "408");
    assert_eq!(status(build, "/error"), "500");
    assert_eq!(status(build, "/whole"), "200");
}

#[test]
fn a_client_that_went_away_can_be_an_error_type() {
    let count = |path, expected: &str| {
        let scene = Scene::with(|builder| {
            let labels = [Dimension::Status, Dimension::ErrorType];
            let builder = builder.labels(Instrument::Requests, labels);
            builder.client_gone(ClientGone::ErrorType)
        });
        scene.run(Method::GET, path);
        let counted = format!("api_requests_total{expected} 1");
        assert_eq!(scene.of("api_requests_total"), [counted]);
    };
    count("/never", r#"{error_type="client_gone_before_head"}"#);
    count(
        "/body/stall",
        r#"{status="200",error_type="client_gone_in_body"}"#,
    );
    count("/body/error", r#"{status="200",error_type="body_error"}"#);
    count("/error", r#"{error_type="service_error"}"#);
    count("/panic/poll", r#"{error_type="panic"}"#);
    count("/503", r#"{status="503",error_type="503"}"#);
    count("/404", r#"{status="404"}"#);
    count("/whole", r#"{status="200"}"#);
}

#[test]
fn an_instrument_can_be_renamed_relabelled_and_left_out() {
    let scene = Scene::with(|builder| {
        builder
            .rename(Instrument::Requests, "hits")
            .labels(Instrument::Duration, [Dimension::Method, Dimension::Route])
            .buckets(Instrument::Duration, [0.5])
            .disable(Instrument::Active)
            .disable(Instrument::ResponseSize)
    });
    scene.run(Method::GET, "/whole");
    let names: Vec<_> = scene
        .layer
        .specs()
        .into_iter()
        .map(|spec| spec.name)
        .collect();
    assert!(names.contains(&"hits".into()) && !names.contains(&"api_active_requests".into()));
    assert_eq!(scene.of("hits").len(), 1);
    assert_eq!(
        scene.of("api_active").len() + scene.of("api_response").len(),
        0
    );
    let timed = r#"api_request_duration_seconds_count{method="GET",endpoint="/whole"}"#;
    assert_eq!(scene.value(timed), Some(1.0));
    let specs = scene.layer.specs();
    let duration = specs
        .iter()
        .find(|spec| spec.name == "api_request_duration_seconds");
    assert_eq!(duration.unwrap().buckets, [0.5]);
}
