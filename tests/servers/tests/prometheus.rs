//! The scan platform, scraped by real Prometheus servers.

use platform_tests::{Platform, get, post};
use serde_json::{Value, json};
use server_tests::{Prometheus, Suite, promtool_check_metrics};

/// A platform that has done one scan of each type.
fn platform_with_scans() -> Platform {
    let platform = Platform::start();
    let url = platform.url();
    let bad = post(
        &format!("{url}/api/v1/mcp/scans"),
        json!({"path": "mcp/bad.json"}),
    )
    .json();
    assert_eq!(
        (&bad["status"], &bad["passed"]),
        (&json!("completed"), &json!(false)),
        "{bad}"
    );
    let models = format!("{url}/api/v1/models/scans");
    let good = post(&models, json!({"path": "model/benign-p4.pkl"})).json();
    assert_eq!(
        (&good["status"], &good["passed"]),
        (&json!("completed"), &json!(true)),
        "{good}"
    );
    platform
}

fn scraped_by(suite: Suite, version: &str) {
    let platform = platform_with_scans();
    let mut prometheus = Prometheus::start(suite, platform.url());
    assert!(
        prometheus.version().starts_with(version),
        "{}",
        prometheus.version()
    );
    assert_eq!(
        prometheus.target_health(),
        (String::from("up"), String::new())
    );

    for scan_type in ["mcp", "model"] {
        let query =
            format!("sentrascan_scans_total{{type=\"{scan_type}\",status=\"completed\"}} == 1");
        let samples = prometheus.query(&query);
        assert_eq!(samples.len(), 1, "{samples:?}");
        assert_eq!(samples[0].0["job"], "sentrascan");
    }
    let critical = prometheus.query("sentrascan_findings_total{severity=\"critical\"} > 0");
    assert_eq!(critical.len(), 1, "{critical:?}");
    let zero = prometheus.query("sentrascan_scans_total{type=\"mcp\",status=\"failed\"} == 0");
    assert_eq!(zero.len(), 1, "{zero:?}");
    let quantile = "histogram_quantile(0.5, sum by (le) (sentrascan_scan_duration_seconds_bucket))";
    let quantile = prometheus.query(quantile);
    assert!(quantile[0].1 > 0.0 && quantile[0].1 <= 0.5, "{quantile:?}");
    let requests =
        "api_requests_total{method=\"POST\",endpoint=\"/api/v1/mcp/scans\",status=\"200\"} == 1";
    assert_eq!(prometheus.query(requests).len(), 1);
}

#[test]
fn prometheus_2_53_scrapes_the_platform_and_answers_for_its_scans() {
    scraped_by(Suite::Trixie, "2.53.");
}

#[test]
fn prometheus_3_scrapes_the_platform_and_answers_for_its_scans() {
    scraped_by(Suite::Forky, "3.");
}

#[test]
fn promtool_has_nothing_to_say_about_the_page() {
    let platform = platform_with_scans();
    let page = get(&format!("{}/metrics", platform.url())).text;
    for suite in Suite::ALL {
        let said = promtool_check_metrics(suite, &page);
        assert!(
            said.status.success(),
            "{suite:?}: {}",
            String::from_utf8_lossy(&said.stderr)
        );
        assert!(
            said.stdout.is_empty() && said.stderr.is_empty(),
            "{suite:?}: {said:?}"
        );
    }
}

#[test]
fn the_log_is_one_json_object_a_line_and_the_lines_of_a_scan_carry_its_id() {
    let platform = platform_with_scans();
    let lines = platform.stop();
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let about = |message: &str| -> Vec<&Value> {
        lines
            .iter()
            .filter(|line| line["message"] == message)
            .collect()
    };
    for message in ["scan started", "scan finished"] {
        let ids: Vec<_> = about(message)
            .into_iter()
            .map(|line| &line["scan_id"])
            .collect();
        assert_eq!(ids.len(), 2, "{lines:?}");
        assert!(
            ids.iter()
                .all(|id| id.as_str().is_some_and(|id| id.len() == 36)),
            "{ids:?}"
        );
        assert_ne!(ids[0], ids[1]);
    }
    let requests: Vec<_> = lines
        .iter()
        .filter(|line| line["event"] == "http_request")
        .collect();
    assert_eq!(requests.len(), 2, "{lines:?}");
    for request in requests {
        assert_eq!(request["status"], 200);
        assert_eq!(request["outcome"], "complete");
        assert!(request["scan_id"].is_string(), "{request}");
    }
}
