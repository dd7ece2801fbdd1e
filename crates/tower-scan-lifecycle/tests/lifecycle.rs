//! How scans end, and what is recorded of it.
#![expect(
    clippy::float_cmp,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may"
)]

use std::{
    convert::Infallible,
    future::{Future, pending, ready},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tower::{BoxError, Layer as _, Service, ServiceBuilder, ServiceExt as _, service_fn};
use tower_observe::ManualClock;
use tower_scan_lifecycle::{
    Outcome, ScanLayer, ScanMeta, ScanMetrics, ScanReport, Severity, Status, names,
};

/// A recorder for one test, a clock, and scans of the types `mcp` and `model`.
struct Fixture {
    clock: ManualClock,
    scans: ScanMetrics,
    handle: PrometheusHandle,
    _recorder: metrics::LocalRecorderGuard<'static>,
}

fn fixture() -> Fixture {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(
            Matcher::Suffix("seconds".into()),
            &names::SCAN_DURATION_BUCKETS,
        )
        .unwrap()
        .build_recorder();
    let handle = recorder.handle();
    // Leaked, so that the guard can stand beside it: one small recorder a test.
    let recorder = metrics::set_default_local_recorder(Box::leak(Box::new(recorder)));
    let clock = ManualClock::new();
    let scans = ScanMetrics::builder()
        .types(["mcp", "model"])
        .clock(clock.clock())
        .build()
        .unwrap();
    scans.register();
    Fixture {
        clock,
        scans,
        handle,
        _recorder: recorder,
    }
}

impl Fixture {
    fn value(&self, series: &str) -> Option<f64> {
        let page = self.handle.render();
        page.lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    fn total(&self, scan_type: &str, status: Status) -> f64 {
        self.value(&format!(
            "sentrascan_scans_total{{type=\"{scan_type}\",status=\"{status}\"}}"
        ))
        .unwrap()
    }

    /// The number of scans of type `mcp` that ended in each status, and of those still active.
    fn mcp(&self) -> ([f64; 4], f64) {
        let active = self.value("sentrascan_active_scans").unwrap();
        (Status::ALL.map(|status| self.total("mcp", status)), active)
    }

    fn layer(&self) -> ScanLayer<fn(&()) -> Option<ScanMeta>> {
        ScanLayer::new(self.scans.clone(), |()| Some(ScanMeta::new("mcp").id("7")))
    }
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn every_series_stands_at_zero_before_the_first_scan() {
    let fixture = fixture();
    fixture.scans.register();
    for scan_type in ["mcp", "model", "other"] {
        for status in Status::ALL {
            assert_eq!(fixture.total(scan_type, status), 0.0);
        }
    }
    for severity in Severity::ALL {
        let series = format!("sentrascan_findings_total{{severity=\"{severity}\"}}");
        assert_eq!(fixture.value(&series), Some(0.0));
    }
    assert_eq!(fixture.value("sentrascan_active_scans"), Some(0.0));
}

#[test]
fn a_completed_scan_counts_its_findings_and_its_time() {
    let fixture = fixture();
    let scan = fixture.scans.start(ScanMeta::new("mcp"));
    assert_eq!(fixture.mcp(), ([0.0; 4], 1.0));
    fixture.clock.advance(Duration::from_secs(61));
    let report = ScanReport::new()
        .findings(Severity::High, 2)
        .findings(Severity::High, 1);
    scan.end(Outcome::Completed(report));

    assert_eq!(fixture.mcp(), ([1.0, 0.0, 0.0, 0.0], 0.0));
    assert_eq!(
        fixture.value("sentrascan_findings_total{severity=\"high\"}"),
        Some(3.0)
    );
    let duration = "sentrascan_scan_duration_seconds";
    assert_eq!(
        fixture.value(&format!("{duration}_sum{{type=\"mcp\"}}")),
        Some(61.0)
    );
    assert_eq!(
        fixture.value(&format!("{duration}_bucket{{type=\"mcp\",le=\"60\"}}")),
        Some(0.0)
    );
    assert_eq!(
        fixture.value(&format!("{duration}_bucket{{type=\"mcp\",le=\"120\"}}")),
        Some(1.0)
    );
}

#[test]
fn each_outcome_is_its_status_and_only_a_completed_scan_has_findings() {
    let fixture = fixture();
    for outcome in [
        Outcome::Completed(ScanReport::new()),
        Outcome::Failed("no parser".into()),
        Outcome::TimedOut,
        Outcome::Cancelled,
    ] {
        fixture.scans.start(ScanMeta::new("mcp")).end(outcome);
    }
    assert_eq!(fixture.mcp(), ([1.0; 4], 0.0));
}

#[test]
fn a_type_that_was_not_given_is_other() {
    let fixture = fixture();
    fixture
        .scans
        .start(ScanMeta::new(String::from("rag/../../x")))
        .end(Outcome::TimedOut);
    assert_eq!(fixture.total("other", Status::TimedOut), 1.0);
}

#[test]
fn a_dropped_scan_is_cancelled() {
    let fixture = fixture();
    drop(fixture.scans.start(ScanMeta::new("mcp")));
    assert_eq!(fixture.mcp(), ([0.0, 0.0, 0.0, 1.0], 0.0));
}

#[test]
fn an_answer_is_completed_and_an_error_failed() {
    let fixture = fixture();
    let ok = |()| ready(Ok::<_, Infallible>(()));
    assert!(poll(&mut fixture.layer().layer(service_fn(ok)).call(())).is_ready());
    let err = |()| ready(Err::<(), _>(io::Error::other("no disk")));
    assert!(poll(&mut fixture.layer().layer(service_fn(err)).call(())).is_ready());
    assert_eq!(fixture.mcp(), ([1.0, 1.0, 0.0, 0.0], 0.0));
}

#[test]
fn a_future_dropped_before_its_first_poll_is_cancelled() {
    let fixture = fixture();
    let forever = |()| pending::<Result<(), Infallible>>();
    drop(fixture.layer().layer(service_fn(forever)).call(()));
    assert_eq!(fixture.mcp(), ([0.0, 0.0, 0.0, 1.0], 0.0));
}

#[test]
fn a_future_dropped_in_mid_scan_is_cancelled_once() {
    let fixture = fixture();
    let forever = |()| pending::<Result<(), Infallible>>();
    let mut future = fixture.layer().layer(service_fn(forever)).call(());
    assert!(poll(&mut future).is_pending());
    assert_eq!(fixture.mcp(), ([0.0; 4], 1.0));
    drop(future);
    assert_eq!(fixture.mcp(), ([0.0, 0.0, 0.0, 1.0], 0.0));
}

#[derive(Clone)]
struct PanicsInCall;

impl Service<()> for PanicsInCall {
    type Response = ();
    type Error = Infallible;
    type Future = std::future::Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        panic!("in call");
    }
}

#[test]
fn a_panic_in_call_is_a_failed_scan() {
    let fixture = fixture();
    let mut service = fixture.layer().layer(PanicsInCall);
    assert!(catch_unwind(AssertUnwindSafe(|| service.call(()))).is_err());
    assert_eq!(fixture.mcp(), ([0.0, 1.0, 0.0, 0.0], 0.0));
}

#[test]
fn a_panic_in_poll_is_a_failed_scan_also_if_caught_outside() {
    let fixture = fixture();
    let mut service = fixture.layer().layer(service_fn(|()| async {
        panic!("in poll");
        #[expect(unreachable_code, reason = "it gives the block its type")]
        Ok::<(), Infallible>(())
    }));
    {
        let mut future = pin!(service.call(()));
        let mut context = Context::from_waker(Waker::noop());
        assert!(catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context))).is_err());
    }
    assert_eq!(fixture.mcp(), ([0.0, 1.0, 0.0, 0.0], 0.0));
}

#[test]
fn a_scan_whose_owner_panics_has_failed() {
    let fixture = fixture();
    let scans = fixture.scans.clone();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _scan = scans.start(ScanMeta::new("mcp"));
        panic!("the owner");
    }));
    assert!(unwound.is_err());
    assert_eq!(fixture.mcp(), ([0.0, 1.0, 0.0, 0.0], 0.0));
}

#[test]
fn a_scan_behind_the_layer_that_is_dropped_by_another_ones_panic_is_cancelled() {
    let fixture = fixture();
    let forever = |()| pending::<Result<(), Infallible>>();
    let mut innocent = fixture.layer().layer(service_fn(forever)).call(());
    assert!(poll(&mut innocent).is_pending());
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _innocent = innocent;
        panic!("somebody else");
    }));
    assert!(unwound.is_err());
    assert_eq!(fixture.mcp(), ([0.0, 0.0, 0.0, 1.0], 0.0));
}

#[test]
fn a_call_that_is_no_scan_is_passed_through_unrecorded() {
    let fixture = fixture();
    let layer = ScanLayer::new(fixture.scans.clone(), |(): &()| None);
    let mut service = layer.layer(service_fn(|()| ready(Ok::<_, Infallible>(5))));
    assert_eq!(poll(&mut service.call(())), Poll::Ready(Ok(5)));
    assert_eq!(fixture.mcp(), ([0.0; 4], 0.0));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_inside_of_the_layer_is_told_apart_by_the_classifier() {
    let fixture = fixture();
    let layer = fixture
        .layer()
        .outcome(|result: Result<&(), &BoxError>| match result {
            Ok(()) => Outcome::Completed(ScanReport::new()),
            Err(error) if error.is::<tower::timeout::error::Elapsed>() => Outcome::TimedOut,
            Err(error) => Outcome::failed(error.as_ref()),
        });
    let service = ServiceBuilder::new()
        .layer(layer)
        .timeout(Duration::from_secs(300))
        .service(service_fn(|()| pending::<Result<(), Infallible>>()));
    service.oneshot(()).await.unwrap_err();
    assert_eq!(fixture.mcp(), ([0.0, 0.0, 1.0, 0.0], 0.0));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_outside_of_the_layer_cancels() {
    let fixture = fixture();
    let service = ServiceBuilder::new()
        .timeout(Duration::from_secs(300))
        .layer(fixture.layer())
        .service(service_fn(|()| pending::<Result<(), Infallible>>()));
    service.oneshot(()).await.unwrap_err();
    assert_eq!(fixture.mcp(), ([0.0, 0.0, 0.0, 1.0], 0.0));
}

#[test]
fn the_active_gauge_heals_when_the_recorder_comes_late() {
    let scans = ScanMetrics::builder().build().unwrap();
    let early = scans.start(ScanMeta::new("x"));
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let late = scans.start(ScanMeta::new("x"));
        assert!(handle.render().contains("sentrascan_active_scans 2"));
        early.end(Outcome::TimedOut);
        late.end(Outcome::TimedOut);
    });
    assert!(handle.render().contains("sentrascan_active_scans 0"));
}

#[test]
fn the_prefix_names_every_series() {
    let scans = ScanMetrics::builder().prefix("acme").build().unwrap();
    let names: Vec<_> = scans.specs().into_iter().map(|spec| spec.name).collect();
    assert_eq!(
        names,
        [
            "acme_scans_total",
            "acme_scan_duration_seconds",
            "acme_active_scans",
            "acme_findings_total",
            "acme_scans_started_total",
            "acme_scan_failures_total",
            "acme_scans_rejected_total",
            "acme_scan_retries_total",
            "acme_scans_blocked_total",
            "acme_baseline_drift_total",
            "acme_queued_scans",
            "acme_queue_depth",
            "acme_scan_queue_duration_seconds",
            "acme_oldest_active_scan_age_seconds",
            "acme_oldest_queued_scan_age_seconds",
            "acme_scan_last_success_timestamp_seconds",
            "acme_api_key_uses_total",
        ]
    );
}

#[test]
fn every_end_is_one_event_in_the_span_of_the_scan() {
    let fixture = fixture();
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let meta = ScanMeta::new("mcp").id("scan-7").target("a.json");
        fixture
            .scans
            .start(meta.clone())
            .end(Outcome::Failed("no parser".into()));
        drop(fixture.scans.start(meta));
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    for line in &lines {
        assert!(line.contains("scan_id=\"scan-7\""), "{line}");
        assert!(line.contains("scan_target=\"a.json\""), "{line}");
        assert!(line.contains("scan finished"), "{line}");
    }
    assert!(
        lines[0].contains("ERROR") && lines[0].contains("error=\"no parser\""),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].contains("WARN") && lines[1].contains("cancelled"),
        "{}",
        lines[1]
    );
}

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
