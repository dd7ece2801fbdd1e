//! API keys.

use std::process::{Command, Output};

use serde_json::json;

use crate::{Answer, Setup, get, get_with, post_with, program};

fn keys(database: &str, args: &[&str]) -> Output {
    let mut command = Command::new(program());
    let command = command.arg("keys").args(args).env("DATABASE_URL", database);
    let output = command.output().expect("the program runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Makes a key, and gives it.
fn make(database: &str, args: &[&str]) -> String {
    let output = keys(database, &[&["add", "tests"], args].concat());
    let key = String::from_utf8(output.stdout).expect("it is text");
    key.trim_end().to_owned()
}

/// The id of the only key with this state in the list.
fn id_of(database: &str, role: &str) -> String {
    let output = keys(database, &["list"]);
    let list = String::from_utf8(output.stdout).expect("it is text");
    let line = list.lines().find(|line| line.contains(role));
    let line = line.unwrap_or_else(|| panic!("no {role} in\n{list}"));
    line.split_whitespace().next().expect("an id").to_owned()
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.json()["error"]["code"], code, "{answer:?}");
    assert_eq!(answer.www_authenticate.is_empty(), status != 401);
}

pub fn without_being_told_to_nobody_asks_for_keys(database: &str) {
    let platform = Setup::default().database(database).start();
    let list = format!("{}/api/v1/scans", platform.url());
    assert_eq!(get(&list).status, 200);
    assert_eq!(get_with(&list, ("X-API-Key", "nonsense")).status, 200);
    let page = platform.get("/metrics").text;
    let uses = |line: &&str| line.starts_with("sentrascan_api_key_uses_total{");
    let used = page
        .lines()
        .filter(uses)
        .filter(|line| !line.ends_with(" 0"));
    assert_eq!(used.count(), 0, "{page}");
}

pub fn a_key_lets_pass_what_its_role_may_and_every_use_is_counted(database: &str) {
    let platform = Setup::default()
        .database(database)
        .option("--require-api-key");
    let platform = platform.start();
    let viewer = make(database, &["--role", "viewer"]);
    let scanner = make(database, &["--role", "scanner"]);
    let expired = make(database, &["--expires", "1ms"]);
    let list = format!("{}/api/v1/scans", platform.url());
    let scans = format!("{}/api/v1/mcp/scans", platform.url());
    let look = |key: &str| get_with(&list, ("X-API-Key", key));
    let ask = |key: &str| post_with(&scans, ("x-api-key", key), json!({"path": "mcp/good.json"}));

    refused(&get(&list), 401, "missing_api_key");
    refused(&look("nonsense"), 403, "invalid_api_key");
    refused(
        &look(&scanner.replace(['0', '1'], "2")),
        403,
        "invalid_api_key",
    );
    refused(&look(&expired), 401, "expired_api_key");
    assert_eq!(look(&viewer).status, 200);
    refused(&ask(&viewer), 403, "forbidden");
    assert_eq!(ask(&scanner).json()["passed"], true);
    assert_eq!(look(&scanner).status, 200);
    keys(database, &["revoke", &id_of(database, "viewer")]);
    refused(&look(&viewer), 403, "invalid_api_key");

    let used = |outcome: &str, role: &str| {
        let series =
            format!("sentrascan_api_key_uses_total{{outcome=\"{outcome}\",role=\"{role}\"}}");
        platform.series(&series)
    };
    assert_eq!(used("missing", "none"), Some(1.0));
    assert_eq!(used("invalid", "none"), Some(2.0));
    assert_eq!(used("expired", "scanner"), Some(1.0));
    assert_eq!(used("accepted", "viewer"), Some(1.0));
    assert_eq!(used("forbidden", "viewer"), Some(1.0));
    assert_eq!(used("accepted", "scanner"), Some(2.0));
    assert_eq!(used("revoked", "viewer"), Some(1.0));
    // What watches the platform needs no key, and what is not there is not told apart by one.
    assert_eq!(platform.get("/api/v1/health").status, 200);
    assert_eq!(platform.get("/nowhere").status, 404);
    assert_eq!(
        platform.series("sentrascan_scans_started_total{type=\"mcp\"}"),
        Some(1.0)
    );
}

pub fn a_key_is_nowhere_to_be_read(database: &str) {
    let key = make(database, &[]);
    let again = make(database, &[]);
    assert_ne!(key, again);
    let listed = keys(database, &["list"]);
    let listed = String::from_utf8(listed.stdout).expect("it is text");
    let setup = Setup::default()
        .database(database)
        .option("--require-api-key");
    let platform = setup.start();
    let list = format!("{}/api/v1/scans", platform.url());
    assert_eq!(get_with(&list, ("X-API-Key", &key)).status, 200);
    let wrong = key.replace(['0', '1'], "2");
    assert_eq!(get_with(&list, ("X-API-Key", &wrong)).status, 403);
    let page = platform.get("/metrics").text;
    let log = platform.stop().join("\n");
    assert!(log.contains("API key refused"), "{log}");
    let secret = key.strip_prefix("ssk_").expect("it says what it is");
    for (what, text) in [("list", &listed), ("metrics", &page), ("log", &log)] {
        assert!(!text.contains(secret), "{what}: {text}");
        assert!(!text.contains(&wrong), "{what}: {text}");
    }
    if let Some(file) = database.strip_prefix("sqlite://") {
        let kept = std::fs::read(file).expect("it is a file");
        let kept = String::from_utf8_lossy(&kept);
        assert!(kept.contains("scanner") && !kept.contains(secret));
    }
}
