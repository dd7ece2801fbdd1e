//! The command line, as a user sees it.

use std::{
    path::Path,
    process::{Command, Output},
};

use platform_tests::{fixtures, program};
use serde_json::Value;

fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(program());
    command
        .current_dir(folder)
        .args(args)
        .env_remove("RUST_LOG");
    command.output().expect("the program runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the output is UTF-8")
}

#[test]
fn the_exit_code_tells_passed_blocked_and_failed() {
    let code = |args: &[&str]| run(&fixtures(), args).status.code();
    assert_eq!(code(&["scan", "mcp", "mcp/good.json"]), Some(0));
    assert_eq!(code(&["scan", "mcp", "mcp/bad.json"]), Some(1));
    assert_eq!(
        code(&[
            "scan",
            "mcp",
            "mcp/bad.json",
            "--max-critical",
            "99",
            "--max-high",
            "99"
        ]),
        Some(0)
    );
    assert_eq!(code(&["scan", "model", "README.md"]), Some(2));
    assert_eq!(code(&["scan", "model", "absent.pkl"]), Some(2));
}

#[test]
fn a_scan_prints_a_table_and_a_verdict() {
    let output = run(&fixtures(), &["scan", "model", "model/os-system-p2.pkl"]);
    let printed = text(&output.stdout);
    for word in ["severity", "critical", "dangerous-import", "BLOCKED"] {
        assert!(printed.contains(word), "no {word} in\n{printed}");
    }
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn a_scan_prints_json_when_asked() {
    let output = run(&fixtures(), &["scan", "mcp", "mcp/bad.json", "--json"]);
    let scan: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(
        (&scan["status"], &scan["passed"]),
        (&"completed".into(), &false.into())
    );
}

#[test]
fn an_absolute_path_is_the_users_own_to_choose() {
    let absolute = fixtures().canonicalize().unwrap().join("mcp/good.json");
    let elsewhere = tempfile::tempdir().unwrap();
    let output = run(
        elsewhere.path(),
        &["scan", "mcp", absolute.to_str().unwrap()],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn an_error_names_the_input_and_the_remedy() {
    let output = run(&fixtures(), &["scan", "model", "absent.pkl"]);
    let error = text(&output.stderr);
    assert!(
        error.contains("absent.pkl") && error.contains("give a file"),
        "{error}"
    );
    let output = run(&fixtures(), &["serve", "--database-url", "mysql://x"]);
    let error = text(&output.stderr);
    assert!(
        error.contains("mysql://x") && error.contains("sqlite://FILE"),
        "{error}"
    );
    let output = run(&fixtures(), &["scan", "rag", "x"]);
    let error = text(&output.stderr);
    assert!(
        error.contains("rag") && error.contains("mcp") && error.contains("model"),
        "{error}"
    );
}

#[test]
fn the_doctor_finds_a_healthy_and_an_ill_installation() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["doctor"]);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    for part in [
        "scan root",
        "database",
        "mcp scanner",
        "model scanner",
        "exporter",
    ] {
        assert!(
            printed
                .lines()
                .any(|line| line.starts_with(&format!("ok    {part}: "))),
            "{printed}"
        );
    }

    let url = "sqlite:///nowhere/at/all.db";
    let output = run(
        folder.path(),
        &["doctor", "--scan-root", "absent", "--database-url", url],
    );
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    for part in ["scan root", "database"] {
        assert!(
            printed
                .lines()
                .any(|line| line.starts_with(&format!("FAIL  {part}: "))),
            "{printed}"
        );
    }
}

#[test]
fn the_help_teaches() {
    let help = run(&fixtures(), &["--help"]);
    let printed = text(&help.stdout);
    for word in [
        "serve",
        "scan",
        "doctor",
        "127.0.0.1:8200",
        "curl",
        "RUST_LOG",
        "--scan-root",
        "--grpc-listen",
        "grpcurl",
        "--admin-listen",
        "--log-file",
    ] {
        assert!(printed.contains(word), "no {word} in\n{printed}");
    }
}
