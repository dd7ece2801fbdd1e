//! What must hold of workers whatever their queue is kept in: each case is a function that takes the
//! address of an empty store.

use std::{fs, path::Path};

use crate::{Queue, Worker, fixtures, platform::series, slow_model};

/// Makes a test of each case, with a store of its own from the expression: anything with a method `url`.
#[macro_export]
macro_rules! worker_cases {
    ($store:expr) => {
        $crate::worker_cases! { $store;
            scans_from_the_queue_are_run_and_counted,
            a_scan_whose_worker_is_killed_is_lost_and_counted_once,
            a_scan_may_outlive_its_worker_where_it_may_be_begun_twice,
            what_is_not_there_yet_is_tried_again_and_is_no_failure,
            a_worker_that_is_stopped_puts_its_scan_into_the_queue_again,
        }
    };
    ($store:expr; $($case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                let store = $store;
                $crate::worker_cases::$case(&store.url());
            }
        )*
    };
}

pub fn scans_from_the_queue_are_run_and_counted(url: &str) {
    let queue = Queue::new(url);
    let ids = [
        queue.ask("mcp", "mcp/bad.json"),
        queue.ask("mcp", "mcp/good.json"),
        queue.ask("model", "README.md"),
    ];
    let mut worker = queue.work(&[]);
    worker.wait_for_series(&[
        r#"sentrascan_scans_total{status="completed",type="mcp"} 2"#,
        r#"sentrascan_scans_total{status="failed",type="model"} 1"#,
        r#"sentrascan_scans_started_total{type="mcp"} 2"#,
        r#"sentrascan_scans_started_total{type="model"} 1"#,
        r#"sentrascan_scans_blocked_total{type="mcp"} 1"#,
        r#"sentrascan_scan_queue_duration_seconds_count{type="mcp"} 2"#,
        r#"sentrascan_scan_engine_runs_total{engine="mcp",status="completed"} 2"#,
        r#"sentrascan_queue_depth{type="mcp"} 0"#,
        r#"sentrascan_queue_depth{type="model"} 0"#,
        "sentrascan_active_scans 0",
    ]);
    let critical = worker.series(r#"sentrascan_findings_total{severity="critical"}"#);
    assert!(critical > Some(0.0), "{critical:?}");
    let log = worker.stop().join("\n");
    for id in ids {
        let finished = |line: &&str| line.contains("scan finished") && line.contains(&id);
        assert_eq!(log.lines().filter(finished).count(), 1, "{id} in {log}");
    }
}

/// A queue with a scan that takes long, two workers, and the scan running: who runs it first.
fn running(url: &str, root: &Path, options: &[&str]) -> (Queue, Worker, Worker) {
    slow_model(&root.join("slow.pkl"));
    let queue = Queue::new(url).root(root);
    let mut first = queue.work(options);
    queue.ask("model", "slow.pkl");
    first.wait_for_series(&["sentrascan_active_scans 1"]);
    let second = queue.work(options);
    (queue, first, second)
}

fn make_quick(root: &Path) {
    let file = root.join("slow.pkl");
    fs::remove_file(&file).expect("it is there");
    fs::copy(fixtures().join("model/benign-p4.pkl"), file).expect("the fixture is there");
}

pub fn a_scan_whose_worker_is_killed_is_lost_and_counted_once(url: &str) {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (queue, killed, mut survivor) = running(url, root.path(), &[]);
    killed.kill();
    let lost = [
        r#"sentrascan_scans_total{status="failed",type="model"} 1"#,
        r#"sentrascan_scan_failures_total{reason="worker_lost",type="model"} 1"#,
        r#"sentrascan_scans_started_total{type="model"} 1"#,
        r#"sentrascan_scan_duration_seconds_count{type="model"} 0"#,
        r#"sentrascan_scan_retries_total{type="model"} 0"#,
        r#"sentrascan_queue_depth{type="model"} 0"#,
        "sentrascan_active_scans 0",
    ];
    survivor.wait_for_series(&lost);

    // What comes after is run, and what was lost stays counted once, whoever comes.
    make_quick(root.path());
    let mut third = queue.work(&[]);
    queue.ask("model", "slow.pkl");
    let of = |page: &str, name: &str| series(page, name).expect("it is there");
    let completed = r#"sentrascan_scans_total{status="completed",type="model"}"#;
    third.wait_for("one completed scan of both", |page| {
        let both = of(page, completed) + of(&survivor.metrics(), completed);
        (both == 1.0).then_some(())
    });
    let sum = |name: &str| of(&third.metrics(), name) + of(&survivor.metrics(), name);
    let lost = r#"sentrascan_scan_failures_total{reason="worker_lost",type="model"}"#;
    assert_eq!(sum(lost), 1.0);
    assert_eq!(sum(r#"sentrascan_scans_started_total{type="model"}"#), 2.0);
    let log = survivor.stop().join("\n");
    assert!(log.contains("a worker died with a scan"), "{log}");
}

pub fn a_scan_may_outlive_its_worker_where_it_may_be_begun_twice(url: &str) {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (_, killed, mut survivor) = running(url, root.path(), &["--attempts", "2"]);
    killed.kill();
    make_quick(root.path());
    survivor.wait_for_series(&[
        r#"sentrascan_scans_total{status="completed",type="model"} 1"#,
        r#"sentrascan_scans_total{status="failed",type="model"} 0"#,
        r#"sentrascan_scans_started_total{type="model"} 1"#,
        r#"sentrascan_scan_duration_seconds_count{type="model"} 1"#,
        "sentrascan_active_scans 0",
    ]);
    let log = survivor.stop().join("\n");
    assert!(log.contains(r#""scan_attempt":2"#), "{log}");
}

pub fn what_is_not_there_yet_is_tried_again_and_is_no_failure(url: &str) {
    let root = tempfile::tempdir().expect("a temporary folder");
    let queue = Queue::new(url).root(root.path());
    let mut worker = queue.work(&["--attempts", "100"]);
    queue.ask("mcp", "late.json");
    worker.wait_for("a retry", |page| {
        let retries = series(page, r#"sentrascan_scan_retries_total{type="mcp"}"#);
        (retries >= Some(1.0)).then_some(())
    });
    let good = fixtures().join("mcp/good.json");
    fs::copy(good, root.path().join("late.json")).expect("the fixture is there");
    worker.wait_for_series(&[
        r#"sentrascan_scans_total{status="completed",type="mcp"} 1"#,
        r#"sentrascan_scans_total{status="failed",type="mcp"} 0"#,
        r#"sentrascan_queue_depth{type="mcp"} 0"#,
    ]);
    let value = |series: &str| worker.series(series).expect("it is there");
    let started = value(r#"sentrascan_scans_started_total{type="mcp"}"#);
    let retries = value(r#"sentrascan_scan_retries_total{type="mcp"}"#);
    assert_eq!(started, retries + 1.0);
}

pub fn a_worker_that_is_stopped_puts_its_scan_into_the_queue_again(url: &str) {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (_, stopped, mut other) = running(url, root.path(), &["--drain", "1s"]);
    let log = stopped.stop().join("\n");
    assert!(!log.contains("could not be put"), "{log}");
    make_quick(root.path());
    other.wait_for_series(&[
        r#"sentrascan_scans_total{status="completed",type="model"} 1"#,
        r#"sentrascan_scan_failures_total{reason="worker_lost",type="model"} 0"#,
        r#"sentrascan_scans_started_total{type="model"} 1"#,
    ]);
}
