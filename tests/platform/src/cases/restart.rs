//! What is left of the scans of a platform that ends.

use std::{fs, io::Write as _, net::TcpStream, path::Path, thread};

use serde_json::json;

use crate::{Platform, Setup, fixtures, slow_model};

/// A client that asked for a scan that takes long, and waits for its answer.
struct Waiting {
    id: String,
    _connection: TcpStream,
}

impl Waiting {
    /// Asks, and waits until the scan of this path runs.
    fn start(platform: &mut Platform, path: &str) -> Self {
        let address = platform.url().strip_prefix("http://").expect("it is HTTP");
        let mut connection = TcpStream::connect(address).expect("it listens");
        let body = json!({ "path": path }).to_string();
        let length = body.len();
        write!(
            connection,
            "POST /api/v1/models/scans HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}",
        )
        .expect("it reads");
        let list = format!("{}/api/v1/scans", platform.url());
        let id = platform.process().wait_for("a running scan", || {
            let list = crate::get(&list).json();
            let scans = list["scans"].as_array().expect("it is a list");
            let scan = scans.iter().find(|scan| scan["path"] == path)?;
            let runs = scan["status"] == "in_progress";
            runs.then(|| scan["id"].as_str().expect("it is text").to_owned())
        });
        Self {
            id,
            _connection: connection,
        }
    }
}

pub fn scans_outlive_the_platform(database: &str) {
    let setup = Setup::default().database(database);
    let platform = setup.start();
    let scan = platform.scan("mcp", "mcp/bad.json").json();
    platform.stop();
    let platform = setup.start();
    let list = platform.get("/api/v1/scans").json();
    assert_eq!(list["scans"], json!([scan]));
}

pub fn a_restart_ends_the_scans_of_its_own_instance_only(database: &str) {
    let root = tempfile::tempdir().expect("a temporary folder");
    for name in ["one.pkl", "two.pkl"] {
        slow_model(&root.path().join(name));
    }
    let setup = Setup::default().database(database).root(root.path());
    let mut first = setup.clone().instance("first").start();
    let abandoned = Waiting::start(&mut first, "one.pkl");
    let mut second = setup.clone().instance("second").start();
    let lives = Waiting::start(&mut second, "two.pkl");
    first.kill();

    let mut first = setup.instance("first").start();
    let scan = first.wait_for_status(&abandoned.id, "failed");
    assert_eq!(scan["error"]["code"], "abandoned", "{scan}");
    let scan = first.get(&format!("/api/v1/scans/{}", lives.id)).json();
    assert_eq!(scan["status"], "in_progress", "{scan}");
}

/// As many scans as run at once.
fn at_once() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Makes of a file that is slow to scan one that is scanned at once.
fn make_quick(path: &Path) {
    fs::remove_file(path).expect("it is there");
    fs::copy(fixtures().join("model/benign-p4.pkl"), path).expect("the fixture is there");
}

/// The lifecycle bug of a queue in memory: a restart lost what waited, and nobody counted what ran.
pub fn what_waits_outlives_a_crash_and_what_ran_is_counted_as_lost(database: &str) {
    let root = tempfile::tempdir().expect("a temporary folder");
    let file = root.path().join("slow.pkl");
    slow_model(&file);
    let setup = Setup::default().database(database).root(root.path());
    let setup = setup.instance("one");
    let mut platform = setup.start();
    let ran: Vec<_> = (0..at_once())
        .map(|_| platform.scan_later("models", "slow.pkl"))
        .collect();
    for id in &ran {
        platform.wait_for_status(id, "in_progress");
    }
    let waits = [(); 2].map(|()| platform.scan_later("models", "slow.pkl"));
    platform.wait_for_series(&[
        &format!("sentrascan_active_scans {}", ran.len()),
        r#"sentrascan_queue_depth{type="model"} 2"#,
    ]);
    platform.kill();

    make_quick(&file);
    let mut platform = setup.start();
    for id in &ran {
        let scan = platform.wait_for_status(id, "failed");
        assert_eq!(scan["error"]["code"], "abandoned", "{scan}");
    }
    for id in &waits {
        platform.wait_for_status(id, "completed");
    }
    let (lost, all) = (ran.len(), ran.len() + waits.len());
    platform.wait_for_series(&[
        &format!(r#"sentrascan_scans_total{{status="failed",type="model"}} {lost}"#),
        &format!(r#"sentrascan_scan_failures_total{{reason="worker_lost",type="model"}} {lost}"#),
        r#"sentrascan_scans_total{status="completed",type="model"} 2"#,
        &format!(r#"sentrascan_scans_started_total{{type="model"}} {all}"#),
        // Of those that are lost nobody knows when they ended.
        r#"sentrascan_scan_duration_seconds_count{type="model"} 2"#,
        r#"sentrascan_scan_queue_duration_seconds_count{type="model"} 2"#,
        r#"sentrascan_queue_depth{type="model"} 0"#,
        "sentrascan_active_scans 0",
    ]);
}

pub fn a_shutdown_lets_scans_finish_and_those_that_do_not_wait_again(database: &str) {
    let root = tempfile::tempdir().expect("a temporary folder");
    let file = root.path().join("slow.pkl");
    slow_model(&file);
    let setup = Setup::default().database(database).root(root.path());
    let mut platform = setup.clone().option("--drain").option("1s").start();
    let id = platform.scan_later("models", "slow.pkl");
    platform.wait_for_status(&id, "in_progress");
    let log = platform.stop().join("\n");
    assert!(log.contains("the scan waits for the next start"), "{log}");

    make_quick(&file);
    let mut platform = setup.start();
    let scan = platform.wait_for_status(&id, "completed");
    assert_eq!(scan["passed"], true, "{scan}");
    platform.wait_for_series(&[
        r#"sentrascan_scans_total{status="completed",type="model"} 1"#,
        r#"sentrascan_scans_total{status="failed",type="model"} 0"#,
    ]);
    let log = platform.stop().join("\n");
    assert!(log.contains(r#""scan_attempt":2"#), "{log}");
}

pub fn a_survivor_ends_the_scans_of_a_dead_instance_once(database: &str) {
    let root = tempfile::tempdir().expect("a temporary folder");
    slow_model(&root.path().join("slow.pkl"));
    let setup = Setup::default().database(database).root(root.path());
    let setup = setup.option("--instance-timeout").option("2s");
    let mut first = setup.clone().instance("first").start();
    let lost = Waiting::start(&mut first, "slow.pkl");
    let mut second = setup.clone().instance("second").start();
    let mut third = setup.clone().instance("third").start();
    first.kill();
    let scan = second.wait_for_status(&lost.id, "failed");
    assert_eq!(scan["error"]["code"], "abandoned", "{scan}");
    let mut first = setup.instance("first").start();
    let series = r#"sentrascan_scan_failures_total{reason="worker_lost",type="model"}"#;
    let all = [&mut first, &mut second, &mut third];
    let counts = all.map(|platform| platform.series(series).expect("it is there"));
    assert_eq!(counts.iter().sum::<f64>(), 1.0, "{counts:?}");
    assert_eq!(counts[0], 0.0, "{counts:?}");
}
