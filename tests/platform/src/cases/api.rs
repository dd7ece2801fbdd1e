//! The HTTP interface, as clients see it.

use serde_json::{Value, json};

use crate::{Answer, Setup, get, post};

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

pub fn a_bad_mcp_configuration_is_blocked_and_a_good_one_passes(database: &str) {
    let platform = Setup::default().database(database).start();
    let bad = platform.scan("mcp", "mcp/bad.json");
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

    let good = platform.scan("mcp", "mcp/good.json").json();
    assert_eq!(
        (&good["status"], &good["passed"]),
        (&json!("completed"), &json!(true)),
        "{good}"
    );
    assert_eq!(good["findings"], json!([]));
}

pub fn a_pickle_that_runs_code_is_blocked_and_weights_pass(database: &str) {
    let platform = Setup::default().database(database).start();
    let bad = platform.scan("models", "model/os-system-p2.pkl").json();
    assert_eq!(
        (&bad["type"], &bad["passed"]),
        (&json!("model"), &json!(false)),
        "{bad}"
    );
    let good = platform.scan("models", "model/benign-p4.pkl").json();
    assert_eq!(
        (&good["status"], &good["passed"]),
        (&json!("completed"), &json!(true)),
        "{good}"
    );
}

pub fn a_file_that_cannot_be_parsed_is_a_failed_scan(database: &str) {
    let platform = Setup::default().database(database).start();
    let answer = platform.scan("models", "README.md");
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

pub fn scans_are_remembered_listed_and_told_apart(database: &str) {
    let platform = Setup::default().database(database).start();
    let first = platform.scan("mcp", "mcp/good.json").json();
    let second = platform.scan("mcp", "mcp/bad.json").json();
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

pub fn what_a_client_asks_wrongly_is_a_clear_error(database: &str) {
    let platform = Setup::default().database(database).start();
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

pub fn every_answer_has_a_request_id_and_a_given_one_comes_back(database: &str) {
    let platform = Setup::default().database(database).start();
    let health = format!("{}/api/v1/health", platform.url());
    let (one, two) = (get(&health), get(&health));
    assert_eq!(one.status, 200);
    assert_eq!(one.json(), json!({"status": "ok", "database": "ok"}));
    assert!(!one.request_id.is_empty());
    assert_ne!(one.request_id, two.request_id);
}

pub fn series_agree_with_what_was_asked(database: &str) {
    let platform = Setup::default().database(database).start();
    platform.scan("mcp", "mcp/good.json");
    platform.scan("models", "README.md");
    platform.scan("mcp", "../Cargo.toml");
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
        r#"sentrascan_engine_up{engine="mcp"} 1"#,
        r#"sentrascan_engine_up{engine="npy"} 1"#,
        r#"sentrascan_engine_up{engine="pickle"} 1"#,
        r#"sentrascan_engine_up{engine="safetensors"} 1"#,
        r#"sentrascan_engine_up{engine="zip"} 1"#,
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

pub fn queries_are_timed_by_name_and_connections_counted(database: &str) {
    let platform = Setup::default().database(database).start();
    let count = |query: &str| {
        let series = format!("sentrascan_db_query_duration_seconds_count{{query=\"{query}\"}}");
        platform.series(&series)
    };
    for query in ["scan_start", "scan_end", "scan_get", "scan_list"] {
        assert_eq!(count(query), Some(0.0), "{query}");
        let errors = format!("sentrascan_db_query_errors_total{{query=\"{query}\"}}");
        assert_eq!(platform.series(&errors), Some(0.0));
    }
    let id = platform.scan("mcp", "mcp/good.json").json()["id"]
        .as_str()
        .expect("it is text")
        .to_owned();
    platform.get(&format!("/api/v1/scans/{id}"));
    platform.get("/api/v1/scans");
    platform.get("/api/v1/scans");
    assert_eq!(count("scan_start"), Some(1.0));
    assert_eq!(count("scan_end"), Some(1.0));
    assert_eq!(count("scan_get"), Some(1.0));
    assert_eq!(count("scan_list"), Some(2.0));
    let connections = |state: &str| {
        let series = format!("sentrascan_db_pool_connections{{state=\"{state}\"}}");
        platform.series(&series).expect("it is there")
    };
    let max = platform.series("sentrascan_db_pool_connections_max");
    let open = connections("idle") + connections("used");
    assert!((1.0..=max.expect("it is there")).contains(&open), "{open}");
}
