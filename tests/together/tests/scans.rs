//! The series of a scan, its line, the line of its request and the exemplars speak of the same scan.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, body::Body, routing::post};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use tower_json_logging::{JsonLayer, JsonLogging};
use tower_metrics_exporter::{
    Exporter, Filter, Format, Source as _, SpanExemplarsLayer, collector_fn,
};
use tower_observe::{ManualClock, ObserveLayer};
use tower_request_metrics::RequestMetrics;
use tower_scan_lifecycle::{
    ActiveScan, CurrentScan, Failure, HttpScans, ScanMeta, ScanMetrics, ScanReport, Severity,
    Ticket,
};
use tracing_subscriber::layer::SubscriberExt as _;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything that this workspace has, around one route.
struct Platform {
    app: Router,
    scans: ScanMetrics,
    clock: ManualClock,
    exporter: Exporter,
    lines: Lines,
    detached: tokio::sync::mpsc::UnboundedReceiver<ActiveScan>,
    _recorder: metrics::LocalRecorderGuard<'static>,
    _subscriber: tracing::subscriber::DefaultGuard,
}

fn platform() -> Platform {
    let clock = ManualClock::new();
    let scans = ScanMetrics::builder()
        .types(["mcp", "model"])
        .clock(clock.clock());
    let scans = scans.build().unwrap();
    let metrics = RequestMetrics::new();
    let refresh = scans.clone();
    let exporter = Exporter::builder()
        .specs(metrics.specs())
        .specs(scans.specs())
        .exemplars_from_spans()
        .collector(collector_fn("scans", move |_| refresh.refresh()))
        .build()
        .unwrap();
    // Leaked, so that the guard can stand beside it: one small recorder a test.
    let recorder = metrics::set_default_local_recorder(Box::leak(Box::new(exporter.recorder())));
    scans.register();
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::registry()
        .with(SpanExemplarsLayer::new())
        .with(JsonLayer::new(move || writer.clone()));
    let subscriber = tracing::subscriber::set_default(subscriber);
    let (send, detached) = tokio::sync::mpsc::unbounded_channel();
    let now = async |scan: CurrentScan| {
        scan.set_id("scan-7");
        scan.report(ScanReport::new().finding(Severity::High));
        "done"
    };
    let later = async move |scan: CurrentScan| {
        scan.set_id("scan-8");
        send.send(scan.detach().unwrap()).unwrap();
        tokio::task::yield_now().await;
        tracing::info!("accepted");
        StatusCode::ACCEPTED
    };
    let observer = HttpScans::new(scans.clone())
        .route(Method::POST, "/mcp/scans", "mcp")
        .route(Method::POST, "/model/scans", "model");
    let app = Router::new()
        .route("/mcp/scans", post(now))
        .route("/model/scans", post(later))
        .layer(ObserveLayer::new((JsonLogging::new(), metrics, observer)));
    Platform {
        app,
        scans,
        clock,
        exporter,
        lines,
        detached,
        _recorder: recorder,
        _subscriber: subscriber,
    }
}

impl Platform {
    async fn post(&self, path: &str) {
        let request = Request::post(path).header("traceparent", TRACE);
        let request = request.body(Body::empty()).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        response.into_body().collect().await.unwrap();
    }

    #[track_caller]
    fn line(&self, key: &str, value: &str) -> Value {
        let text = self
            .lines
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let text = String::from_utf8(text).unwrap();
        let mut lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let found = lines.find(|line| line[key] == value);
        found.unwrap_or_else(|| panic!("no line with {key}={value} in\n{text}"))
    }

    fn page(&self) -> String {
        let mut page = Vec::new();
        self.exporter
            .encode(Format::OpenMetrics, &Filter::default(), &mut page);
        String::from_utf8(page).unwrap()
    }
}

#[tokio::test]
async fn a_scan_in_its_request() {
    let platform = platform();
    platform.post("/mcp/scans").await;
    let (scan, request) = (
        platform.line("message", "scan finished"),
        platform.line("event", "http_request"),
    );
    for line in [&scan, &request] {
        assert_eq!(line["scan_id"], "scan-7", "{line}");
        assert_eq!(line["trace_id"], TRACE_ID, "{line}");
        assert_eq!(line["request_id"], request["request_id"], "{line}");
    }
    let value = |name: &str, labels: &[(&str, &str)]| platform.exporter.value(name, labels);
    let completed = [("type", "mcp"), ("status", "completed")];
    assert_eq!(value("sentrascan_scans_total", &completed), Some(1.0));
    let endpoint = [
        ("method", "POST"),
        ("endpoint", "/mcp/scans"),
        ("status", "200"),
    ];
    assert_eq!(value("api_requests_total", &endpoint), Some(1.0));
    let page = platform.page();
    let exemplar = page.lines().find(|line| {
        line.starts_with("sentrascan_scan_duration_seconds_bucket") && line.contains("# {")
    });
    let exemplar = exemplar.unwrap_or_else(|| panic!("no exemplar in\n{page}"));
    assert!(exemplar.contains(TRACE_ID), "{exemplar}");
}

#[tokio::test]
async fn a_scan_that_outlives_its_request() {
    let mut platform = platform();
    platform.post("/model/scans").await;
    let active = platform.detached.recv().await.unwrap();
    let request = platform.line("event", "http_request");
    // What is left of the request is the request's.
    for line in [&request, &platform.line("message", "accepted")] {
        assert_eq!(line["scan_id"], "scan-8", "{line}");
        assert_eq!(line["request_id"], request["request_id"], "{line}");
    }
    platform.clock.advance(std::time::Duration::from_secs(90));
    let oldest = "sentrascan_oldest_active_scan_age_seconds{type=\"model\"} 90";
    let page = platform.page();
    assert!(
        page.lines().any(|line| line.starts_with(oldest)),
        "no {oldest} in\n{page}"
    );
    active.fail(Failure::from("no disk"));
    let scan = platform.line("message", "scan finished");
    assert_eq!(scan["scan_id"], "scan-8");
    assert_eq!(scan["trace_id"], TRACE_ID, "linked by its trace");
    assert_eq!(
        scan["request_id"],
        Value::Null,
        "and not within the request"
    );
}

#[tokio::test]
async fn a_scan_of_another_host() {
    let platform = platform();
    let ticket = Ticket::new("mcp", std::time::SystemTime::UNIX_EPOCH).with_id("scan-9");
    let scan = platform.scans.start_ticket(ticket.with_traceparent(TRACE));
    scan.complete(ScanReport::new());
    let line = platform.line("message", "scan finished");
    assert_eq!(
        (&line["scan_id"], &line["trace_id"]),
        (&"scan-9".into(), &TRACE_ID.into())
    );
    for series in ["scan_duration_seconds", "scan_queue_duration_seconds"] {
        let page = platform.page();
        let start = format!("sentrascan_{series}_bucket{{type=");
        let exemplar = page
            .lines()
            .any(|line| line.starts_with(&start) && line.contains(TRACE_ID));
        assert!(exemplar, "no exemplar of {series} in\n{page}");
    }
    drop(platform.scans.start(ScanMeta::new("mcp")));
}
