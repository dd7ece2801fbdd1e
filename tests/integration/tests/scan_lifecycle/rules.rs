//! The accounting rules, each on a current-thread and on a multi-thread runtime.

use std::{
    convert::Infallible,
    future::{pending, ready},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, UNIX_EPOCH},
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use test_support::drive::poll;
use tokio::sync::oneshot;
use tower::{BoxError, Layer as _, Service, ServiceBuilder, ServiceExt as _, service_fn};
use tower_scan_lifecycle::{
    BlockReason, Failure, FailureReason, Outcome, RejectReason, ScanContext, ScanLayer, ScanMeta,
    ScanMetrics, ScanReport, ScanRequest, Severity, Typed, Verdict,
};

use crate::common::{Scene, on_both, recorder, runtimes};

/// A job that says by itself what it is.
#[derive(Clone)]
struct Job;

impl ScanRequest for Job {
    fn scan(&self) -> Option<ScanMeta> {
        Some(ScanMeta::new("mcp").deadline(Duration::from_secs(300)))
    }
}

fn layer(scene: &Scene) -> ScanLayer<Typed, Typed> {
    ScanLayer::typed(scene.scans.clone())
}

fn forever() -> impl Future<Output = Result<(), BoxError>> + Send + Unpin {
    pending()
}

/// Without the type of what is called: the compiler takes a boxed error in it for one of any lifetime, and
/// no task can have it then.
fn called<S>(
    service: S,
) -> std::pin::Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>
where
    S: Service<Job, Error = BoxError> + Send + 'static,
    S::Future: Send,
    S::Response: Send,
{
    Box::pin(service.oneshot(Job))
}

/// Waits until `done` says so, letting others run.
async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn r1_to_r3_every_end_keeps_the_identities() {
    on_both(async |scene| {
        let scans = &scene.scans;
        scans.start(scene.mcp()).complete(ScanReport::new());
        scene.check(0);
        scans.start(scene.mcp()).fail("no parser");
        scans.start(ScanMeta::new("model")).time_out();
        scans.start(ScanMeta::new("model")).cancel();
        scene.check(0);
        let ticket = scans.start(scene.mcp()).retry();
        scene.check(0);
        let again = scans.start_ticket(ticket);
        scans.start(scene.mcp()).reject(RejectReason::Invalid);
        scans.reject("mcp", RejectReason::RateLimited);
        drop(scans.queue(scene.mcp()));
        scene.check(0);
        assert_eq!(scene.active(), 1.0);
        drop(again);
        drop(scans.start(scene.mcp()));
        assert_eq!(scene.ends(), [1.0, 1.0, 0.0, 2.0]);
        assert_eq!(scene.value("scans_started_total{type=\"mcp\"}"), 8.0);
        assert_eq!(scene.value("scan_retries_total{type=\"mcp\"}"), 1.0);
        for reason in ["invalid", "rate_limited", "dropped"] {
            assert_eq!(scene.rejected(reason), 1.0, "{reason}");
        }
    });
}

#[test]
fn r2_an_abandoned_scan_without_a_known_start_is_the_only_exception() {
    for (_, runtime) in runtimes() {
        let scene = Scene::new();
        let scans = scene.scans.clone();
        runtime.block_on(async { scans.abandoned("mcp", 3) });
        scene.check(3);
        scans.abandoned_scan(&scene.mcp(), Some(Duration::from_secs(70)));
        scene.check(3);
        scans.abandoned_scan(&scene.mcp(), None);
        scene.check(4);
        scans.abandoned("mcp", 0);
        assert_eq!(scene.ends(), [0.0, 5.0, 0.0, 0.0]);
        assert_eq!(scene.failures("worker_lost"), 5.0);
        assert_eq!(scene.value("scan_duration_seconds_sum{type=\"mcp\"}"), 70.0);
        assert_eq!(scene.active(), 0.0);
    }
}

#[test]
fn r4_an_answer_is_completed_an_error_failed_and_a_timeout_timed_out() {
    on_both(async |scene| {
        let answer = layer(&scene).layer(service_fn(|_: Job| {
            let report = ScanReport::new().findings(Severity::High, 3);
            ready(Ok::<_, BoxError>(report))
        }));
        called(answer).await.unwrap();
        let error = layer(&scene).layer(service_fn(|_: Job| {
            ready(Err::<(), BoxError>(io::Error::other("no disk").into()))
        }));
        called(error).await.unwrap_err();
        let slow = ServiceBuilder::new()
            .layer(layer(&scene))
            .timeout(Duration::from_millis(1))
            .service(service_fn(|_: Job| pending::<Result<(), BoxError>>()));
        called(slow).await.unwrap_err();
        assert_eq!(scene.ends(), [1.0, 1.0, 1.0, 0.0]);
        assert_eq!(scene.failures("error"), 1.0);
        assert_eq!(scene.failures("timeout"), 1.0);
        assert_eq!(scene.findings("high"), 3.0);
    });
}

#[test]
fn r5_dropped_unfinished_is_cancelled_and_at_its_deadline_timed_out() {
    on_both(async |scene| {
        let mut service = layer(&scene).layer(service_fn(|_: Job| forever()));
        // Never polled.
        drop(service.call(Job));
        let mut future = service.call(Job);
        assert!(poll(&mut future).is_pending());
        drop(future);
        assert_eq!(scene.ends(), [0.0, 0.0, 0.0, 2.0]);

        let mut late = service.call(Job);
        assert!(poll(&mut late).is_pending());
        scene.clock.advance(Duration::from_secs(299));
        let on_time = service.call(Job);
        scene.clock.advance(Duration::from_secs(1));
        drop((late, on_time));
        assert_eq!(scene.ends(), [0.0, 0.0, 1.0, 3.0]);
    });
}

#[test]
fn r5_a_timeout_outside_of_the_layer_is_told_by_the_deadline() {
    on_both(async |scene| {
        let clock = scene.clock.clone();
        let service = ServiceBuilder::new()
            .timeout(Duration::from_millis(1))
            .layer(layer(&scene))
            .service(service_fn(move |_: Job| {
                clock.advance(Duration::from_secs(300));
                forever()
            }));
        called(service).await.unwrap_err();
        assert_eq!(scene.ends(), [0.0, 0.0, 1.0, 0.0]);
    });
}

#[test]
fn r5_an_aborted_task_is_cancelled() {
    on_both(async |scene| {
        let scan = scene.scans.start(scene.mcp());
        let (started, running) = oneshot::channel();
        let task = tokio::spawn(async move {
            scan.scope(async move {
                started.send(()).unwrap();
                pending::<()>().await;
            })
            .await;
        });
        running.await.unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(scene.ends(), [0.0, 0.0, 0.0, 1.0]);
    });
}

#[test]
fn r5_a_runtime_that_is_shut_down_cancels() {
    for (_, runtime) in runtimes() {
        let scene = Scene::new();
        let (in_scope, plain) = (
            scene.scans.start(scene.mcp()),
            scene.scans.start(scene.mcp()),
        );
        runtime.spawn(async move { in_scope.scope(pending::<()>()).await });
        runtime.spawn(async move {
            let _plain = plain;
            pending::<()>().await;
        });
        runtime.block_on(tokio::task::yield_now());
        assert_eq!(scene.active(), 2.0);
        drop(runtime);
        assert_eq!(scene.ends(), [0.0, 0.0, 0.0, 2.0]);
        scene.check(0);
    }
}

#[derive(Clone)]
struct PanicsInCall;

impl Service<Job> for PanicsInCall {
    type Response = ();
    type Error = BoxError;
    type Future = std::future::Ready<Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Job) -> Self::Future {
        panic!("in call");
    }
}

async fn panics_in_poll(_: Job) -> Result<(), BoxError> {
    panic!("in poll")
}

#[test]
fn r6_a_panic_in_call_has_failed() {
    on_both(async |scene| {
        let mut service = layer(&scene).layer(PanicsInCall);
        let unwound = catch_unwind(AssertUnwindSafe(|| service.call(Job)));
        assert!(unwound.is_err());
        assert_eq!(scene.failures("panic"), 1.0);
    });
}

#[test]
fn r6_a_panic_in_poll_has_failed_and_goes_on() {
    on_both(async |scene| {
        let service = layer(&scene).layer(service_fn(panics_in_poll));
        let task = tokio::spawn(service.oneshot(Job));
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(scene.ends(), [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(scene.failures("panic"), 1.0);
    });
}

#[test]
fn r6_a_panic_that_is_caught_outside_has_failed_though_nothing_unwinds_when_it_is_dropped() {
    on_both(async |scene| {
        let mut future = Box::pin(layer(&scene).layer(service_fn(panics_in_poll)).call(Job));
        let unwound = catch_unwind(AssertUnwindSafe(|| poll(&mut future)));
        assert!(unwound.is_err());
        assert_eq!(scene.active(), 1.0);
        assert!(!std::thread::panicking());
        drop(future);
        assert_eq!(scene.failures("panic"), 1.0);

        // The control: one that returned from its poll and is dropped so is cancelled.
        let mut future = layer(&scene)
            .layer(service_fn(|_: Job| forever()))
            .call(Job);
        assert!(poll(&mut future).is_pending());
        drop(future);
        assert_eq!(scene.ends(), [0.0, 1.0, 0.0, 1.0]);
    });
}

#[test]
fn r6_a_panic_in_a_background_task_has_failed() {
    on_both(async |scene| {
        let (scoped, plain) = (
            scene.scans.start(scene.mcp()),
            scene.scans.start(scene.mcp()),
        );
        let task = tokio::spawn(async move {
            scoped.scope(async { panic!("in the scope") }).await;
        });
        assert!(task.await.unwrap_err().is_panic());
        let task = tokio::spawn(async move {
            tokio::task::yield_now().await;
            plain.finding(Severity::High);
            panic!("beside it");
        });
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(scene.failures("panic"), 2.0);
        assert_eq!(scene.findings("high"), 0.0);
    });
}

#[test]
fn r6_a_panic_on_a_blocking_thread_has_failed() {
    on_both(async |scene| {
        let scan = scene.scans.start(scene.mcp());
        let task = tokio::task::spawn_blocking(move || {
            scan.in_scope(|| panic!("deep in an engine"));
        });
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(scene.failures("panic"), 1.0);
    });
}

#[test]
fn r6_an_innocent_scan_that_unwinds_with_another_is_cancelled() {
    on_both(async |scene| {
        let mut innocent = layer(&scene)
            .layer(service_fn(|_: Job| forever()))
            .call(Job);
        assert!(poll(&mut innocent).is_pending());
        let task = tokio::spawn(async move {
            let _innocent = innocent;
            panic!("somebody else");
        });
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(scene.ends(), [0.0, 0.0, 0.0, 1.0]);
    });
}

#[test]
fn r7_after_its_end_a_scan_does_nothing_more() {
    on_both(async |scene| {
        let scan = scene.scans.start(scene.mcp());
        let context = scan.context().clone();
        scan.complete(ScanReport::new().finding(Severity::Low));
        assert!(context.has_ended());
        let before = scene.samples();
        context.finding(Severity::Critical);
        context.drift();
        context.verdict(Verdict::Blocked(BlockReason::Sbom));
        drop(context);
        scene.scans.refresh();
        assert_eq!(scene.samples(), before);
        assert_eq!(scene.ends(), [1.0, 0.0, 0.0, 0.0]);
    });
}

#[test]
fn r9_findings_verdict_and_drift_count_when_the_scan_completes_and_only_then() {
    on_both(async |scene| {
        let found = |scan: &ScanContext| {
            scan.findings(Severity::Critical, 2);
            scan.drift();
            scan.verdict(Verdict::Blocked(BlockReason::Severity));
        };
        let first = scene.scans.start(scene.mcp());
        found(first.context());
        let ticket = first.retry();
        assert_eq!(ticket.attempt(), 2);
        let second = scene.scans.start_ticket(ticket);
        found(second.context());
        second.fail("no disk");
        let dropped = scene.scans.start(scene.mcp());
        found(dropped.context());
        drop(dropped);
        assert_eq!(scene.findings("critical"), 0.0);

        let third = scene.scans.start(scene.mcp());
        found(third.context());
        third.complete(ScanReport::new().finding(Severity::Unknown));
        assert_eq!(scene.findings("critical"), 2.0);
        assert_eq!(scene.findings("unknown"), 1.0);
        assert_eq!(scene.value("scans_blocked_total{type=\"mcp\"}"), 1.0);
        assert_eq!(scene.value("baseline_drift_total{type=\"mcp\"}"), 1.0);
    });
}

#[test]
fn r9_what_is_found_deep_inside_belongs_to_the_scan_around_it() {
    on_both(async |scene| {
        async fn engine() {
            tokio::task::yield_now().await;
            let scan = ScanContext::current().expect("there is a scan");
            scan.finding(Severity::Medium);
            let task = scan.scope(async {
                ScanContext::current()
                    .expect("here, too")
                    .finding(Severity::Info);
            });
            tokio::spawn(task).await.unwrap();
            let elsewhere = tokio::spawn(async { ScanContext::current().is_none() });
            assert!(elsewhere.await.unwrap());
        }
        let service = layer(&scene).layer(service_fn(async |_: Job| {
            engine().await;
            Ok::<_, BoxError>(())
        }));
        called(service).await.unwrap();
        assert!(ScanContext::current().is_none());
        assert_eq!(scene.findings("medium"), 1.0);
        assert_eq!(scene.findings("info"), 1.0);
    });
}

#[test]
fn r10_a_type_that_was_not_given_is_other() {
    on_both(async |scene| {
        let hostile = String::from("rag\"} 1\n# EOF");
        scene.scans.start(ScanMeta::new(hostile.clone())).cancel();
        scene.scans.reject(&hostile, RejectReason::Invalid);
        scene.scans.set_queue(&hostile, 3, None);
        assert_eq!(
            scene.value("scans_total{type=\"other\",status=\"cancelled\"}"),
            1.0
        );
        assert_eq!(scene.value("queue_depth{type=\"other\"}"), 3.0);
        assert!(!scene.handle.render().contains("rag"));
    });
}

#[test]
fn r11_refreshing_changes_nothing_but_ages() {
    on_both(async |scene| {
        let _scan = scene.scans.start(scene.mcp());
        let _waiting = scene.scans.queue(scene.mcp());
        let before = scene.samples();
        scene.scans.refresh();
        scene.scans.refresh();
        assert_eq!(scene.samples(), before);
        scene.clock.advance(Duration::from_secs(90));
        scene.scans.refresh();
        assert_eq!(
            scene.value("oldest_active_scan_age_seconds{type=\"mcp\"}"),
            90.0
        );
        assert_eq!(
            scene.value("oldest_queued_scan_age_seconds{type=\"mcp\"}"),
            90.0
        );
        assert_eq!(
            scene.value("oldest_active_scan_age_seconds{type=\"model\"}"),
            0.0
        );
    });
}

#[test]
fn r11_the_oldest_is_the_one_that_still_runs() {
    on_both(async |scene| {
        let age = || scene.value("oldest_active_scan_age_seconds{type=\"mcp\"}");
        let first = scene.scans.start(scene.mcp());
        scene.clock.advance(Duration::from_secs(10));
        let second = scene.scans.start(scene.mcp());
        assert_eq!(age(), 10.0);
        scene.clock.advance(Duration::from_secs(5));
        first.cancel();
        assert_eq!(age(), 5.0);
        second.cancel();
        assert_eq!(age(), 0.0);
    });
}

#[test]
fn r12_every_series_of_closed_sets_is_there_before_the_first_scan() {
    on_both(async |scene| {
        let before = scene.samples();
        scene.scans.register();
        assert_eq!(scene.samples(), before);
        for scan_type in ["mcp", "model", "other"] {
            for status in ["completed", "failed", "timed_out", "cancelled"] {
                let series =
                    format!("sentrascan_scans_total{{type=\"{scan_type}\",status=\"{status}\"}}");
                assert_eq!(before.get(&series), Some(&0.0), "{series}");
            }
            for reason in FailureReason::ALL {
                let series = format!(
                    "sentrascan_scan_failures_total{{type=\"{scan_type}\",reason=\"{reason}\"}}"
                );
                assert_eq!(before.get(&series), Some(&0.0), "{series}");
            }
            let series = format!("sentrascan_scan_duration_seconds_count{{type=\"{scan_type}\"}}");
            assert_eq!(before.get(&series), Some(&0.0), "{series}");
        }
        for severity in Severity::ALL {
            let series = format!("sentrascan_findings_total{{severity=\"{severity}\"}}");
            assert_eq!(before.get(&series), Some(&0.0), "{series}");
        }
        assert!(before.values().all(|value| *value == 0.0));
        // A million scans of any kind do not add a series.
        let series = before.len();
        scene
            .scans
            .start(ScanMeta::new("x").target("y").tenant("z"))
            .fail(Failure::new(FailureReason::Other));
        assert_eq!(scene.samples().len(), series);
    });
}

#[test]
fn r13_blocked_is_not_failed() {
    on_both(async |scene| {
        let report = ScanReport::new().verdict(Verdict::Blocked(BlockReason::IssueType));
        scene.scans.start(scene.mcp()).complete(report);
        let warned = ScanReport::new().verdict(Verdict::Warned);
        scene.scans.start(scene.mcp()).complete(warned);
        assert_eq!(scene.ends(), [2.0, 0.0, 0.0, 0.0]);
        assert_eq!(scene.value("scans_blocked_total{type=\"mcp\"}"), 1.0);
    });
}

#[test]
fn r14_durations_are_monotonic_and_no_time_is_negative() {
    on_both(async |scene| {
        let scan = scene.scans.start(scene.mcp());
        let waiting = scene.scans.queue(scene.mcp());
        // The machine's clock is set back by a day, and before 1970 at last.
        *scene.wall.lock().unwrap() -= Duration::from_secs(86_400);
        scene.clock.advance(Duration::from_secs(7));
        scan.complete(ScanReport::new());
        assert_eq!(scene.value("scan_duration_seconds_sum{type=\"mcp\"}"), 7.0);
        let last = scene.value("scan_last_success_timestamp_seconds{type=\"mcp\"}");
        assert_eq!(last, 1_800_000_000.0 - 86_400.0);
        waiting.start().cancel();
        assert_eq!(
            scene.value("scan_queue_duration_seconds_sum{type=\"mcp\"}"),
            7.0
        );

        // A ticket of a machine whose clock is ahead.
        let ahead = UNIX_EPOCH + Duration::from_secs(1_900_000_000);
        scene.scans.start(scene.mcp().enqueued_at(ahead)).cancel();
        assert_eq!(
            scene.value("scan_queue_duration_seconds_sum{type=\"mcp\"}"),
            7.0
        );
        assert_eq!(
            scene.value("scan_queue_duration_seconds_count{type=\"mcp\"}"),
            2.0
        );

        *scene.wall.lock().unwrap() = UNIX_EPOCH - Duration::from_secs(5);
        scene.scans.start(scene.mcp()).complete(ScanReport::new());
        assert_eq!(
            scene.value("scan_last_success_timestamp_seconds{type=\"mcp\"}"),
            0.0
        );
    });
}

#[test]
fn r15_a_forgotten_scan_stays_active_and_grows_old() {
    on_both(async |scene| {
        std::mem::forget(scene.scans.start(scene.mcp()));
        scene.clock.advance(Duration::from_secs(3600));
        scene.scans.refresh();
        assert_eq!(scene.active(), 1.0);
        assert_eq!(
            scene.value("oldest_active_scan_age_seconds{type=\"mcp\"}"),
            3600.0
        );
    });
}

/// A recorder that panics when it is asked for this kind, once.
struct Breaks(std::sync::atomic::AtomicBool);

impl Breaks {
    fn once(&self) {
        assert!(
            self.0.swap(true, std::sync::atomic::Ordering::SeqCst),
            "a recorder that breaks"
        );
    }
}

impl Recorder for Breaks {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        self.once();
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn r16_a_recorder_that_panics_poisons_nothing() {
    for (_, runtime) in runtimes() {
        let breaks = Breaks(std::sync::atomic::AtomicBool::new(false));
        let scans = ScanMetrics::builder()
            .types(["mcp"])
            .recorder(Arc::new(breaks))
            .build()
            .unwrap();
        let other = scans.clone();
        let task = runtime.spawn(async move { drop(other.start(ScanMeta::new("mcp"))) });
        assert!(runtime.block_on(task).unwrap_err().is_panic());
        let scan = scans.start(ScanMeta::new("mcp"));
        scans.refresh();
        scan.cancel();
        scans
            .queue(ScanMeta::new("mcp"))
            .reject(RejectReason::Disabled);
        assert_eq!(scans.queued(), 0);
    }
}

/// A recorder that itself looks at scans, and starts one, whenever it is asked for a gauge.
struct Nosy(Arc<std::sync::OnceLock<ScanMetrics>>);

impl Recorder for Nosy {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        if let Some(scans) = self.0.get() {
            scans.refresh();
            scans.start(ScanMeta::new("mcp")).cancel();
            let _ = scans.active();
        }
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn r16_a_recorder_that_comes_back_while_it_is_told_waits_for_nobody() {
    for (_, runtime) in runtimes() {
        let known = Arc::new(std::sync::OnceLock::new());
        let recorder = Nosy(Arc::clone(&known));
        let builder = ScanMetrics::builder().types(["mcp"]);
        let scans = builder.recorder(Arc::new(recorder)).build().unwrap();
        known.set(scans.clone()).unwrap();
        let other = scans.clone();
        runtime
            .block_on(runtime.spawn(async move { other.start(ScanMeta::new("mcp")).cancel() }))
            .unwrap();
        assert_eq!(scans.active(), 0);
    }
}

#[test]
fn r17_a_recorder_that_comes_late_or_is_replaced_shows_the_right_gauges() {
    for (_, runtime) in runtimes() {
        let scans = ScanMetrics::builder().types(["mcp"]).build().unwrap();
        let early = scans.start(ScanMeta::new("mcp"));
        let shows = |recorder: &metrics_exporter_prometheus::PrometheusRecorder, text: &str| {
            let page = recorder.handle().render();
            assert!(
                page.lines().any(|line| line == text),
                "no {text} in\n{page}"
            );
        };
        let (first, second) = (recorder(), recorder());
        runtime.block_on(async {
            metrics::with_local_recorder(&first, || scans.refresh());
            shows(&first, "sentrascan_active_scans 1");
            metrics::with_local_recorder(&second, || {
                let late = scans.start(ScanMeta::new("mcp"));
                shows(&second, "sentrascan_active_scans 2");
                early.cancel();
                late.cancel();
            });
            shows(&second, "sentrascan_active_scans 0");
            metrics::with_local_recorder(&first, || scans.refresh());
            shows(&first, "sentrascan_active_scans 0");
        });
    }
}

#[test]
fn a_call_that_is_no_scan_is_passed_through() {
    on_both(async |scene| {
        let layer = ScanLayer::new(scene.scans.clone(), |_: &u8| None);
        let service = layer.layer(service_fn(|n: u8| ready(Ok::<_, Infallible>(n + 1))));
        assert_eq!(service.oneshot(4).await, Ok(5));
        assert_eq!(scene.value("scans_started_total{type=\"other\"}"), 0.0);
    });
}

#[test]
fn a_retry_inside_of_the_layer_is_one_scan_and_outside_as_many_as_attempts() {
    on_both(async |scene| {
        let outcome = |result: Result<&(), &io::Error>| match result {
            Ok(()) => Outcome::Completed(ScanReport::new()),
            Err(_) => Outcome::Retry,
        };
        let meta = |_: &Job| Some(ScanMeta::new("mcp"));
        let failing = service_fn(|_: Job| ready(Err::<(), _>(io::Error::other("again"))));
        let layer = ScanLayer::new(scene.scans.clone(), meta).outcome(outcome);
        let service = layer.layer(failing);
        for _ in 0..3 {
            service.clone().oneshot(Job).await.unwrap_err();
        }
        assert_eq!(scene.value("scan_retries_total{type=\"mcp\"}"), 3.0);
        assert_eq!(scene.ends(), [0.0; 4]);
    });
}

#[test]
fn an_error_of_readiness_is_no_scan() {
    #[derive(Clone)]
    struct Unready;
    impl Service<Job> for Unready {
        type Response = ();
        type Error = BoxError;
        type Future = std::future::Ready<Result<(), BoxError>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Err("down".into()))
        }
        fn call(&mut self, _: Job) -> Self::Future {
            unreachable!("not called")
        }
    }
    on_both(async |scene| {
        layer(&scene).layer(Unready).oneshot(Job).await.unwrap_err();
        assert_eq!(scene.value("scans_started_total{type=\"mcp\"}"), 0.0);
    });
}

#[test]
fn a_scan_that_waits_for_something_is_polled_again() {
    on_both(async |scene| {
        let (go, wait) = oneshot::channel::<()>();
        let wait = Arc::new(std::sync::Mutex::new(Some(wait)));
        let service = layer(&scene).layer(service_fn(move |_: Job| {
            let wait = wait.lock().unwrap().take().expect("called once");
            async move {
                wait.await.map_err(BoxError::from)?;
                Ok::<_, BoxError>(())
            }
        }));
        let task = tokio::spawn(service.oneshot(Job));
        until(|| scene.scans.active() == 1).await;
        go.send(()).unwrap();
        task.await.unwrap().unwrap();
        assert_eq!(scene.ends(), [1.0, 0.0, 0.0, 0.0]);
    });
}
