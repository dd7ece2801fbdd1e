//! Scans that wait for their turn while their clients do not wait for them.

use std::thread;

use serde_json::json;

use crate::{Setup, post};

pub fn a_scan_in_the_background_is_answered_at_once_and_told_of_at_its_end(database: &str) {
    let mut platform = Setup::default().database(database).start();
    let url = format!("{}/api/v1/mcp/scans", platform.url());
    let answer = post(&url, json!({"path": "mcp/bad.json", "background": true}));
    assert_eq!(answer.status, 202, "{answer:?}");
    let queued = answer.json();
    assert_eq!(queued["status"], "queued", "{queued}");
    assert_eq!(queued["findings"], json!([]));
    let id = queued["id"].as_str().expect("it is text");
    assert_eq!(answer.location, format!("/api/v1/scans/{id}"));

    let scan = platform.wait_for_status(id, "completed");
    assert_eq!(scan["passed"], false, "{scan}");
    assert_eq!(scan["created_at"], queued["created_at"]);
    // The same as a client gets that waits.
    let waited = platform.scan("mcp", "mcp/bad.json").json();
    assert_eq!(scan["findings"], waited["findings"]);
    platform.wait_for_series(&[
        r#"sentrascan_scans_total{status="completed",type="mcp"} 2"#,
        r#"sentrascan_scans_started_total{type="mcp"} 2"#,
        r#"sentrascan_scan_duration_seconds_count{type="mcp"} 2"#,
        r#"sentrascan_scan_queue_duration_seconds_count{type="mcp"} 1"#,
        r#"sentrascan_queue_depth{type="mcp"} 0"#,
        "sentrascan_queued_scans 0",
        "sentrascan_active_scans 0",
        r#"api_requests_total{endpoint="/api/v1/mcp/scans",method="POST",status="202"} 1"#,
    ]);
    let log = platform.stop().join("\n");
    let of_scan = log.lines().filter(|line| line.contains(id)).count();
    assert!(of_scan >= 3, "asked for, started, finished: {log}");
}

pub fn no_more_scans_wait_than_may(database: &str) {
    let setup = Setup::default().database(database);
    let platform = setup.option("--max-queued").option("0").start();
    let url = format!("{}/api/v1/mcp/scans", platform.url());
    let answer = post(&url, json!({"path": "mcp/bad.json", "background": true}));
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json()["error"]["code"], "queue_full");
    assert_eq!(platform.get("/api/v1/scans").json()["scans"], json!([]));
    let rejected = r#"sentrascan_scans_rejected_total{reason="queue_full",type="mcp"}"#;
    assert_eq!(platform.series(rejected), Some(1.0));
    // Who waits for it still gets it.
    assert_eq!(platform.scan("mcp", "mcp/bad.json").status, 200);
}

pub fn what_is_wrong_with_a_path_is_said_before_the_scan_waits(database: &str) {
    let platform = Setup::default().database(database).start();
    let url = format!("{}/api/v1/mcp/scans", platform.url());
    for (path, status, reason) in [
        ("../x.json", 403, "forbidden"),
        ("absent.json", 404, "invalid"),
        ("", 400, "invalid"),
    ] {
        for background in [true, false] {
            let answer = post(&url, json!({"path": path, "background": background}));
            assert_eq!(answer.status, status, "{answer:?}");
        }
        let rejected =
            format!(r#"sentrascan_scans_rejected_total{{reason="{reason}",type="mcp"}}"#);
        assert!(platform.series(&rejected) >= Some(2.0), "{rejected}");
    }
    assert_eq!(platform.get("/api/v1/scans").json()["scans"], json!([]));
    let started = platform.series(r#"sentrascan_scans_started_total{type="mcp"}"#);
    assert_eq!(started, Some(6.0));
}

pub fn two_instances_share_what_waits_and_each_scan_runs_once(database: &str) {
    const SCANS: usize = 60;
    let setup = Setup::default().database(database);
    let mut platforms = ["one", "two"].map(|name| setup.clone().instance(name).start());
    let ids: Vec<_> = thread::scope(|scope| {
        let clients = platforms.iter().map(|platform| {
            scope.spawn(|| -> Vec<_> {
                let ask = |_| platform.scan_later("models", "model/eval-p4.pkl");
                (0..SCANS / 2).map(ask).collect()
            })
        });
        // All at once, and then wait for them.
        let clients: Vec<_> = clients.collect();
        let asked = clients.into_iter();
        asked
            .flat_map(|client| client.join().expect("it asks"))
            .collect()
    });
    // Whichever ran it, every instance knows.
    for id in &ids {
        let scan = platforms[0].wait_for_status(id, "completed");
        assert_eq!(scan["passed"], false, "{scan}");
    }
    let sum = |series: &str| -> f64 {
        let of = platforms.iter().map(|platform| platform.series(series));
        of.map(|value| value.expect("it is there")).sum()
    };
    for series in [
        r#"sentrascan_scans_started_total{type="model"}"#,
        r#"sentrascan_scans_total{status="completed",type="model"}"#,
        r#"sentrascan_scan_duration_seconds_count{type="model"}"#,
        r#"sentrascan_scan_queue_duration_seconds_count{type="model"}"#,
    ] {
        assert_eq!(sum(series), SCANS as f64, "{series}");
    }
    assert_eq!(
        sum(r#"sentrascan_scan_failures_total{reason="error",type="model"}"#),
        0.0
    );
}
