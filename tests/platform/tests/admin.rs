//! The admin listener, and what those who run the platform do with it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};

use platform_tests::{
    Platform, Process, Setup, fixtures, get, get_with, program, put_with, slow_model,
};
use serde_json::Value;

const TOKEN: (&str, &str) = ("authorization", "Bearer 4hF8sYc0");

fn setup() -> Setup {
    Setup::default()
        .option("--admin-listen")
        .option("127.0.0.1:0")
}

fn with_token(folder: &Path) -> Setup {
    let file = folder.join("token");
    fs::write(&file, "4hF8sYc0\n").unwrap();
    setup()
        .option("--admin-token-file")
        .option(file.to_str().unwrap())
}

fn admin(platform: &Platform, path: &str) -> String {
    format!("{}{path}", platform.admin_url())
}

#[test]
fn probes_tell_of_the_database_and_the_engines() {
    let platform = setup().start();
    for path in ["/livez", "/readyz", "/startupz", "/healthz"] {
        let answer = get(&admin(&platform, path));
        assert_eq!((answer.status, &*answer.text), (200, "ok\n"), "{path}");
    }
    let page = get(&admin(&platform, "/readyz?verbose")).text;
    let expected = "[+]database ok\n[+]engine_mcp ok\n[+]engine_npy ok\n[+]engine_pickle ok\n\
        [+]engine_safetensors ok\n[+]engine_zip ok\n[+]shutdown ok\nreadyz check passed\n";
    assert_eq!(page, expected);
    // The same in the series, on both ports.
    for url in [platform.url(), platform.admin_url()] {
        let page = get(&format!("{url}/metrics")).text;
        for line in [
            "health_probe_up{probe=\"ready\"} 1",
            "health_check_up{check=\"engine_zip\",probe=\"ready\"} 1",
            "sentrascan_engine_up{engine=\"zip\"} 1",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}");
        }
    }
    // Neither is there for who has no token, as nobody has one.
    assert_eq!(get(&admin(&platform, "/loglevel")).status, 404);
    assert_eq!(get(&admin(&platform, "/api/v1/health")).status, 404);
}

#[test]
fn with_tokens_metrics_are_for_who_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let platform = with_token(folder.path())
        .option("--no-public-metrics")
        .option("--admin-host")
        .option("platform")
        .start();
    let metrics = admin(&platform, "/metrics");
    assert_eq!(get(&metrics).status, 401);
    assert_eq!(
        get_with(&metrics, ("authorization", "Bearer guess")).status,
        401
    );
    let page = get_with(&metrics, TOKEN);
    assert_eq!(page.status, 200);
    assert!(
        page.text
            .contains("\nexporter_admin_refused_total{reason=\"wrong_credentials\"} 1\n")
    );
    // Probes are not, and the platform's own port has no metrics any more.
    assert_eq!(get(&admin(&platform, "/readyz")).status, 200);
    assert_eq!(platform.get("/metrics").status, 404);
    assert_eq!(
        get_with(&admin(&platform, "/livez"), ("host", "platform:8202")).status,
        200
    );
    assert_eq!(
        get_with(&admin(&platform, "/livez"), ("host", "evil.example")).status,
        421
    );
    // A new token holds as soon as it is there.
    fs::write(folder.path().join("token"), "another\n").unwrap();
    let mut platform = platform;
    let another = ("authorization", "Bearer another");
    platform.process().wait_for("new token", || {
        (get_with(&metrics, another).status == 200).then_some(())
    });
    assert_eq!(get_with(&metrics, TOKEN).status, 401);
}

#[test]
fn what_the_log_says_is_changed_by_who_has_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let platform = with_token(folder.path()).start();
    let levels = admin(&platform, "/loglevel");
    assert_eq!(put_with(&levels, ("x", "y"), "trace").status, 401);
    assert_eq!(get_with(&levels, TOKEN).text, "info\n");
    platform.get("/api/v1/scans/before");
    let wrong = put_with(&levels, TOKEN, "inof");
    assert_eq!(wrong.status, 400);
    assert!(wrong.text.contains("`inof` is no level"), "{wrong:?}");
    let answer = put_with(&levels, TOKEN, "warn,http=off\n");
    assert_eq!((answer.status, &*answer.text), (200, "warn,http=off\n"));
    platform.get("/api/v1/scans/meanwhile");
    assert_eq!(put_with(&levels, TOKEN, &"a".repeat(2_000)).status, 413);
    assert_eq!(put_with(&levels, TOKEN, "info").status, 200);
    platform.get("/api/v1/scans/after");
    let log = platform.stop().join("\n");
    assert!(
        log.contains("/scans/before") && log.contains("/scans/after"),
        "{log}"
    );
    assert!(!log.contains("/scans/meanwhile"), "{log}");
    assert!(log.contains("the levels of the log were changed"), "{log}");
}

#[test]
fn told_to_stop_it_is_unready_while_it_drains_and_reports_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    slow_model(&folder.path().join("slow.pkl"));
    let mut platform = setup()
        .root(folder.path())
        .option("--drain")
        .option("2s")
        .start();
    let id = platform.scan_later("models", "slow.pkl");
    platform.wait_for_status(&id, "in_progress");
    let readyz = admin(&platform, "/readyz");
    let metrics = admin(&platform, "/metrics");
    let livez = admin(&platform, "/livez");
    platform.terminate();
    let page = platform.process().wait_for("end of readiness", || {
        let answer = get(&readyz);
        (answer.status == 503).then_some(answer.text)
    });
    assert!(
        page.contains("[-]shutdown failed: the process is shutting down\n"),
        "{page}"
    );
    // It drains, and can be looked at.
    assert_eq!(get(&livez).status, 200);
    let page = get(&metrics).text;
    assert!(page.contains("\nsentrascan_active_scans 1\n"), "{page}");
    let address = platform
        .admin_url()
        .trim_start_matches("http://")
        .to_owned();
    let log = platform.stop();
    assert!(TcpStream::connect(address).is_err());
    let message = |line: &String| -> String {
        let line: Value = serde_json::from_str(line).unwrap();
        line["message"].as_str().unwrap_or_default().to_owned()
    };
    let messages: Vec<_> = log.iter().map(message).collect();
    assert_eq!(
        messages[messages.len() - 2..],
        ["operations ended", "stopped"],
        "{log:?}"
    );
    let report: Value = serde_json::from_str(&log[log.len() - 2]).unwrap();
    let report = report["report"].as_str().unwrap();
    assert!(
        report.ends_with(", and nothing was left behind"),
        "{report}"
    );
}

#[cfg(unix)]
#[test]
fn the_log_goes_to_a_file_that_is_opened_again_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let (file, old) = (folder.path().join("log"), folder.path().join("log.1"));
    let mut command = Command::new(program());
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--scan-root"])
        .arg(fixtures())
        .arg("--log-file")
        .arg(&file)
        .env("DATABASE_URL", "sqlite::memory:")
        .env("RUST_LOG", "info")
        .stdout(Stdio::piped());
    let mut process = Process::start("scan-platform", &mut command);
    let mut stdout = process.child().stdout.take().unwrap();
    let said = |file: &Path, what: &str| {
        let lines = BufReader::new(fs::File::open(file).ok()?).lines();
        lines.map_while(Result::ok).find(|line| line.contains(what))
    };
    let listening = process.wait_for("listening", || said(&file, "\"listening\""));
    let listening: Value = serde_json::from_str(&listening).unwrap();
    let url = format!(
        "http://{}/api/v1/scans",
        listening["address"].as_str().unwrap()
    );
    let ask = |path: &str| assert_eq!(get(&format!("{url}/{path}")).status, 404);
    ask("before");
    process.wait_for("line", || said(&file, "/before"));
    fs::rename(&file, &old).unwrap();
    process.signal("HUP");
    process.wait_for("new file", || said(&file, "told to open the log again"));
    ask("after");
    process.wait_for("line", || said(&file, "/after"));
    assert!(said(&old, "/after").is_none() && said(&old, "/before").is_some());
    process.signal("TERM");
    assert!(process.wait().success());
    assert!(said(&file, "\"stopped\"").is_some());
    let mut printed = String::new();
    stdout.read_to_string(&mut printed).unwrap();
    assert_eq!(printed, "");
}
