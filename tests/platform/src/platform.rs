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

/// A running scan platform.
pub struct Platform {
    process: Process,
    url: String,
    grpc_url: Option<String>,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Platform {
    /// Builds the platform if needed, starts it on a free port, and waits until it listens. It scans
    /// its own fixtures.
    pub fn start() -> Self {
        Self::with_root(&fixtures())
    }

    /// As [`start`](Self::start), but it scans below `root`.
    pub fn with_root(root: &Path) -> Self {
        Self::serve(root, &[])
    }

    /// As [`with_root`](Self::with_root), and listens for gRPC, too.
    pub fn with_grpc(root: &Path) -> Self {
        Self::serve(root, &["--grpc-listen", "127.0.0.1:0"])
    }

    fn serve(root: &Path, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(program());
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--scan-root"])
            .arg(root)
            .arg("--database-url")
            .arg(format!("sqlite://{}/scans.db", folder.path().display()))
            .args(options)
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
        let listening = process.wait_for("line that tells its address", || {
            lines.lock().unwrap().iter().find_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                line.get("address").is_some().then_some(line)
            })
        });
        let url = |address| Some(format!("http://{}", listening.get(address)?.as_str()?));
        Self {
            process,
            url: url("address").expect("its address is text"),
            grpc_url: url("grpc_address"),
            lines,
            reader: Some(reader),
            _folder: folder,
        }
    }

    /// The process.
    pub const fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// `http://address`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same of its gRPC interface.
    pub fn grpc_url(&self) -> &str {
        self.grpc_url.as_deref().expect("it was started with gRPC")
    }

    /// The most memory that it has held at once, in bytes. Linux only.
    pub fn peak_memory(&mut self) -> u64 {
        let status = format!("/proc/{}/status", self.process.child().id());
        let status = std::fs::read_to_string(status).expect("it runs");
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
        peak.and_then(|kib| kib.trim().parse::<u64>().ok())
            .expect("Linux tells")
            * 1024
    }

    /// Tells the platform to stop.
    pub fn terminate(&mut self) {
        self.process.signal("TERM");
    }

    /// Stops the platform, and gives every line that it wrote to standard output.
    pub fn stop(mut self) -> Vec<String> {
        self.terminate();
        let status = self.process.wait();
        assert!(status.success(), "scan-platform ended with {status}");
        self.reader
            .take()
            .expect("it is there until now")
            .join()
            .expect("the reader ends");
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

/// The platform's own fixtures.
pub fn fixtures() -> PathBuf {
    workspace().join("examples/scan-platform/fixtures")
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Builds the program, which belongs to another package, and gives its path.
pub fn program() -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--package",
            "scan-platform",
            "--message-format",
            "json",
        ])
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
