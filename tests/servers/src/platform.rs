use std::{
    env,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use serde_json::Value;

use crate::process::Process;

/// A running scan platform, whose scan root are its own fixtures.
pub struct Platform {
    process: Process,
    url: String,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Platform {
    /// Builds the platform if needed, starts it on a free port, and waits until it listens.
    pub fn start() -> Self {
        let fixtures = workspace().join("examples/scan-platform/fixtures");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(build());
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--scan-root"])
            .arg(fixtures)
            .arg("--database-url")
            .arg(format!("sqlite://{}/scans.db", folder.path().display()))
            .env("RUST_LOG", "info")
            .stdout(Stdio::piped());
        let mut process = Process::start("scan-platform", &mut command);
        let stdout = process.child().stdout.take().expect("it is piped");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                seen.lock().unwrap().push(line.expect("the log is UTF-8"));
            }
        });
        let address = process.wait_for("line that tells its address", || {
            lines.lock().unwrap().iter().find_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                Some(line.get("address")?.as_str()?.to_owned())
            })
        });
        let url = format!("http://{address}");
        Self { process, url, lines, reader: Some(reader), _folder: folder }
    }

    /// `http://address`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops the platform, and gives every line that it wrote to standard output.
    pub fn stop(mut self) -> Vec<String> {
        let id = self.process.child().id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        assert!(told.success());
        let status = self.process.child().wait().expect("it ends");
        assert!(status.success(), "scan-platform ended with {status}");
        self.reader.take().expect("it is there until now").join().expect("the reader ends");
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

/// The body of a `GET`.
pub fn get(url: &str) -> String {
    let mut response = ureq::get(url).call().unwrap_or_else(|error| panic!("GET {url}: {error}"));
    response.body_mut().read_to_string().expect("the body is UTF-8")
}

/// The body of a `POST` with a JSON body, also JSON.
pub fn post_json(url: &str, body: &Value) -> Value {
    let request = ureq::post(url).header("content-type", "application/json");
    let mut response =
        request.send(body.to_string()).unwrap_or_else(|error| panic!("POST {url}: {error}"));
    let text = response.body_mut().read_to_string().expect("the body is UTF-8");
    serde_json::from_str(&text).expect("the body is JSON")
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Builds the program, which belongs to another package, and gives its path.
fn build() -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--package", "scan-platform", "--message-format", "json"])
        .current_dir(workspace())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "cargo cannot build scan-platform");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .expect("cargo tells where the program is")
}
