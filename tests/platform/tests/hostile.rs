//! Input that means harm: each gets a clear answer, memory stays bounded, and the platform goes on.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::symlink,
    path::Path,
    time::Duration,
};

use platform_tests::{Answer, Platform, Setup, fixtures, get, post, slow_model};
use serde_json::json;

/// What a fresh platform may hold at most while it is attacked; idle it holds about a tenth.
const MEMORY: u64 = 150 << 20;

struct Attacked {
    platform: Platform,
    root: tempfile::TempDir,
}

impl Attacked {
    fn start() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        Self {
            platform: Setup::default().root(root.path()).start(),
            root,
        }
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    fn scan(&self, kind: &str, path: &str) -> Answer {
        post(
            &format!("{}/api/v1/{kind}/scans", self.platform.url()),
            json!({ "path": path }),
        )
    }

    #[track_caller]
    fn fails(&self, kind: &str, path: &str, code: &str) {
        let answer = self.scan(kind, path);
        assert_eq!(answer.status, 200, "{answer:?}");
        let scan = answer.json();
        assert_eq!(scan["status"], "failed", "{scan}");
        assert_eq!(scan["error"]["code"], code, "{scan}");
        assert!(
            scan["error"]["message"]
                .as_str()
                .is_some_and(|text| text.contains(path)),
            "{scan}"
        );
    }

    #[track_caller]
    fn refused(&self, path: &str, status: u16, code: &str) {
        for kind in ["mcp", "models"] {
            let answer = self.scan(kind, path);
            assert_eq!(
                (answer.status, &answer.json()["error"]["code"]),
                (status, &json!(code))
            );
        }
    }

    #[track_caller]
    fn lives(mut self) {
        let health = get(&format!("{}/api/v1/health", self.platform.url()));
        assert_eq!(health.status, 200);
        let peak = self.platform.peak_memory();
        assert!(peak < MEMORY, "it has held {} MiB", peak >> 20);
    }
}

#[test]
fn paths_outside_of_the_scan_root_are_refused() {
    let attacked = Attacked::start();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.json"), "{}").unwrap();
    symlink(
        outside.path().join("secret.json"),
        attacked.path().join("file-link.json"),
    )
    .unwrap();
    symlink(outside.path(), attacked.path().join("folder-link")).unwrap();
    symlink("..", attacked.path().join("up")).unwrap();
    symlink("loop", attacked.path().join("loop")).unwrap();
    let absolute = outside.path().join("secret.json");
    for path in [
        "..",
        "../secret.json",
        "a/../../secret.json",
        absolute.to_str().unwrap(),
        "/etc/passwd",
        "file-link.json",
        "folder-link/secret.json",
        "up/etc/passwd",
    ] {
        attacked.refused(path, 403, "outside_root");
    }
    let looped = attacked.scan("mcp", "loop");
    assert!(looped.status >= 400, "{looped:?}");
    attacked.lives();
}

#[test]
fn a_sparse_gigabyte_of_zeros_is_no_model_and_no_configuration() {
    let attacked = Attacked::start();
    let file = File::create(attacked.path().join("zeros.bin")).unwrap();
    file.set_len(1 << 30).unwrap();
    attacked.fails("models", "zeros.bin", "unparseable");
    attacked.fails("mcp", "zeros.bin", "too_large");
    attacked.lives();
}

#[test]
fn a_truncated_pickle_is_a_failed_scan() {
    let attacked = Attacked::start();
    let pickle = fs::read(fixtures().join("model/benign-p4.pkl")).unwrap();
    fs::write(attacked.path().join("cut.pkl"), &pickle[..pickle.len() - 1]).unwrap();
    attacked.fails("models", "cut.pkl", "unparseable");
    attacked.lives();
}

#[test]
fn a_zip_bomb_is_not_unpacked() {
    let attacked = Attacked::start();
    let file = File::create(attacked.path().join("bomb.pt")).unwrap();
    let mut bomb = zip::ZipWriter::new(file);
    let options = zip::write::SimpleFileOptions::default().large_file(true);
    bomb.start_file("archive/data.pkl", options).unwrap();
    // A pickle that is one string of 5 GiB, in 5 MiB of deflated zeros.
    let length: u64 = 5 << 30;
    bomb.write_all(b"\x80\x04\x8d").unwrap();
    bomb.write_all(&length.to_le_bytes()).unwrap();
    io::copy(&mut io::Read::take(io::repeat(0), length), &mut bomb).unwrap();
    bomb.write_all(b".").unwrap();
    bomb.finish().unwrap();

    let scan = attacked.scan("models", "bomb.pt").json();
    assert_ne!(scan["passed"], json!(true), "{scan}");
    let text = scan.to_string();
    assert!(
        text.contains("too_large") || text.contains("zip-bomb"),
        "{scan}"
    );
    attacked.lives();
}

#[test]
fn json_nested_a_hundred_thousand_deep_is_a_failed_scan() {
    let attacked = Attacked::start();
    let nested = "[".repeat(100_000) + &"]".repeat(100_000);
    fs::write(attacked.path().join("arrays.json"), &nested).unwrap();
    let nested = r#"{"mcpServers":"#.repeat(100_000) + &"}".repeat(100_000);
    fs::write(attacked.path().join("objects.json"), &nested).unwrap();
    attacked.fails("mcp", "arrays.json", "unparseable");
    attacked.fails("mcp", "objects.json", "unparseable");
    // And in the request itself.
    let url = format!("{}/api/v1/mcp/scans", attacked.platform.url());
    let answer = post(&url, "[".repeat(30_000));
    assert!((400..500).contains(&answer.status), "{answer:?}");
    attacked.lives();
}

#[test]
fn a_fifo_does_not_block_the_platform() {
    let attacked = Attacked::start();
    let made = std::process::Command::new("mkfifo")
        .arg(attacked.path().join("fifo"))
        .status();
    assert!(made.unwrap().success());
    attacked.refused("fifo", 422, "not_scannable");
    attacked.lives();
}

#[test]
fn a_client_that_goes_away_cancels_its_scan() {
    let mut attacked = Attacked::start();
    slow_model(&attacked.path().join("slow.pkl"));
    let url = attacked.platform.url().to_owned();
    let mut client = std::net::TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    let body = r#"{"path": "slow.pkl"}"#;
    write!(
        client,
        "POST /api/v1/models/scans HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let list = format!("{url}/api/v1/scans");
    let mut status_is = |wanted: &str| {
        attacked.platform.process().wait_for(wanted, || {
            (get(&list).json()["scans"][0]["status"] == wanted).then_some(())
        });
    };
    status_is("in_progress");
    let id = get(&list).json()["scans"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (told, events) = std::sync::mpsc::channel();
    let stream = format!("{url}/api/v1/scans/{id}/status/stream");
    let listener = std::thread::spawn(move || {
        platform_tests::events(&stream, |status| told.send(status).unwrap());
    });
    let next = || {
        events
            .recv_timeout(Duration::from_secs(20))
            .expect("an event comes")
    };
    assert_eq!(next()["status"], "in_progress");
    drop(client);
    status_is("cancelled");
    assert_eq!(
        next(),
        json!({"id": id, "status": "cancelled", "passed": null})
    );
    // The stream ends with the scan.
    listener.join().unwrap();

    let page = get(&format!("{url}/metrics")).text;
    for line in [
        r#"sentrascan_scans_total{status="cancelled",type="model"} 1"#,
        "sentrascan_active_scans 0",
        r#"api_requests_total{endpoint="/api/v1/models/scans",method="POST",status="499"} 1"#,
        r#"api_stream_duration_seconds_count{endpoint="/api/v1/scans/{id}/status/stream"} 1"#,
        r#"api_active_streams{endpoint="/api/v1/scans/{id}/status/stream"} 0"#,
    ] {
        assert!(
            page.lines().any(|found| found == line),
            "no {line} in\n{page}"
        );
    }
    attacked.lives();
}
