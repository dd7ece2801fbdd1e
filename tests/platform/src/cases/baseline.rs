//! What is new since a target was last approved.

use std::fs;

use serde_json::{Value, json};

use crate::{Setup, put};

pub fn a_change_against_the_baseline_is_drift_until_it_is_approved(database: &str) {
    let root = tempfile::tempdir().expect("a temporary folder");
    let write = |url: &str| {
        let text = json!({"mcpServers": {"a": {"url": url}}}).to_string();
        fs::write(root.path().join("mcp.json"), text).expect("it is written");
    };
    let setup = Setup::default().database(database).root(root.path());
    let platform = setup.start();
    let scan = || platform.scan("mcp", "mcp.json").json();
    let drifts = || platform.series(r#"sentrascan_baseline_drift_total{type="mcp"}"#);
    assert_eq!(drifts(), Some(0.0));

    write("https://mcp.example.com/");
    let first = scan();
    assert_eq!(first["drift"], Value::Null, "{first}");
    let drift = |added: u64, removed: u64| json!({"baseline": first["id"], "added": added, "removed": removed});
    assert_eq!(scan()["drift"], drift(0, 0));
    assert_eq!(drifts(), Some(0.0));

    // A server that was encrypted no longer is.
    write("http://mcp.example.com/");
    let changed = scan();
    assert_eq!(changed["drift"], drift(1, 0), "{changed}");
    assert_eq!(scan()["drift"], drift(1, 0));
    assert_eq!(drifts(), Some(2.0), "each scan that sees it is an incident");

    let id = changed["id"].as_str().expect("it is text");
    let url = platform.url();
    let approved = put(&format!("{url}/api/v1/scans/{id}/baseline"));
    assert_eq!((approved.status, approved.json()), (200, changed.clone()));
    let known = json!({"baseline": id, "added": 0, "removed": 0});
    assert_eq!(scan()["drift"], known);
    assert_eq!(drifts(), Some(2.0));

    write("https://mcp.example.com/");
    let back = json!({"baseline": id, "added": 0, "removed": 1});
    assert_eq!(scan()["drift"], back);
    assert_eq!(drifts(), Some(3.0));
}

pub fn only_a_completed_scan_can_be_a_baseline(database: &str) {
    let platform = Setup::default().database(database).start();
    let failed = platform.scan("models", "README.md").json();
    let url = format!("{}/api/v1/scans", platform.url());
    let answer = put(&format!(
        "{url}/{}/baseline",
        failed["id"].as_str().unwrap()
    ));
    assert_eq!(answer.status, 409, "{answer:?}");
    assert_eq!(answer.json()["error"]["code"], "not_completed");
    let unknown = "0199d1d4-0000-7000-8000-000000000000";
    let answer = put(&format!("{url}/{unknown}/baseline"));
    assert_eq!(answer.status, 404, "{answer:?}");
}
