//! What is left of the scans of a platform that ends.

use std::{io::Write as _, net::TcpStream};

use serde_json::json;

use crate::{Platform, Setup, slow_model};

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
