//! Scans behind routes of an axum router, by hand and over real connections.

use std::{future::pending, io, sync::Arc, time::Duration};

use axum::{Router, body::Body, response::IntoResponse, routing::post};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use test_support::{drive::poll, serve};
use tokio::sync::Notify;
use tower::ServiceExt as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_scan_lifecycle::{
    CurrentScan, Failure, FailureReason, HttpScanLayer, Outcome, RejectReason, ScanMeta,
    ScanReport, Severity,
};

use crate::common::{Scene, on_both};

fn layer(scene: &Scene) -> HttpScanLayer {
    HttpScanLayer::new(scene.scans.clone()).route(Method::POST, "/mcp/{kind}", "mcp")
}

fn app<H, T>(scene: &Scene, handler: H) -> Router
where
    H: axum::handler::Handler<T, ()>,
    T: 'static,
{
    let routes = Router::new().route("/mcp/{kind}", post(handler).get(|| async {}));
    routes.layer(layer(scene))
}

fn request() -> Request<Body> {
    Request::post("/mcp/scans").body(Body::empty()).unwrap()
}

async fn status_of(scene: &Scene, status: StatusCode) {
    let app = app(scene, async move || status);
    assert_eq!(app.oneshot(request()).await.unwrap().status(), status);
}

#[test]
fn a_scan_that_nobody_reports_ends_by_the_status() {
    on_both(async |scene| {
        for status in [200, 202, 204] {
            status_of(&scene, StatusCode::from_u16(status).unwrap()).await;
        }
        assert_eq!(scene.ends(), [3.0, 0.0, 0.0, 0.0]);
        for status in [500, 502, 503] {
            status_of(&scene, StatusCode::from_u16(status).unwrap()).await;
        }
        for status in [408, 504] {
            status_of(&scene, StatusCode::from_u16(status).unwrap()).await;
        }
        assert_eq!(scene.ends(), [3.0, 3.0, 2.0, 0.0]);
        for (status, reason) in [
            (400, "invalid"),
            (404, "invalid"),
            (303, "invalid"),
            (401, "forbidden"),
            (403, "forbidden"),
            (429, "rate_limited"),
        ] {
            let before = scene.rejected(reason);
            status_of(&scene, StatusCode::from_u16(status).unwrap()).await;
            assert_eq!(scene.rejected(reason), before + 1.0, "{status}");
        }
        assert_eq!(scene.ends(), [3.0, 3.0, 2.0, 0.0]);
        assert_eq!(scene.value("scans_started_total{type=\"mcp\"}"), 14.0);
    });
}

#[test]
fn another_method_or_path_is_no_scan() {
    on_both(async |scene| {
        let app = app(&scene, async |scan: Option<CurrentScan>| {
            assert!(scan.is_some());
        });
        let get = Request::get("/mcp/scans").body(Body::empty()).unwrap();
        assert_eq!(app.clone().oneshot(get).await.unwrap().status(), 200);
        let other = Request::post("/other").body(Body::empty()).unwrap();
        assert_eq!(app.oneshot(other).await.unwrap().status(), 404);
        assert_eq!(scene.value("scans_started_total{type=\"mcp\"}"), 0.0);
        assert_eq!(scene.value("scans_started_total{type=\"other\"}"), 0.0);
    });
}

#[test]
fn the_extractor_tells_that_there_is_no_scan() {
    on_both(async |scene| {
        let handler = async |_: CurrentScan| "never";
        let app: Router = Router::new()
            .route("/plain", post(handler))
            .layer(layer(&scene));
        let request = Request::post("/plain").body(Body::empty()).unwrap();
        let response = app.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 500);
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert!(text.starts_with(b"this request has no scan"), "{text:?}");
    });
}

#[test]
fn what_the_handler_reports_is_the_end_whatever_is_answered() {
    on_both(async |scene| {
        let app = app(&scene, async |scan: CurrentScan| {
            scan.context().finding(Severity::Low);
            assert!(scan.report(ScanReport::new().findings(Severity::High, 2)));
            assert!(!scan.report(Outcome::TimedOut), "it has ended");
            assert!(scan.detach().is_none());
            StatusCode::INTERNAL_SERVER_ERROR
        });
        app.oneshot(request()).await.unwrap();
        assert_eq!(scene.ends(), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!((scene.findings("high"), scene.findings("low")), (2.0, 1.0));
    });
}

#[test]
fn a_report_in_the_response_is_the_end() {
    on_both(async |scene| {
        let reports = app(&scene, async || {
            let mut response = StatusCode::OK.into_response();
            let report = ScanReport::new().finding(Severity::Critical);
            response.extensions_mut().insert(report);
            response
        });
        let response = reports.oneshot(request()).await.unwrap();
        assert!(
            response.extensions().get::<ScanReport>().is_none(),
            "it is taken out"
        );
        let fails = app(&scene, async || {
            let mut response = StatusCode::OK.into_response();
            let failure = Failure::new(FailureReason::EngineUnavailable);
            response.extensions_mut().insert(Outcome::Failed(failure));
            response
        });
        fails.oneshot(request()).await.unwrap();
        assert_eq!(scene.ends(), [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(scene.findings("critical"), 1.0);
        assert_eq!(scene.failures("engine_unavailable"), 1.0);
    });
}

#[test]
fn r6_a_panic_in_the_handler_has_failed_unless_something_inside_answers() {
    on_both(async |scene| {
        let panics = async || -> StatusCode { panic!("in the handler") };
        let task = tokio::spawn(app(&scene, panics).oneshot(request()));
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(scene.failures("panic"), 1.0);
        let caught = Router::new()
            .route("/mcp/{kind}", post(panics).layer(CatchPanicLayer::new()))
            .layer(layer(&scene));
        caught.oneshot(request()).await.unwrap();
        assert_eq!(scene.failures("error"), 1.0);
        // Outside of the layer: what it answers is not seen, the panic is.
        let outside = app(&scene, panics).layer(CatchPanicLayer::new());
        assert_eq!(outside.oneshot(request()).await.unwrap().status(), 500);
        assert_eq!(scene.failures("panic"), 2.0);
    });
}

#[test]
fn r8_a_detached_scan_outlives_its_answer_and_ends_once() {
    on_both(async |scene| {
        let (done, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (go, told) = (Arc::clone(&done), Arc::clone(&ended));
        let app = app(&scene, async move |scan: CurrentScan| {
            let active = scan.detach().expect("still there");
            assert!(scan.detach().is_none(), "taken over already");
            assert!(!scan.report(Outcome::Cancelled));
            let (go, told) = (Arc::clone(&go), Arc::clone(&told));
            tokio::spawn(async move {
                let report = async {
                    go.notified().await;
                    ScanReport::new().finding(Severity::High)
                };
                let report = active.scope(report).await;
                active.complete(report);
                told.notify_one();
            });
            StatusCode::ACCEPTED
        });
        let response = app.oneshot(request()).await.unwrap();
        assert_eq!(response.status(), 202);
        // The client goes away.
        drop(response);
        assert_eq!(scene.active(), 1.0);
        scene.clock.advance(Duration::from_secs(40));
        done.notify_one();
        ended.notified().await;
        assert_eq!(scene.ends(), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(scene.value("scan_duration_seconds_sum{type=\"mcp\"}"), 40.0);
        assert_eq!(scene.findings("high"), 1.0);
    });
}

#[test]
fn r8_a_panic_in_the_background_counts_and_a_dropped_one_is_cancelled() {
    on_both(async |scene| {
        let (send, mut detached) = tokio::sync::mpsc::unbounded_channel();
        let app = app(&scene, async move |scan: CurrentScan| {
            send.send(scan.detach().expect("still there")).unwrap();
            StatusCode::ACCEPTED
        });
        app.clone().oneshot(request()).await.unwrap();
        app.oneshot(request()).await.unwrap();
        let panics = detached.recv().await.unwrap();
        let task = tokio::spawn(async move {
            panics.scope(async { panic!("in the background") }).await;
        });
        assert!(task.await.unwrap_err().is_panic());
        drop(detached.recv().await.unwrap());
        assert_eq!(scene.ends(), [0.0, 1.0, 0.0, 1.0]);
    });
}

#[test]
fn a_client_that_goes_away_before_the_answer_cancels_or_is_too_late() {
    on_both(async |scene| {
        let mut call = Box::pin(app(&scene, pending::<StatusCode>).oneshot(request()));
        assert!(poll(&mut call).is_pending());
        assert_eq!(scene.active(), 1.0);
        drop(call);
        assert_eq!(scene.ends(), [0.0, 0.0, 0.0, 1.0]);

        let with_deadline = HttpScanLayer::new(scene.scans.clone())
            .classify(|_| Some(ScanMeta::new("mcp").deadline(Duration::from_secs(300))));
        let app: Router = Router::new()
            .route("/mcp/{kind}", post(pending::<StatusCode>))
            .layer(with_deadline);
        let mut call = Box::pin(app.oneshot(request()));
        assert!(poll(&mut call).is_pending());
        scene.clock.advance(Duration::from_secs(300));
        drop(call);
        assert_eq!(scene.ends(), [0.0, 0.0, 1.0, 1.0]);
    });
}

#[test]
fn a_kept_clone_is_inert_after_the_answer() {
    on_both(async |scene| {
        let (keep, mut kept) = tokio::sync::mpsc::unbounded_channel();
        let app = app(&scene, async move |scan: CurrentScan| {
            keep.send(scan).unwrap()
        });
        app.oneshot(request()).await.unwrap();
        let kept = kept.recv().await.unwrap();
        let before = scene.samples();
        assert!(!kept.report(Outcome::TimedOut));
        assert!(kept.detach().is_none());
        kept.context().finding(Severity::Critical);
        drop(kept);
        assert_eq!(scene.samples(), before);
    });
}

#[test]
fn a_scan_can_last_as_long_as_the_body() {
    on_both(async |scene| {
        let body = || {
            let frames = [
                Ok::<_, io::Error>(http_body::Frame::data(Bytes::from("first"))),
                Ok(http_body::Frame::data(Bytes::from("last"))),
            ];
            Body::new(StreamBody::new(tokio_stream::iter(frames)))
        };
        let app: Router = Router::new()
            .route("/mcp/{kind}", post(async move || body()))
            .layer(layer(&scene).end_with_body());
        let response = app.clone().oneshot(request()).await.unwrap();
        assert_eq!(scene.active(), 1.0);
        scene.clock.advance(Duration::from_secs(20));
        response.into_body().collect().await.unwrap();
        assert_eq!(scene.ends(), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(scene.value("scan_duration_seconds_sum{type=\"mcp\"}"), 20.0);
        drop(app.oneshot(request()).await.unwrap());
        assert_eq!(scene.ends(), [1.0, 0.0, 0.0, 1.0]);
    });
}

#[test]
fn a_body_that_breaks_or_panics_has_failed() {
    on_both(async |scene| {
        let broken = || {
            let frames = [
                Ok(http_body::Frame::data(Bytes::from("first"))),
                Err(io::Error::other("cut")),
            ];
            Body::new(StreamBody::new(tokio_stream::iter(frames)))
        };
        let app: Router = Router::new()
            .route("/mcp/{kind}", post(async move || broken()))
            .layer(layer(&scene).end_with_body());
        let response = app.oneshot(request()).await.unwrap();
        response.into_body().collect().await.unwrap_err();
        assert_eq!(scene.failures("error"), 1.0);
    });
}

#[test]
fn over_a_real_connection_a_client_that_crashes_cancels_and_a_detached_scan_goes_on() {
    on_both(async |scene| {
        let arrived = Arc::new(Notify::new());
        let (send, mut detached) = tokio::sync::mpsc::unbounded_channel();
        let tell = Arc::clone(&arrived);
        let hangs = async move |scan: CurrentScan| {
            scan.set_id("late");
            tell.notify_one();
            pending::<()>().await;
        };
        let submits = async move |scan: CurrentScan| {
            send.send(scan.detach().expect("still there")).unwrap();
            pending::<()>().await;
        };
        let app: Router = Router::new()
            .route("/mcp/hangs", post(hangs))
            .route("/mcp/submits", post(submits))
            .layer(
                HttpScanLayer::new(scene.scans.clone())
                    .route(Method::POST, "/mcp/hangs", "mcp")
                    .route(Method::POST, "/mcp/submits", "mcp"),
            );
        let mut wire = serve::http1(serve::tcp().await, app.clone());
        wire.request(Method::POST, "/mcp/hangs").await;
        arrived.notified().await;
        assert_eq!(scene.active(), 1.0);
        drop(wire.reset().await);
        assert_eq!(scene.ends(), [0.0, 0.0, 0.0, 1.0]);

        let mut wire = serve::http1(serve::tcp().await, app);
        wire.request(Method::POST, "/mcp/submits").await;
        let active = detached.recv().await.unwrap();
        drop(wire.reset().await);
        assert_eq!(scene.active(), 1.0);
        active.complete(ScanReport::new());
        assert_eq!(scene.ends(), [1.0, 0.0, 0.0, 1.0]);
    });
}

#[test]
fn what_is_no_scan_after_all_can_be_rejected_by_the_handler() {
    on_both(async |scene| {
        let app = app(&scene, async |scan: CurrentScan| {
            scan.report(Outcome::Rejected(RejectReason::Disabled));
            StatusCode::NOT_FOUND
        });
        app.oneshot(request()).await.unwrap();
        assert_eq!(scene.rejected("disabled"), 1.0);
        assert_eq!(scene.ends(), [0.0; 4]);
    });
}
