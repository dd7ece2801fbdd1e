use std::{
    future::Future as _,
    io,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use tokio::time::{Instant, advance};
use tower_metrics_exporter::{Check, CheckReport, HealthHandle, Probe};

use crate::common::{Told, health};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn each_probe_asks_its_checks_and_readiness_asks_all() {
    let (startup, live, ready) = (Told::default(), Told::default(), Told::default());
    let (health, exporter) = health([
        startup.check("migrated").startup(),
        live.check("worker").live(),
        ready.check("database"),
    ]);
    let probe_up = |probe| exporter.value("health_probe_up", &[("probe", probe)]);
    assert_eq!(probe_up("startup"), Some(0.0));
    assert_eq!(probe_up("live"), Some(1.0));
    assert_eq!(probe_up("ready"), Some(0.0));

    startup.fails("not yet");
    let passing = async |probe| health.report(probe).await.is_passing();
    assert!(!passing(Probe::Startup).await);
    assert!(passing(Probe::Live).await);
    assert!(!passing(Probe::Ready).await);
    startup.passes();
    advance(SECOND).await;
    for probe in [Probe::Startup, Probe::Live, Probe::Ready] {
        assert!(passing(probe).await);
        assert_eq!(probe_up(probe.as_str()), Some(1.0));
    }

    // Startup was over once and for all.
    startup.fails("again");
    ready.fails("away");
    advance(SECOND).await;
    assert!(passing(Probe::Startup).await);
    assert!(passing(Probe::Live).await);
    let report = health.report(Probe::Ready).await;
    let said = report.checks().iter();
    let said: Vec<_> = said
        .map(|check| {
            let failure = check.failure().map(|failure| failure.to_string());
            (check.name(), failure)
        })
        .collect();
    let away = Some(String::from("away"));
    assert_eq!(
        said,
        [("migrated", None), ("worker", None), ("database", away)]
    );
    assert_eq!(startup.asked(), 2);

    live.fails("deadlock");
    advance(SECOND).await;
    assert!(!passing(Probe::Live).await);
    assert_eq!(probe_up("startup"), Some(1.0));
    assert_eq!(probe_up("live"), Some(0.0));
    assert_eq!(probe_up("ready"), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_has_failed_at_its_timeout_and_holds_up_nobody() {
    let (hangs, works) = (Told::default(), Told::default());
    hangs.hangs();
    let (health, exporter) = health([
        hangs.check("hangs").timeout(SECOND),
        hangs.check("hangs").timeout(2 * SECOND),
        works.check("works"),
    ]);
    let start = Instant::now();
    let report = health.report(Probe::Ready).await;
    // Together, not one after the other.
    assert_eq!(start.elapsed(), 2 * SECOND);
    let is_passing: Vec<_> = report
        .checks()
        .iter()
        .map(CheckReport::is_passing)
        .collect();
    assert_eq!(is_passing, [false, false, true]);
    let failure = report.checks()[0].failure().unwrap().to_string();
    assert_eq!(failure, "no answer within 1s");
    let timed_out = |check| {
        let labels = [("check", check), ("outcome", "timed_out")];
        exporter.value("health_checks_total", &labels)
    };
    assert_eq!(timed_out("hangs"), Some(1.0));
    assert_eq!(timed_out("hangs_2"), Some(1.0));
    assert_eq!(timed_out("works"), Some(0.0));
    let took = exporter.value("health_check_duration_seconds", &[("check", "hangs_2")]);
    assert_eq!(took, Some(2.0));

    hangs.passes();
    advance(SECOND).await;
    assert!(health.report(Probe::Ready).await.is_passing());
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_has_failed_and_is_asked_again() {
    let told = Told::default();
    told.panics();
    let asks = Check::new("asks", || -> std::future::Ready<Result<(), io::Error>> {
        panic!("before it is a future")
    });
    let blocks = Check::blocking("blocks", || -> Result<(), io::Error> { panic!("there") });
    let (health, exporter) = health([told.check("told"), asks, blocks]);
    let report = health.report(Probe::Ready).await;
    let failures: Vec<_> = report
        .checks()
        .iter()
        .map(|check| check.failure().unwrap().to_string())
        .collect();
    assert_eq!(
        failures,
        [
            "it panicked: as it should",
            "it panicked: before it is a future",
            "it panicked: there"
        ]
    );
    let labels = [("check", "told"), ("outcome", "panicked")];
    assert_eq!(exporter.value("health_checks_total", &labels), Some(1.0));
    told.passes();
    advance(SECOND).await;
    let report = health.report(Probe::Ready).await;
    assert!(report.checks()[0].is_passing());
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_shared_while_it_is_fresh() {
    let told = Told::default();
    let (health, _) = health([told.check("told").fresh_for(2 * SECOND)]);
    let mut probes = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let health = health.clone();
        probes.spawn(async move { health.report(Probe::Ready).await.is_passing() });
    }
    assert!(probes.join_all().await.into_iter().all(|passed| passed));
    assert_eq!(told.asked(), 1);
    told.fails("away");
    advance(SECOND).await;
    assert!(health.report(Probe::Ready).await.is_passing());
    advance(SECOND).await;
    assert!(!health.report(Probe::Ready).await.is_passing());
    assert_eq!(told.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_goes_away_leaves_the_check_to_the_next() {
    let told = Told::default();
    told.hangs();
    let (health, _) = health([told.check("told")]);
    let mut gone = Box::pin(health.report(Probe::Ready));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(gone.as_mut().poll(&mut cx).is_pending());
    let next = health.report(Probe::Ready);
    drop(gone);
    told.passes();
    assert!(next.await.is_passing());
    assert_eq!(told.asked(), 2);
}

#[tokio::test]
async fn what_blocks_is_off_the_worker_and_not_asked_again_while_it_is_stuck() {
    let stuck = Arc::new((Mutex::new(true), Condvar::new()));
    let asked = Arc::new(AtomicUsize::new(0));
    let check = Check::blocking("disk", {
        let (stuck, asked) = (Arc::clone(&stuck), Arc::clone(&asked));
        move || {
            asked.fetch_add(1, Ordering::SeqCst);
            let is_stuck = stuck.0.lock().unwrap();
            // Not for ever, so that a test that fails comes to its end.
            let enough = Duration::from_secs(20);
            drop(stuck.1.wait_timeout_while(is_stuck, enough, |stuck| *stuck));
            Ok::<_, io::Error>(())
        }
    });
    let (health, _) = health([check
        .timeout(Duration::from_millis(5))
        .fresh_for(Duration::ZERO)]);
    for _ in 0..3 {
        assert!(!health.report(Probe::Ready).await.is_passing());
    }
    // Nor if who asked goes away while it is.
    let mut gone = Box::pin(health.report(Probe::Ready));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(gone.as_mut().poll(&mut cx).is_pending());
    drop(gone);
    assert!(!health.report(Probe::Ready).await.is_passing());
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    *stuck.0.lock().unwrap() = false;
    stuck.1.notify_all();
    while !health.report(Probe::Ready).await.is_passing() {}
}

#[tokio::test(start_paused = true)]
async fn gauges_follow_without_probes_while_somebody_keeps_asking() {
    let told = Told::default();
    let (health, exporter) = health([told.check("database")]);
    let up = || {
        let labels = [("check", "database"), ("probe", "ready")];
        exporter.value("health_check_up", &labels)
    };
    assert_eq!(up(), Some(0.0));
    let asking = tokio::spawn(health.keep_asking());
    tokio::time::sleep(SECOND).await;
    assert_eq!(up(), Some(1.0));
    assert!(health.last(Probe::Ready));
    told.fails("away");
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(up(), Some(0.0));
    assert!(!health.last(Probe::Ready));
    asking.abort();
}

#[tokio::test]
async fn shutting_down_turns_readiness_off_and_nothing_else() {
    let (health, exporter) = health([Told::default().check("database")]);
    assert!(health.report(Probe::Ready).await.is_passing());
    health.shut_down();
    assert_eq!(
        exporter.value("health_probe_up", &[("probe", "ready")]),
        Some(0.0)
    );
    for (probe, passing) in [
        (Probe::Startup, true),
        (Probe::Live, true),
        (Probe::Ready, false),
    ] {
        assert_eq!(health.report(probe).await.is_passing(), passing);
        assert_eq!(health.last(probe), passing);
    }
}

#[test]
fn a_runtime_without_timers_has_answers_all_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (health, _) = health([
        Told::default().check("told"),
        Check::blocking("blocks", || Ok::<_, io::Error>(())),
    ]);
    let report = runtime.block_on(health.report(Probe::Ready));
    assert!(report.is_passing());
}

#[test]
fn without_a_recorder_it_is_that_of_the_process() {
    let exporter = tower_metrics_exporter::Exporter::builder().build().unwrap();
    let health = metrics::with_local_recorder(&exporter.recorder(), || {
        let told = Told::default();
        HealthHandle::builder().check(told.check("told")).build()
    });
    assert!(!health.last(Probe::Ready));
    let labels = [("check", "told"), ("probe", "ready")];
    assert_eq!(exporter.value("health_check_up", &labels), Some(0.0));
}
