use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use platform_tests::{Process, get};
use serde_json::Value;

use crate::Suite;

/// A running etcd: a gRPC server in Go, measured by go-grpc-prometheus, histograms included.
pub struct Etcd {
    process: Process,
    address: String,
    _folder: tempfile::TempDir,
}

impl Etcd {
    /// Starts one on ports of its own, and waits until it serves.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(Suite::Trixie.program("etcd"));
        command
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .args(["--listen-client-urls", "http://127.0.0.1:0"])
            .args(["--advertise-client-urls", "http://127.0.0.1:0"])
            .args(["--listen-peer-urls", "http://127.0.0.1:0"])
            .args(["--metrics", "extensive", "--unsafe-no-fsync"])
            // It would call the advertised address.
            .arg("--enable-grpc-gateway=false")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = Process::start("etcd", &mut command);
        let log = process.child().stderr.take().expect("it is piped");
        let (tell, told) = mpsc::channel();
        // Reads on to the end, for else etcd would wait.
        thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                if let Some(address) = serving(&line) {
                    drop(tell.send(address));
                }
            }
        });
        let address = process.wait_for("line that tells its address", || told.try_recv().ok());
        Self {
            process,
            address,
            _folder: folder,
        }
    }

    /// Where it takes calls.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Asks for its page of metrics until there is an answer.
    pub fn wait_for<T>(&mut self, what: &str, mut ask: impl FnMut(&str) -> Option<T>) -> T {
        let url = format!("http://{}/metrics", self.address);
        self.process.wait_for(what, || ask(&get(&url).text))
    }
}

/// The address in a line such as `{"msg":"serving client traffic insecurely; …","address":"127.0.0.1:46449"}`.
fn serving(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    line["msg"]
        .as_str()?
        .starts_with("serving client traffic")
        .then(|| line["address"].as_str().map(str::to_owned))?
}
