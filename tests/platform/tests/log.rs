//! The log when who reads it goes away, and when the platform ends.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
};

use platform_tests::{Platform, Process, fixtures, get, program};
use serde_json::Value;

#[test]
fn the_last_line_says_that_it_stopped() {
    let lines = Platform::start().stop();
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!(last["message"], "stopped");
}

#[test]
fn a_platform_whose_log_nobody_reads_serves_and_tells_what_was_lost() {
    let mut command = Command::new(program());
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--scan-root"])
        .arg(fixtures())
        .env("DATABASE_URL", "sqlite::memory:")
        .env("RUST_LOG", "info")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = Process::start("scan-platform", &mut command);
    let stdout = process.child().stdout.take().unwrap();
    let mut stderr = process.child().stderr.take().unwrap();
    let mut log = BufReader::new(stdout).lines();
    let address = log.find_map(|line| {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        Some(line.get("address")?.as_str()?.to_owned())
    });
    let url = format!("http://{}", address.unwrap());
    drop(log);

    // Lines that cannot be written wait; the requests that they tell of do not.
    for _ in 0..20 {
        assert_eq!(get(&format!("{url}/api/v1/scans/absent")).status, 404);
    }
    let failed = "log_write_errors_total";
    process.wait_for("failed write", || {
        let page = get(&format!("{url}/metrics")).text;
        let line = page.lines().find_map(|line| line.strip_prefix(failed));
        (line?.trim().parse::<f64>().unwrap() > 0.0).then_some(())
    });

    process.signal("TERM");
    assert!(process.wait().success());
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert!(
        said.contains("lost (io_error") && said.contains("Broken pipe"),
        "{said}"
    );
}
