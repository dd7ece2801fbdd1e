//! Streams and upgrades have series of their own.

use std::{convert::Infallible, time::Duration};

use http::{Method, Request, Response, header::CONTENT_TYPE};
use test_support::{
    body::ScriptBody,
    drive::{bounded, poll_frame, ready},
    serve,
};
use tower::{Layer as _, Service as _, service_fn};
use tower_request_metrics::{CountRequestBodyLayer, Instrument, Names, RequestBody};

use crate::common::{Scene, finish};

fn answer<B>(kind: &'static str, body: B) -> std::future::Ready<Result<Response<B>, Infallible>> {
    let response = Response::builder().header(CONTENT_TYPE, kind).body(body);
    std::future::ready(Ok(response.unwrap()))
}

fn event() -> ScriptBody {
    ScriptBody::of(["data: 1\n\n", "data: 22\n\n"])
}

#[test]
fn a_stream_is_not_in_the_duration_but_in_series_of_its_own() {
    for kind in [
        "text/event-stream",
        "Text/Event-Stream; charset=utf-8",
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "multipart/x-mixed-replace; boundary=x",
    ] {
        let scene = Scene::new();
        let mut service = scene
            .layer
            .layer(service_fn(move |_: Request<()>| answer(kind, event())));
        let mut body = ready(&mut service.call(Request::new(())))
            .unwrap()
            .into_body();
        let active = r#"api_active_streams{endpoint="_OTHER"}"#;
        let sent = r#"api_stream_bytes_total{endpoint="_OTHER",direction="sent"}"#;
        assert_eq!(
            (scene.value(active), scene.value(sent)),
            (Some(1.0), None),
            "{kind}"
        );
        for bytes in [9.0, 19.0] {
            assert!(poll_frame(&mut body).is_ready());
            assert_eq!(scene.value(sent), Some(bytes));
        }
        scene.clock.advance(Duration::from_secs(90));
        assert!(poll_frame(&mut body).is_ready());
        assert_eq!(scene.value(active), Some(0.0));
        assert_eq!(scene.sum("api_stream_duration_seconds_count"), 1.0);
        assert_eq!(scene.sum("api_stream_duration_seconds_sum"), 90.0);
        assert_eq!(
            scene.of("api_request_duration_seconds"),
            Vec::<String>::new()
        );
        let counted = r#"api_requests_total{method="GET",endpoint="_OTHER",status="200"}"#;
        assert_eq!(scene.value(counted), Some(1.0));
        assert_eq!(scene.sum("api_response_size_bytes_sum"), 19.0);
    }
}

#[test]
fn json_and_text_are_no_streams() {
    for kind in ["application/json", "text/plain", "application/javascript"] {
        let scene = Scene::new();
        let mut service = scene
            .layer
            .layer(service_fn(move |_: Request<()>| answer(kind, event())));
        finish(&mut service, Request::new(()));
        assert_eq!(scene.sum("api_request_duration_seconds_count"), 1.0);
        assert_eq!(scene.of("api_stream"), Vec::<String>::new());
    }
}

#[test]
fn other_presets_time_streams_like_everything() {
    let scene = Scene::with(|builder| builder.names(Names::AxumPrometheus));
    let mut service = scene.layer.layer(service_fn(|_: Request<()>| {
        answer("text/event-stream", event())
    }));
    finish(&mut service, Request::new(()));
    assert_eq!(scene.sum("axum_http_requests_duration_seconds_count"), 1.0);
}

#[tokio::test]
async fn a_stream_that_the_client_leaves_is_counted_once_and_not_timed_as_a_request() {
    bounded(async {
        let scene = Scene::new();
        let service = scene
            .layer
            .layer(service_fn(|_: Request<hyper::body::Incoming>| {
                answer("text/event-stream", ScriptBody::of(["data: 1\n\n"]).stall())
            }));
        let mut wire = serve::http1(serve::memory(), service);
        wire.get("/").await;
        wire.until("data: 1").await;
        assert_eq!(scene.sum("api_active_streams"), 1.0);
        drop(wire.close().await);
        assert_eq!(
            (
                scene.sum("api_active_streams"),
                scene.sum("api_active_requests")
            ),
            (0.0, 0.0)
        );
        let counted = r#"api_requests_total{method="GET",endpoint="_OTHER",status="499"} 1"#;
        assert_eq!(scene.of("api_requests_total"), [counted]);
        assert_eq!(scene.sum("api_stream_duration_seconds_count"), 1.0);
        assert_eq!(
            scene.of("api_request_duration_seconds"),
            Vec::<String>::new()
        );
    })
    .await;
}

#[tokio::test]
async fn over_http2_a_stream_that_is_reset_is_counted_once() {
    bounded(async {
        let scene = Scene::new();
        let service = scene
            .layer
            .layer(service_fn(|_: Request<hyper::body::Incoming>| {
                answer("text/event-stream", ScriptBody::of(["data: 1\n\n"]).stall())
            }));
        let mut client = serve::http2(serve::memory(), service).await;
        let mut response = client.get("/").await.unwrap();
        http_body_util::BodyExt::frame(response.body_mut())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(scene.sum("api_active_streams"), 1.0);
        drop(response);
        while scene.sum("api_active_streams") > 0.0 {
            tokio::task::yield_now().await;
        }
        let counted = r#"api_requests_total{method="GET",endpoint="_OTHER",status="499"} 1"#;
        assert_eq!(scene.of("api_requests_total"), [counted]);
        assert_eq!(scene.sum("api_active_requests"), 0.0);
    })
    .await;
}

#[test]
fn bytes_of_a_stream_are_counted_in_both_directions_as_they_come() {
    let scene = Scene::with(tower_request_metrics::RequestMetricsBuilder::count_request_bodies);
    let echo = service_fn(|request: Request<RequestBody<ScriptBody>>| {
        answer("application/x-ndjson", request.into_body())
    });
    let mut service = scene.layer.layer(CountRequestBodyLayer::new().layer(echo));
    let request = Request::new(ScriptBody::of(["{}\n", "[1]\n"]));
    let mut body = ready(&mut service.call(request)).unwrap().into_body();
    for (count, bytes) in [(1, 3.0), (2, 7.0)] {
        assert!(poll_frame(&mut body).is_ready());
        for direction in ["sent", "received"] {
            let series =
                format!(r#"api_stream_bytes_total{{endpoint="_OTHER",direction="{direction}"}}"#);
            assert_eq!(
                scene.value(&series),
                Some(bytes),
                "frame {count}, {direction}"
            );
        }
    }
}

#[test]
fn an_upgrade_is_counted_and_not_timed() {
    let scene = Scene::new();
    scene.run(Method::GET, "/upgrade");
    assert_eq!(
        scene.lines(),
        [
            r#"api_active_requests{method="GET",endpoint="/upgrade"} 0"#,
            r#"api_requests_total{method="GET",endpoint="/upgrade",status="101"} 1"#,
            r#"api_upgrades_total{endpoint="/upgrade"} 1"#,
        ]
    );
}

#[test]
fn the_time_to_the_head_is_recorded_where_that_is_asked_for() {
    let scene = Scene::with(|builder| builder.enable(Instrument::TimeToHeaders));
    let mut service = scene.behaving();
    let mut future = service.call(Request::builder().uri("/whole").body(()).unwrap());
    scene.clock.advance(Duration::from_secs(3));
    let response = ready(&mut future).unwrap();
    scene.clock.advance(Duration::from_secs(4));
    drop(response);
    let sum = |name: &str| scene.value(&format!(r#"{name}_sum{{endpoint="_OTHER"}}"#));
    assert_eq!(sum("api_time_to_headers_seconds"), Some(3.0));
    assert_eq!(sum("api_request_duration_seconds"), Some(7.0));
}
