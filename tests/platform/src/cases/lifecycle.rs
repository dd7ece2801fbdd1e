//! The bugs of the platform that this one is modelled on, as they would show here: each was invisible
//! there. The sixth, a queue that a restart emptied, is among the restarts.

use std::fs;

use serde_json::{Value, json};

use crate::{Setup, events, fixtures, slow_model};

/// A scan that hung was a row that said `in_progress` for ever, and nobody looked.
pub fn a_scan_that_is_stuck_is_seen_by_its_age(database: &str) {
    let root = tempfile::tempdir().expect("a temporary folder");
    slow_model(&root.path().join("stuck.pkl"));
    let good = fixtures().join("mcp/good.json");
    fs::copy(good, root.path().join("mcp.json")).expect("the fixture is there");
    let setup = Setup::default().database(database).root(root.path());
    let mut platform = setup.start();
    let age = |scan_type: &str| {
        format!("sentrascan_oldest_active_scan_age_seconds{{type=\"{scan_type}\"}}")
    };
    assert_eq!(platform.series(&age("model")), Some(0.0));
    let stuck = platform.scan_later("models", "stuck.pkl");
    platform.wait_for_status(&stuck, "in_progress");
    // Others come and go, and it stays.
    let mut seen = 0.0;
    for _ in 0..3 {
        assert_eq!(platform.scan("mcp", "mcp.json").json()["passed"], true);
        let now = platform.series(&age("model")).expect("it is there");
        assert!(now > seen, "{now} after {seen}");
        seen = now;
    }
    assert_eq!(platform.series(&age("mcp")), Some(0.0));
    assert_eq!(platform.series("sentrascan_active_scans"), Some(1.0));
    let last = r#"sentrascan_scan_last_success_timestamp_seconds{type="model"}"#;
    assert_eq!(platform.series(last), Some(0.0), "and none succeeds");
}

/// An engine that died inside a scan left it completed, passed, and without findings.
pub fn an_engine_that_fails_inside_a_completed_scan_is_seen(database: &str) {
    let root = tempfile::tempdir().expect("a temporary folder");
    let models = fixtures().join("model");
    for name in ["benign-p4.pkl", "good.safetensors", "truncated.pkl"] {
        fs::copy(models.join(name), root.path().join(name)).expect("the fixture is there");
    }
    let setup = Setup::default().database(database).root(root.path());
    let platform = setup.start();
    let scan = platform.scan("models", ".").json();
    assert_eq!(
        (&scan["status"], &scan["passed"]),
        (&json!("completed"), &json!(true)),
        "{scan}"
    );
    let runs = |engine: &str, status: &str| {
        let series = "sentrascan_scan_engine_runs_total";
        platform.series(&format!(
            "{series}{{engine=\"{engine}\",status=\"{status}\"}}"
        ))
    };
    assert_eq!(runs("pickle", "completed"), Some(1.0));
    assert_eq!(runs("pickle", "failed"), Some(1.0));
    assert_eq!(runs("safetensors", "completed"), Some(1.0));
    assert_eq!(runs("safetensors", "failed"), Some(0.0));
    // From the status alone nothing would be seen.
    let failed = platform.series(r#"sentrascan_scans_total{status="failed",type="model"}"#);
    assert_eq!(failed, Some(0.0));
}

/// Each part had words of its own for where a scan stood: a stream waited for one that never came.
pub fn every_status_is_spelled_one_way_and_every_stream_ends(database: &str) {
    let platform = Setup::default().database(database).start();
    let page = platform.get("/metrics").text;
    let counted: Vec<_> = page
        .lines()
        .filter_map(|line| {
            let labels = line.strip_prefix("sentrascan_scans_total{status=\"")?;
            labels
                .split_once("\",type=\"mcp\"")
                .map(|(status, _)| status)
        })
        .collect();
    assert_eq!(counted, ["cancelled", "completed", "failed", "timed_out"]);
    for (kind, path) in [("mcp", "mcp/bad.json"), ("models", "README.md")] {
        let id = platform.scan_later(kind, path);
        let mut told = Vec::new();
        let url = format!("{}/api/v1/scans/{id}/status/stream", platform.url());
        events(&url, |status| {
            told.push(status["status"].as_str().expect("it is text").to_owned());
        });
        let (last, before) = told.split_last().expect("it tells at least of the end");
        assert!(counted.contains(&last.as_str()), "{told:?}");
        let gauges = ["queued", "in_progress"];
        assert!(
            before
                .iter()
                .all(|status| gauges.contains(&status.as_str())),
            "{told:?}"
        );
        let scan = platform.get(&format!("/api/v1/scans/{id}")).json();
        assert_eq!(scan["status"], *last);
    }
}

/// "Failed scans" counted those that did not pass, and missed those that failed.
pub fn what_the_policy_blocks_is_not_a_failure(database: &str) {
    let platform = Setup::default().database(database).start();
    assert_eq!(platform.scan("mcp", "mcp/bad.json").json()["passed"], false);
    let failed = platform.scan("mcp", "mcp/broken.json").json();
    assert_eq!(
        (&failed["status"], &failed["passed"]),
        (&json!("failed"), &Value::Null)
    );
    let value = |series: &str| platform.series(series).expect("it is there");
    assert_eq!(value(r#"sentrascan_scans_blocked_total{type="mcp"}"#), 1.0);
    assert_eq!(
        value(r#"sentrascan_scans_total{status="completed",type="mcp"}"#),
        1.0
    );
    assert_eq!(
        value(r#"sentrascan_scans_total{status="failed",type="mcp"}"#),
        1.0
    );
    assert_eq!(
        value(r#"sentrascan_scan_failures_total{reason="error",type="mcp"}"#),
        1.0
    );
}

/// Only the scans of one type were reported, and those that failed as `unknown`.
pub fn scans_of_every_type_and_end_are_counted_and_named(database: &str) {
    let platform = Setup::default().database(database).start();
    let mut ids = Vec::new();
    for (kind, scan_type, good, bad) in [
        ("mcp", "mcp", "mcp/good.json", "mcp/broken.json"),
        ("models", "model", "model/benign-p4.pkl", "README.md"),
    ] {
        for (path, status) in [(good, "completed"), (bad, "failed")] {
            let scan = platform.scan(kind, path).json();
            let series =
                format!("sentrascan_scans_total{{status=\"{status}\",type=\"{scan_type}\"}}");
            assert_eq!(platform.series(&series), Some(1.0), "{scan}");
            ids.push((scan["id"].clone(), status));
        }
    }
    let log = platform.stop();
    let finished: Vec<Value> = log
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line["message"] == "scan finished")
        .collect();
    assert_eq!(finished.len(), ids.len(), "{log:?}");
    for (id, status) in ids {
        let line = finished.iter().find(|line| line["scan_id"] == id);
        let line = line.unwrap_or_else(|| panic!("no end of {id} in {finished:?}"));
        assert_eq!(line["scan_status"], status, "{line}");
    }
}

/// Whatever happens, every scan that was asked for is somewhere in the books.
pub fn the_books_balance_whatever_was_asked(database: &str) {
    let mut platform = Setup::default().database(database).start();
    for (kind, path) in [
        ("mcp", "mcp/good.json"),
        ("mcp", "mcp/bad.json"),
        ("mcp", "mcp/broken.json"),
        ("mcp", "absent.json"),
        ("mcp", "../outside.json"),
        ("models", "model/eval-p4.pkl"),
        ("models", "model"),
        ("models", "README.md"),
        ("models", ""),
    ] {
        platform.scan(kind, path);
    }
    let waited = ["mcp/good.json", "mcp/broken.json"].map(|path| platform.scan_later("mcp", path));
    platform.wait_for_status(&waited[0], "completed");
    platform.wait_for_status(&waited[1], "failed");
    platform.wait_for_series(&["sentrascan_active_scans 0", "sentrascan_queued_scans 0"]);

    let page = platform.get("/metrics").text;
    // Of all series of the name with these labels.
    let sum = |name: &str, labels: &[&str]| -> f64 {
        let lines = page.lines().filter(|line| {
            let is_it = line
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('{'));
            is_it && labels.iter().all(|label| line.contains(label))
        });
        let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        values.sum()
    };
    for (scan_type, asked) in [("mcp", 7.0), ("model", 4.0)] {
        let of_type = format!("type=\"{scan_type}\"");
        let of = |name: &str| sum(&format!("sentrascan_{name}"), &[&of_type]);
        let ended = of("scans_total");
        assert_eq!(of("scans_started_total"), asked);
        assert_eq!(
            ended + of("scans_rejected_total") + of("scan_retries_total"),
            asked
        );
        assert_eq!(of("scan_duration_seconds_count"), ended);
        let completed = sum(
            "sentrascan_scans_total",
            &[&of_type, "status=\"completed\""],
        );
        assert_eq!(of("scan_failures_total"), ended - completed);
    }
}
