//! The scan platform, which sends its series to real servers: `--exporter`.

use std::process::{Command, Output};

use platform_tests::{Setup, fixtures, post, program};
use serde_json::json;
use server_tests::{Prometheus, Pushgateway, Suite, VictoriaMetrics, free_port};

fn scan(exporter: &str) -> Output {
    let mut command = Command::new(program());
    command
        .args(["scan", "mcp"])
        .arg(fixtures().join("mcp/bad.json"))
        .args(["--exporter", exporter])
        .env_remove("RUST_LOG");
    command.output().expect("the program runs")
}

#[test]
fn a_scan_from_the_shell_is_in_the_pushgateway_when_it_has_ended() {
    let gateway = Pushgateway::start();
    let output = scan(&format!("pushgateway={}", gateway.url()));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let page = gateway.page();
    let scans = page.lines().find(|line| {
        line.starts_with("sentrascan_scans_total{")
            && line.contains("job=\"scan-platform\"")
            && line.contains("type=\"mcp\"")
            && line.contains("status=\"completed\"")
    });
    assert!(scans.is_some_and(|line| line.ends_with(" 1")), "{page}");
}

#[test]
fn a_scan_whose_series_do_not_arrive_says_so_and_ends_as_it_would() {
    let output = scan(&format!("pushgateway=http://127.0.0.1:{}", free_port()));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let warning = String::from_utf8_lossy(&output.stderr);
    assert!(
        warning.starts_with("warning: not all metrics were sent: pushgateway: "),
        "{warning}"
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("BLOCKED"));
}

#[test]
fn a_platform_sends_to_several_servers_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut prometheus = Prometheus::written_to(Suite::Forky, folder, free_port());
    let mut victoria = VictoriaMetrics::start();
    let mut gateway = Pushgateway::start();
    let mut setup = Setup::default().instance("one");
    for exporter in [
        format!("remote-write={}/api/v1/write", prometheus.url()),
        format!("otlp={}/opentelemetry", victoria.url()),
        format!("pushgateway={}", gateway.url()),
        String::from("prometheus"),
    ] {
        setup = setup.option("--exporter").option(&exporter);
    }
    let platform = setup.option("--export-interval").option("200ms").start();
    let url = format!("{}/api/v1/mcp/scans", platform.url());
    let scan = post(&url, json!({"path": "mcp/bad.json"})).json();
    assert_eq!(scan["status"], "completed", "{scan}");

    let series = "sentrascan_scans_total{type=\"mcp\",status=\"completed\"";
    let of = |labels: &str| format!("{series}{labels}}} == 1");
    let query = of(",job=\"scan-platform\",instance=\"one\"");
    assert_eq!(prometheus.query(&query).len(), 1);
    let query = of(",\"service.name\"=\"scan-platform\",\"service.instance.id\"=\"one\"");
    assert_eq!(victoria.query(&query).len(), 1);
    let series = "sentrascan_scans_total{instance=\"one\",job=\"scan-platform\",status=\"completed\",type=\"mcp\"}";
    assert_eq!(gateway.wait_for(series), "1");
    let up = prometheus.query("exporter_sink_points_total{sink=\"otlp\"} > 0");
    assert_eq!(up.len(), 1);
    let lines = platform.stop();
    let ended = lines
        .iter()
        .find(|line| line.contains("operations ended"))
        .expect("it says so");
    assert!(!ended.contains("not all was done"), "{ended}");
}
