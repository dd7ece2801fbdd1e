//! The HTTP interface, as clients see it.

use platform_tests::{Answer, Platform, get, post};
use serde_json::{Value, json};

fn scan(platform: &Platform, kind: &str, path: &str) -> Answer {
    post(
        &format!("{}/api/v1/{kind}/scans", platform.url()),
        json!({ "path": path }),
    )
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .expect("it is an object")
        .keys()
        .map(String::as_str)
        .collect()
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let body = answer.json();
    assert_eq!(keys(&body), ["error"]);
    assert_eq!(keys(&body["error"]), ["code", "message"]);
    assert_eq!(body["error"]["code"], code, "{body}");
    assert!(
        body["error"]["message"]
            .as_str()
            .is_some_and(|text| text.len() > 10),
        "{body}"
    );
}

#[test]
fn a_bad_mcp_configuration_is_blocked_and_a_good_one_passes() {
    let platform = Platform::start();
    let bad = scan(&platform, "mcp", "mcp/bad.json");
    assert_eq!(bad.status, 200);
    let bad = bad.json();
    assert_eq!(bad["type"], "mcp");
    assert_eq!(bad["status"], "completed");
    assert_eq!(bad["passed"], false);
    assert_eq!(
        keys(&bad["severities"]),
        ["critical", "high", "info", "low", "medium"]
    );
    let critical = bad["severities"]["critical"].as_u64().unwrap();
    let findings = bad["findings"].as_array().unwrap();
    assert!(critical > 0);
    assert_eq!(
        findings
            .iter()
            .filter(|one| one["severity"] == "critical")
            .count() as u64,
        critical
    );
    for finding in findings {
        assert_eq!(keys(finding), ["location", "message", "rule", "severity"]);
    }

    let good = scan(&platform, "mcp", "mcp/good.json").json();
    assert_eq!(
        (&good["status"], &good["passed"]),
        (&json!("completed"), &json!(true)),
        "{good}"
    );
    assert_eq!(good["findings"], json!([]));
}

#[test]
fn a_pickle_that_runs_code_is_blocked_and_weights_pass() {
    let platform = Platform::start();
    let bad = scan(&platform, "models", "model/os-system-p2.pkl").json();
    assert_eq!(
        (&bad["type"], &bad["passed"]),
        (&json!("model"), &json!(false)),
        "{bad}"
    );
    let good = scan(&platform, "models", "model/benign-p4.pkl").json();
    assert_eq!(
        (&good["status"], &good["passed"]),
        (&json!("completed"), &json!(true)),
        "{good}"
    );
}

#[test]
fn a_file_that_cannot_be_parsed_is_a_failed_scan() {
    let platform = Platform::start();
    let answer = scan(&platform, "models", "README.md");
    assert_eq!(answer.status, 200);
    let failed = answer.json();
    assert_eq!(
        (&failed["status"], &failed["passed"]),
        (&json!("failed"), &Value::Null),
        "{failed}"
    );
    assert_eq!(failed["error"]["code"], "unparseable");
    assert_eq!(failed["findings"], json!([]));
}

#[test]
fn scans_are_remembered_listed_and_told_apart() {
    let platform = Platform::start();
    let first = scan(&platform, "mcp", "mcp/good.json").json();
    let second = scan(&platform, "mcp", "mcp/bad.json").json();
    let url = platform.url();

    let list = get(&format!("{url}/api/v1/scans")).json();
    assert_eq!(list["scans"], json!([second, first]), "the newest first");
    assert_eq!(
        get(&format!("{url}/api/v1/scans?limit=1")).json()["scans"],
        json!([second])
    );

    let id = first["id"].as_str().unwrap();
    assert_eq!(get(&format!("{url}/api/v1/scans/{id}")).json(), first);
    let status = get(&format!("{url}/api/v1/scans/{id}/status")).json();
    assert_eq!(
        status,
        json!({"id": id, "status": "completed", "passed": true})
    );
}

#[test]
fn what_a_client_asks_wrongly_is_a_clear_error() {
    let platform = Platform::start();
    let url = platform.url();
    let scans = format!("{url}/api/v1/mcp/scans");
    refused(&post(&scans, "{"), 400, "bad_request");
    refused(&post(&scans, "[]"), 422, "bad_request");
    refused(
        &post(&scans, json!({"path": "mcp/good.json", "and": 1})),
        422,
        "bad_request",
    );
    refused(&post(&scans, json!({"path": ""})), 400, "invalid_path");
    refused(&post(&scans, json!({"path": "a\0b"})), 400, "invalid_path");
    refused(
        &post(&scans, json!({"path": "x".repeat(70_000)})),
        413,
        "bad_request",
    );
    refused(
        &post(&scans, json!({"path": "no/such.json"})),
        404,
        "not_found",
    );
    refused(&get(&scans), 405, "method_not_allowed");
    refused(&get(&format!("{url}/nowhere")), 404, "not_found");
    refused(
        &get(&format!("{url}/api/v1/scans?limit=0")),
        400,
        "bad_request",
    );
    refused(
        &get(&format!("{url}/api/v1/scans?limit=many")),
        400,
        "bad_request",
    );
    refused(&get(&format!("{url}/api/v1/scans/1")), 404, "not_found");
    let unknown = "0199d1d4-0000-7000-8000-000000000000";
    refused(
        &get(&format!("{url}/api/v1/scans/{unknown}/status")),
        404,
        "not_found",
    );
}

#[test]
fn every_answer_has_a_request_id_and_a_given_one_comes_back() {
    let platform = Platform::start();
    let health = format!("{}/api/v1/health", platform.url());
    let (one, two) = (get(&health), get(&health));
    assert_eq!(one.status, 200);
    assert_eq!(one.json(), json!({"status": "ok", "database": "ok"}));
    assert!(!one.request_id.is_empty());
    assert_ne!(one.request_id, two.request_id);
}

#[test]
fn series_agree_with_what_was_asked() {
    let platform = Platform::start();
    scan(&platform, "mcp", "mcp/good.json");
    scan(&platform, "models", "README.md");
    scan(&platform, "mcp", "../Cargo.toml");
    get(&format!(
        "{}/api/v1/scans/{}",
        platform.url(),
        "x".repeat(100)
    ));
    let page = get(&format!("{}/metrics", platform.url())).text;
    for line in [
        r#"sentrascan_scans_total{status="completed",type="mcp"} 1"#,
        r#"sentrascan_scans_total{status="failed",type="model"} 1"#,
        r#"sentrascan_scans_total{status="completed",type="model"} 0"#,
        "sentrascan_active_scans 0",
        r#"sentrascan_scan_duration_seconds_count{type="mcp"} 1"#,
        r#"api_requests_total{endpoint="/api/v1/mcp/scans",method="POST",status="200"} 1"#,
        r#"api_requests_total{endpoint="/api/v1/mcp/scans",method="POST",status="403"} 1"#,
        r#"api_requests_total{endpoint="/api/v1/scans/{id}",method="GET",status="404"} 1"#,
        r#"api_active_requests{endpoint="/api/v1/mcp/scans",method="POST"} 0"#,
        r#"api_active_requests{endpoint="/metrics",method="GET"} 1"#,
    ] {
        assert!(
            page.lines().any(|found| found == line),
            "no {line} in\n{page}"
        );
    }
}
