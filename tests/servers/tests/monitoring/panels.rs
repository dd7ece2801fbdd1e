//! Every panel shows something of a platform that works.

use std::fs;

use serde_json::{Value, json};
use server_tests::{Call, GrpcClient, Kind, Prometheus};

use crate::stack::{Stack, monitoring};

/// Uses all of the platform, once.
fn use_it(stack: &Stack) {
    let mut last = Value::Null;
    for (kind, path) in [
        ("mcp", "mcp/good.json"),
        ("mcp", "mcp/bad.json"),
        ("mcp", "mcp/broken.json"),
        ("models", "model/benign-p4.pkl"),
        ("models", "model/os-system-p4.pkl"),
    ] {
        last = stack.scan(kind, &json!({ "path": path })).json();
    }
    let id = last["id"].as_str().unwrap();
    assert_eq!(stack.get("/api/v1/scans").status, 200);
    assert_eq!(stack.get(&format!("/api/v1/scans/{id}")).status, 200);
    assert_eq!(stack.get("/nowhere").status, 404);
    // A stream, over at once since the scan is.
    let stream = stack.get(&format!("/api/v1/scans/{id}/status/stream"));
    assert_eq!(stream.status, 200, "{stream:?}");
    let queued = stack.scan("mcp", &json!({"path": "mcp/good.json", "background": true}));
    assert_eq!(queued.status, 202);
    let address = stack
        .platform()
        .grpc_url()
        .trim_start_matches("http://")
        .to_owned();
    let mut client = GrpcClient::start(&address);
    let call = Call::new(
        "/sentrascan.v1.Scans/GetScan",
        Kind::Unary,
        [[0x0a, 1, b'x']],
    );
    // Without a key.
    assert_ne!(client.call(&call).code, 0);
    client.stop();
}

/// The values of a panel, with everything chosen.
fn shown(prometheus: &Prometheus, expression: &str) -> Vec<f64> {
    let query = expression
        .replace("$job", ".+")
        .replace("$instance", ".+")
        .replace("$__rate_interval", "1m");
    assert!(!query.contains('$'), "{query}");
    let samples = prometheus.ask(&query);
    let samples = samples.unwrap_or_else(|error| panic!("{query}: {error}"));
    // Not a number is drawn as nothing.
    let values = samples.into_iter().map(|(_, value)| value);
    values.filter(|value| !value.is_nan()).collect()
}

fn expressions() -> Vec<(String, String)> {
    let mut expressions = Vec::new();
    for entry in fs::read_dir(monitoring().join("grafana/dashboards")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let name = format!("{}: {}", dashboard["title"], panel["title"]);
                expressions.push((name, target["expr"].as_str().unwrap().to_owned()));
            }
        }
    }
    assert!(expressions.len() >= 80, "{}", expressions.len());
    expressions
}

#[test]
fn no_panel_is_empty_on_either_generation_of_prometheus() {
    let mut stack = Stack::start();
    let mut left: Vec<_> = stack.watchers.iter().map(|_| expressions()).collect();
    for round in 0.. {
        use_it(&stack);
        for (watcher, left) in stack.watchers.iter().zip(&mut left) {
            left.retain(|(_, expression)| shown(&watcher.prometheus, expression).is_empty());
        }
        if left.iter().all(Vec::is_empty) {
            break;
        }
        assert!(round < 20, "{left:#?}");
        // What was just done is in the scrape after the next.
        let scrapes = "sum(exporter_scrapes_total{code=\"200\"})";
        for watcher in &mut stack.watchers {
            let before = watcher.prometheus.query(scrapes)[0].1;
            // Both are counted.
            let after = format!("{scrapes} >= {}", before + 4.0);
            watcher.prometheus.query(&after);
        }
    }
    // The recording rules, too.
    for (name, window) in [("failures", "5m"), ("slow", "5m"), ("failures", "3d")] {
        stack.ask(&format!(
            "job:api_requests_{name}_per_request:ratio_rate{window}"
        ));
    }
    stack.ask("ALERTS{alertname=\"Watchdog\", alertstate=\"firing\"}");
}
