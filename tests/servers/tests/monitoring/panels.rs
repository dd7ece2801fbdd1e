//! Every panel shows something of a platform that works.

use std::fs;

use serde_json::{Value, json};
use server_tests::{Call, GrpcClient, Kind, Suite};

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
fn shown(stack: &Stack, expression: &str) -> Vec<f64> {
    let query = expression
        .replace("$job", ".+")
        .replace("$instance", ".+")
        .replace("$__rate_interval", "1m");
    assert!(!query.contains('$'), "{query}");
    let samples = stack.prometheus.ask(&query);
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

fn no_panel_is_empty(suite: Suite) {
    let mut stack = Stack::start(suite);
    let mut left = expressions();
    for round in 0.. {
        use_it(&stack);
        left.retain(|(_, expression)| shown(&stack, expression).is_empty());
        if left.is_empty() {
            break;
        }
        assert!(round < 20, "{left:#?}");
        // What was just done is in the scrape after the next.
        let scrapes = "sum(exporter_scrapes_total{code=\"200\"})";
        let before = stack.prometheus.query(scrapes)[0].1;
        stack
            .prometheus
            .query(&format!("{scrapes} >= {}", before + 2.0));
    }
    // The recording rules, too.
    for (name, window) in [("failures", "5m"), ("slow", "5m"), ("failures", "3d")] {
        stack.prometheus.query(&format!(
            "job:api_requests_{name}_per_request:ratio_rate{window}"
        ));
    }
    let url = "ALERTS{alertname=\"Watchdog\", alertstate=\"firing\"}";
    stack.prometheus.query(url);
}

#[test]
fn no_panel_is_empty_on_prometheus_2_53() {
    no_panel_is_empty(Suite::Trixie);
}

#[test]
fn no_panel_is_empty_on_prometheus_3() {
    no_panel_is_empty(Suite::Forky);
}
