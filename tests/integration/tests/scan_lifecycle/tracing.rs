//! The span of a scan, and the line at its end.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use ::tracing::{Level, info_span};
use axum::{Router, body::Body, routing::post};
use http::{Method, Request, StatusCode};
use tower::ServiceExt as _;
use tower_observe::{Exchange, Observe, ObserveLayer, RequestHead};
use tower_scan_lifecycle::{
    BlockReason, CurrentScan, HttpScans, ScanMeta, ScanReport, Severity, Verdict,
};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::common::Scene;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that are written while `work` runs.
fn lines(work: impl FnOnce()) -> Vec<String> {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_max_level(Level::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    ::tracing::subscriber::with_default(subscriber, work);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn there_is_one_line_for_each_end_at_the_level_of_the_end() {
    let scene = Scene::new();
    let lines = lines(|| {
        let scans = &scene.scans;
        let report = ScanReport::new().findings(Severity::High, 2);
        scans.start(scene.mcp().target("a.json")).complete(report);
        let blocked = Verdict::Blocked(BlockReason::Severity);
        scans
            .start(scene.mcp())
            .complete(ScanReport::new().verdict(blocked).drift(true));
        scans.start(scene.mcp()).fail("no parser");
        scans.start(scene.mcp()).time_out();
        drop(scans.start(scene.mcp()));
        drop(scans.start(scene.mcp()).retry());
        scans.abandoned_scan(&scene.mcp(), Some(Duration::from_secs(5)));
        scans.abandoned("mcp", 2);
    });
    let expected = [
        (
            " INFO",
            "scan finished scan_status=\"completed\"",
            "findings_high=2",
        ),
        (
            " WARN",
            "scan finished scan_status=\"completed\"",
            "scan_verdict=\"blocked\" scan_drift=true",
        ),
        (
            "ERROR",
            "scan finished scan_status=\"failed\"",
            "error=\"no parser\"",
        ),
        (
            " WARN",
            "scan finished scan_status=\"timed_out\"",
            "scan_reason=\"timeout\"",
        ),
        (
            " WARN",
            "scan finished scan_status=\"cancelled\"",
            "scan_reason=\"cancelled\"",
        ),
        (" WARN", "scan given back", "scan_attempt=1"),
        (
            "ERROR",
            "scan finished scan_status=\"failed\"",
            "scan_duration_ms=5000.0",
        ),
        ("ERROR", "scans abandoned", "scans=2"),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (level, start, part)) in lines.iter().zip(expected) {
        for text in [level, start, part] {
            assert!(line.contains(text), "no {text} in {line}");
        }
        assert_eq!(
            line.contains("scan_id=\"7\""),
            !line.contains("abandoned"),
            "{line}"
        );
    }
    assert!(lines[0].contains("scan_target=\"a.json\""));
    // What is in the line is in the series.
    let finished = lines.iter().filter(|line| line.contains("scan finished"));
    let total: f64 = scene.ends().iter().sum();
    assert_eq!(finished.count() as f64 + 2.0, total);
}

#[test]
fn a_scan_is_within_what_asked_for_it_unless_it_waited() {
    let scene = Scene::new();
    let lines = lines(|| {
        let request = info_span!("request", request_id = "r1");
        let (now, later) = request.in_scope(|| {
            let now = scene.scans.start(scene.mcp());
            (now, scene.scans.queue(scene.mcp().traceparent(TRACE)))
        });
        now.cancel();
        later.start().cancel();
    });
    assert!(
        lines[0].contains("request{request_id=\"r1\"}:scan{"),
        "{lines:#?}"
    );
    assert!(!lines[1].contains("request{"), "{lines:#?}");
    for field in [
        "trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"",
        "linked_span_id=\"00f067aa0ba902b7\"",
        "scan_queue_ms=0.0",
    ] {
        assert!(lines[1].contains(field), "{lines:#?}");
    }
}

/// An observer with a span for each request, as those that log have.
#[derive(Clone)]
struct Spans;

struct InSpan(::tracing::Span);

impl Observe for Spans {
    type Exchange = InSpan;

    fn start(&self, _: &mut RequestHead<'_>) -> InSpan {
        InSpan(info_span!("request", request_id = "r1"))
    }
}

impl Exchange for InSpan {
    fn scope<R>(&self, f: impl FnOnce() -> R) -> R {
        self.0.in_scope(f)
    }
}

#[tokio::test]
async fn behind_a_route_it_is_within_the_requests_span_until_it_is_detached() {
    let scene = Scene::new();
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(move || writer.clone())
        .finish();
    let _subscriber = ::tracing::subscriber::set_default(subscriber);
    let observers = (
        Spans,
        HttpScans::new(scene.scans.clone()).route(Method::POST, "/scans", "mcp"),
    );
    let (send, mut detached) = tokio::sync::mpsc::unbounded_channel();
    let handler = async move |scan: CurrentScan| {
        scan.set_id("late");
        ::tracing::info!("in the handler");
        send.send(scan.detach().unwrap()).unwrap();
        StatusCode::ACCEPTED
    };
    let app: Router = Router::new()
        .route("/scans", post(handler))
        .layer(ObserveLayer::new(observers));
    let request = Request::post("/scans").header("traceparent", TRACE);
    let request = request.body(Body::empty()).unwrap();
    drop(app.oneshot(request).await.unwrap());
    let so_far = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(
        so_far.contains("request{request_id=\"r1\"}:scan{scan_type=\"mcp\" scan_id=\"late\"}"),
        "{so_far}"
    );
    assert!(
        so_far.contains("INFO request{request_id=\"r1\"}: ") && so_far.contains("close"),
        "the request's span is not held open: {so_far}"
    );

    detached.recv().await.unwrap().complete(ScanReport::new());
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let end = text
        .lines()
        .find(|line| line.contains("scan finished"))
        .unwrap();
    assert!(!end.contains("request{"), "{end}");
    assert!(
        end.contains("scan_id=\"late\"") && end.contains("trace_id=\"4bf92f35"),
        "{end}"
    );
}

#[test]
fn progress_is_an_event_and_no_series() {
    let scene = Scene::new();
    let series = scene.samples().len();
    let lines = lines(|| {
        let scan = scene.scans.start(ScanMeta::new("mcp"));
        scan.context().set_id("late");
        scan.context().set_id("later");
        scan.context().progress(40);
        scan.cancel();
    });
    assert!(
        lines[0].contains("scan_id=\"late\"") && lines[0].contains("scan_progress_percent=40"),
        "{lines:#?}"
    );
    assert_eq!(scene.samples().len(), series);
}
