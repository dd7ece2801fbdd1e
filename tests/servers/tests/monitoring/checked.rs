//! What the checkers say, of both generations.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use monitoring::{GrpcPreset, Options, Preset, ScanPreset, files as generated};
use server_tests::Suite;

use crate::stack::{monitoring, read};

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("it starts");
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(monitoring().join(folder)).expect("the folder is there");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("it can be read").path())
        .collect();
    files.sort();
    assert!(files.len() >= 2, "{files:?}");
    files
}

#[test]
fn promtool_accepts_configuration_and_rules() {
    for suite in Suite::ALL {
        let promtool = || Command::new(suite.program("promtool"));
        run(promtool()
            .args(["check", "config"])
            .arg(monitoring().join("prometheus/prometheus.yml")));
        run(promtool()
            .args(["check", "rules", "--lint=all", "--lint-fatal"])
            .args(files("prometheus/rules")));
    }
}

fn alerts_behave(suite: Suite) {
    run(Command::new(suite.program("promtool"))
        .args(["test", "rules"])
        .args(files("prometheus/tests")));
}

#[test]
fn every_alert_fires_when_it_should_and_not_otherwise_on_prometheus_2_53() {
    alerts_behave(Suite::Trixie);
}

#[test]
fn every_alert_fires_when_it_should_and_not_otherwise_on_prometheus_3() {
    alerts_behave(Suite::Forky);
}

#[test]
fn alerts_behave_the_same_under_open_telemetrys_names() {
    let options = Options {
        prefix: String::from("acme"),
        scans: ScanPreset::OpenTelemetry,
        requests: Preset::OpenTelemetry,
        grpc: GrpcPreset::OpenTelemetry,
        ..Options::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let mut rules = Vec::new();
    for file in generated(&options).unwrap() {
        let path = folder.path().join(&file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, file.text).unwrap();
        if file.path.starts_with("prometheus/rules") {
            rules.push(path);
        }
    }
    assert_eq!(rules.len(), 2);
    // What differs between the generations, and what takes days, the tests of the usual names show.
    let promtool = || Command::new(Suite::Trixie.program("promtool"));
    run(promtool()
        .args(["check", "rules", "--lint=all", "--lint-fatal"])
        .args(rules));
    run(promtool()
        .args(["test", "rules"])
        .arg(folder.path().join("prometheus/tests/alerts.yml")));
}

#[test]
fn amtool_accepts_the_configuration_and_every_severity_has_its_receivers() {
    let config = monitoring().join("alertmanager/alertmanager.yml");
    let amtool = || Command::new(Suite::Trixie.program("amtool"));
    run(amtool().arg("check-config").arg(&config));
    // Also when matchers are read strictly, as they are to be.
    run(amtool()
        .args(["--enable-feature=utf8-strict-mode", "check-config"])
        .arg(&config));
    for (labels, receivers) in [
        (
            &["alertname=SentrascanDown", "severity=critical"][..],
            "pagerduty,slack",
        ),
        (
            &["alertname=SentrascanScansSlow", "severity=warning"],
            "slack",
        ),
        (&["alertname=Watchdog", "severity=none"], "watchdog"),
        (&["alertname=Unheard"], "slack"),
    ] {
        let output = run(amtool()
            .args(["config", "routes", "test"])
            .arg(format!("--config.file={}", config.display()))
            .args(labels));
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.trim(), receivers, "{labels:?}");
    }
}

#[test]
fn docker_compose_accepts_the_stack() {
    for suite in Suite::ALL {
        let output = run(Command::new(suite.program("docker-compose"))
            .arg("--file")
            .arg(monitoring().join("compose.yml"))
            .args(["config", "--format", "json"]));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(said, "", "{suite:?}");
    }
}

#[test]
fn shell_scripts_can_be_read_by_their_shells() {
    for (shell, script) in [
        ("bash", "elastic/setup/setup.sh"),
        ("bash", "postgres/1-roles.sh"),
        ("sh", "secrets/make.sh"),
    ] {
        run(Command::new(shell).arg("-n").arg(monitoring().join(script)));
        assert!(read(script).starts_with("#!"));
    }
}
