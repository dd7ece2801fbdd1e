//! The platform on a real PostgreSQL.

use std::{process::Command, thread};

use platform_tests::{Platform, Setup, get, post, program, sparse_model};
use serde_json::json;
use server_tests::Postgres;

platform_tests::cases!(Postgres::start());

/// Starts a platform as `setup` says and scans, and fails if a password is in anything that it writes.
fn tells_no_password(setup: &Setup, postgres: &Postgres) {
    let platform = setup
        .clone()
        .option("--grpc-listen")
        .option("127.0.0.1:0")
        .start();
    assert_eq!(platform.scan("mcp", "mcp/good.json").json()["passed"], true);
    let page = platform.get("/metrics").text;
    let log = platform.stop().join("\n");
    assert!(log.contains("postgres://platform@127.0.0.1:"), "{log}");
    for password in postgres.passwords() {
        assert!(!log.contains(password), "{log}");
        assert!(!page.contains(password), "{page}");
    }
}

#[test]
fn a_password_is_told_to_nobody_wherever_it_comes_from() {
    let postgres = Postgres::start();
    tells_no_password(&Setup::default().database(&postgres.url()), &postgres);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, format!("{}\n", postgres.passwords()[0])).unwrap();
    let setup = Setup::default().database(&postgres.url_without_password());
    let setup = setup
        .option("--database-password-file")
        .option(file.to_str().unwrap());
    tells_no_password(&setup, &postgres);
}

#[test]
fn a_wrong_password_is_an_error_that_does_not_tell_it() {
    let postgres = Postgres::start();
    let url = postgres
        .url_without_password()
        .replace("platform@", "platform:wr0ng-one@");
    for command in ["serve", "doctor"] {
        let output = Command::new(program())
            .args([command, "--database-url", &url])
            .output()
            .unwrap();
        assert!(!output.status.success());
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("cannot open the database"), "{said}");
        assert!(said.contains("password authentication failed"), "{said}");
        assert!(!said.contains("wr0ng-one"), "{said}");
    }
}

#[test]
fn a_database_that_goes_and_comes_back_is_seen_and_used_again() {
    let mut postgres = Postgres::start();
    let mut platform = Setup::default().database(&postgres.url()).start();
    let health = |platform: &Platform| platform.get("/api/v1/health").status;
    assert_eq!(health(&platform), 200);
    postgres.stop();
    assert_eq!(health(&platform), 503);
    assert_eq!(platform.scan("mcp", "mcp/good.json").status, 500);
    platform.wait_for_series(&[
        r#"sentrascan_db_query_errors_total{query="ping"} 1"#,
        r#"sentrascan_db_query_errors_total{query="scan_start"} 1"#,
        "sentrascan_active_scans 0",
    ]);
    postgres.start_again();
    let url = format!("{}/api/v1/health", platform.url());
    platform
        .process()
        .wait_for("health", || (get(&url).status == 200).then_some(()));
    assert_eq!(platform.scan("mcp", "mcp/good.json").json()["passed"], true);
}

#[test]
fn without_its_database_the_platform_lives_and_is_not_ready() {
    let mut postgres = Postgres::start();
    let setup = Setup::default()
        .database(&postgres.url())
        .option("--admin-listen")
        .option("127.0.0.1:0");
    let mut platform = setup.start();
    let [live, ready] =
        ["/livez", "/readyz"].map(|probe| format!("{}{probe}", platform.admin_url()));
    assert_eq!((get(&live).status, get(&ready).status), (200, 200));

    postgres.stop();
    let unready = platform.process().wait_for("unreadiness", || {
        let answer = get(&ready);
        (answer.status == 503).then_some(answer.text)
    });
    let of_database = |line: &&str| line.starts_with("[-]database ");
    let database = unready.lines().find(of_database);
    assert!(database.is_some(), "{unready}");
    for other in ["engine_mcp", "engine_pickle", "engine_zip", "shutdown"] {
        assert!(unready.contains(&format!("[+]{other} ok\n")), "{unready}");
    }
    for password in postgres.passwords() {
        assert!(!unready.contains(password), "{unready}");
    }
    // A restart would not bring the database back.
    assert_eq!(get(&live).status, 200);
    platform.wait_for_series(&[
        "health_probe_up{probe=\"ready\"} 0",
        "health_probe_up{probe=\"live\"} 1",
        "health_check_up{check=\"database\",probe=\"ready\"} 0",
    ]);

    postgres.start_again();
    platform
        .process()
        .wait_for("readiness", || (get(&ready).status == 200).then_some(()));
    platform.wait_for_series(&["health_check_up{check=\"database\",probe=\"ready\"} 1"]);
    assert_eq!(get(&live).status, 200);
}

#[test]
fn a_scan_that_ends_while_the_database_is_away_is_recorded_once_it_is_back() {
    let mut postgres = Postgres::start();
    let root = tempfile::tempdir().unwrap();
    sparse_model(&root.path().join("model.pkl"), 2 << 30);
    let setup = Setup::default().database(&postgres.url()).root(root.path());
    let mut platform = setup.start();
    let id = platform.scan_later("models", "model.pkl");
    platform.wait_for_status(&id, "in_progress");
    postgres.stop();
    // It is at its end, and cannot say so.
    let errors = r#"sentrascan_db_query_errors_total{query="baseline_get"}"#;
    let url = format!("{}/metrics", platform.url());
    platform.process().wait_for("end of the scan", || {
        let page = get(&url).text;
        let count = page.lines().find_map(|line| line.strip_prefix(errors));
        count.filter(|count| *count != " 0").map(drop)
    });
    postgres.start_again();
    let scan = platform.wait_for_status(&id, "completed");
    assert_eq!(scan["passed"], true, "{scan}");
    platform.wait_for_series(&[
        r#"sentrascan_scans_total{status="completed",type="model"} 1"#,
        r#"sentrascan_scans_started_total{type="model"} 1"#,
    ]);
}

#[test]
fn a_scan_whose_client_is_told_of_the_lost_database_does_not_stay_in_progress() {
    let mut postgres = Postgres::start();
    let root = tempfile::tempdir().unwrap();
    sparse_model(&root.path().join("model.pkl"), 2 << 30);
    let setup = Setup::default().database(&postgres.url()).root(root.path());
    let mut platform = setup.start();
    let url = format!("{}/api/v1/models/scans", platform.url());
    let client = thread::spawn(move || post(&url, json!({"path": "model.pkl"})));
    let list = format!("{}/api/v1/scans", platform.url());
    let id = platform.process().wait_for("running scan", || {
        Some(get(&list).json()["scans"][0]["id"].as_str()?.to_owned())
    });
    postgres.stop();
    assert_eq!(client.join().unwrap().status, 500);
    postgres.start_again();
    let scan = platform.wait_for_status(&id, "failed");
    assert_eq!(scan["error"]["code"], "internal", "{scan}");
    let failed = r#"sentrascan_scans_total{status="failed",type="model"}"#;
    assert_eq!(platform.series(failed), Some(1.0));
}
