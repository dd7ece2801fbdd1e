//! Each ending is counted once, with its status, and the gauge comes down.

use std::panic::{AssertUnwindSafe, catch_unwind};

use http::{Method, Request};
use proptest::prelude::*;
use test_support::drive::{poll, ready};
use tower::{Layer as _, Service as _, service_fn};
use tower_request_metrics::{
    ClientGone, Instrument, Names, RequestMetricsBuilder, Route, StatusLabel,
};

use crate::common::{Scene, behave_declared, finish};

const WAYS: [(&str, &str); 10] = [
    ("/whole", "200"),
    ("/404", "404"),
    ("/never", "499"),
    ("/body/stall", "499"),
    ("/error", "500"),
    ("/panic/call", "500"),
    ("/panic/poll", "500"),
    ("/panic/body", "500"),
    ("/body/error", "500"),
    ("/upgrade", "101"),
];

type Build = fn(RequestMetricsBuilder) -> RequestMetricsBuilder;

/// What is looked at besides the route and the status, one thing at a time.
const SETTINGS: [Build; 10] = [
    |builder| builder,
    |builder| builder.names(Names::OpenTelemetry),
    |builder| builder.names(Names::AxumPrometheus),
    |builder| builder.status(StatusLabel::Class),
    |builder| builder.status(StatusLabel::Outcome),
    |builder| builder.client_gone(ClientGone::ErrorType),
    |builder| builder.enable(Instrument::TimeToHeaders),
    |builder| builder.enable(Instrument::RequestSize),
    |builder| builder.skip_routes(["/404"]),
    |builder| builder.skip(|request| request.uri().path() == "/whole"),
];

/// Most responses are of known length and end whole: the way through the layer that they take records what the
/// way of all others does.
#[test]
fn a_length_that_is_declared_changes_nothing_that_is_recorded() {
    const MORE: [&str; 5] = ["/503", "/204", "/304", "/empty", "/chunks"];
    for (setting, build) in SETTINGS.into_iter().enumerate() {
        let (one, other) = (Scene::with(build), Scene::with(build));
        let mut declared = other.layer.layer(service_fn(behave_declared));
        for path in WAYS.map(|(path, _)| path).into_iter().chain(MORE) {
            // Twice, as the first request makes the series.
            for method in [Method::GET, Method::GET, Method::POST, Method::HEAD] {
                one.run(method.clone(), path);
                let request = Request::builder().method(method).uri(path);
                let request = request.extension(Route::new(path)).body(()).unwrap();
                let _panicked = catch_unwind(AssertUnwindSafe(|| finish(&mut declared, request)));
            }
            assert_eq!(one.lines(), other.lines(), "{path} by setting {setting}");
        }
        assert!(!one.lines().is_empty());
    }
}

#[test]
fn every_ending_is_counted_once_with_its_status_and_nothing_stays_active() {
    for (path, status) in WAYS {
        let scene = Scene::new();
        scene.run(Method::GET, path);
        let counted =
            format!(r#"api_requests_total{{method="GET",endpoint="{path}",status="{status}"}} 1"#);
        assert_eq!(scene.of("api_requests_total"), [counted]);
        let active = format!(r#"api_active_requests{{method="GET",endpoint="{path}"}} 0"#);
        assert_eq!(scene.of("api_active_requests"), [active]);
        let seconds = format!(r#"api_request_duration_seconds_count{{endpoint="{path}"}}"#);
        let timed = if path == "/upgrade" { None } else { Some(1.0) };
        assert_eq!(scene.value(&seconds), timed, "{path}");
    }
}

#[test]
fn a_hundred_clients_that_leave_before_the_head_are_a_hundred_requests_and_none_active() {
    let scene = Scene::new();
    for _ in 0..100 {
        scene.run(Method::GET, "/never");
    }
    let counted = r#"api_requests_total{method="GET",endpoint="/never",status="499"}"#;
    assert_eq!(scene.value(counted), Some(100.0));
    assert_eq!(scene.sum("api_active_requests"), 0.0);
}

#[test]
fn responses_that_owe_no_body_are_complete_though_nobody_reads_it() {
    for (method, path, status) in [
        (Method::HEAD, "/whole", 200),
        (Method::GET, "/204", 204),
        (Method::GET, "/304", 304),
    ] {
        let scene = Scene::new();
        let mut service = scene.behaving();
        let request = Request::builder().method(&method).uri(path);
        drop(ready(&mut service.call(request.body(()).unwrap())));
        let counted = format!(
            r#"api_requests_total{{method="{method}",endpoint="_OTHER",status="{status}"}} 1"#
        );
        assert_eq!(scene.of("api_requests_total"), [counted]);
    }
}

#[test]
fn a_request_is_active_from_the_call_to_the_end_of_the_body() {
    let scene = Scene::new();
    let active = || scene.value(r#"api_active_requests{method="GET",endpoint="/whole"}"#);
    let request = Request::builder()
        .uri("/whole")
        .extension(Route::new("/whole"));
    let mut service = scene.behaving();
    let mut future = service.call(request.body(()).unwrap());
    assert_eq!(active(), Some(1.0));
    let response = ready(&mut future).unwrap();
    assert_eq!(active(), Some(1.0));
    assert_eq!(scene.sum("api_requests_total"), 0.0);
    drop(response);
    assert_eq!(active(), Some(0.0));
    assert_eq!(scene.sum("api_requests_total"), 1.0);
}

#[test]
fn the_duration_runs_to_the_end_of_the_body() {
    let scene = Scene::new();
    let mut service = scene.behaving();
    let request = Request::builder().uri("/whole").body(()).unwrap();
    let mut future = service.call(request);
    scene.clock.advance(std::time::Duration::from_secs(2));
    let mut body = ready(&mut future).unwrap().into_body();
    scene.clock.advance(std::time::Duration::from_secs(3));
    test_support::drive::read(&mut body).unwrap();
    scene.clock.advance(std::time::Duration::from_secs(4));
    drop(body);
    let sum = scene.value(r#"api_request_duration_seconds_sum{endpoint="_OTHER"}"#);
    assert_eq!(sum, Some(5.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn started_is_ended_and_active(steps in prop::collection::vec((0..WAYS.len(), any::<bool>()), 0..24)) {
        let scene = Scene::new();
        let mut held = Vec::new();
        let mut service = scene.behaving();
        for (at, (way, hold)) in steps.iter().enumerate() {
            let (path, _) = WAYS[*way];
            if *hold && !path.starts_with("/panic/call") {
                let request = Request::builder().uri(path).extension(Route::new(path));
                held.push(service.call(request.body(()).unwrap()));
            } else {
                scene.run(Method::GET, path);
            }
            let (ended, active) = (scene.sum("api_requests_total"), scene.sum("api_active_requests"));
            prop_assert_eq!(ended + active, (at + 1) as f64);
            prop_assert_eq!(active, held.len() as f64);
        }
        for mut future in held {
            let _panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(&mut future)));
        }
        prop_assert_eq!(scene.sum("api_requests_total"), steps.len() as f64);
        prop_assert_eq!(scene.sum("api_active_requests"), 0.0);
    }
}
