use std::{
    env,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use serde_json::{Value, json};

use crate::{
    http::{Answer, get, post},
    process::Process,
};

/// How a scan platform is to be started.
#[derive(Clone, Debug)]
pub struct Setup {
    root: PathBuf,
    database: Option<String>,
    options: Vec<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            root: fixtures(),
            database: None,
            options: Vec::new(),
        }
    }
}

impl Setup {
    /// Scans below `root`, instead of the platform's own fixtures.
    #[must_use]
    pub fn root(mut self, root: &Path) -> Self {
        self.root = root.to_owned();
        self
    }

    /// Keeps scans in this database, instead of one that is gone with the platform.
    #[must_use]
    pub fn database(mut self, url: &str) -> Self {
        self.database = Some(url.to_owned());
        self
    }

    /// Adds an option to the command line.
    #[must_use]
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// Is called this among the instances on its database.
    #[must_use]
    pub fn instance(self, name: &str) -> Self {
        self.option("--instance").option(name)
    }

    /// Starts it on a free port, and waits until it listens. Builds it first if need be.
    pub fn start(&self) -> Platform {
        Platform::serve(self)
    }
}

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
    /// One with nothing set up.
    pub fn start() -> Self {
        Setup::default().start()
    }

    fn serve(setup: &Setup) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let own = format!("sqlite://{}/scans.db", folder.path().display());
        let mut command = Command::new(program());
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--scan-root"])
            .arg(&setup.root)
            .args(&setup.options)
            .env("DATABASE_URL", setup.database.as_ref().unwrap_or(&own))
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

    /// Asks for a scan of this path, `kind` being `mcp` or `models`.
    pub fn scan(&self, kind: &str, path: &str) -> Answer {
        let url = format!("{}/api/v1/{kind}/scans", self.url);
        post(&url, json!({ "path": path }))
    }

    /// Asks for such a scan in the background, and gives its id.
    pub fn scan_later(&self, kind: &str, path: &str) -> String {
        let url = format!("{}/api/v1/{kind}/scans", self.url);
        let answer = post(&url, json!({"path": path, "background": true}));
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()["id"].as_str().expect("it is text").to_owned()
    }

    /// What `path` of its interface answers to a `GET`.
    pub fn get(&self, path: &str) -> Answer {
        get(&format!("{}{path}", self.url))
    }

    /// Waits until the scan with this id has this status, and gives it.
    pub fn wait_for_status(&mut self, id: &str, status: &str) -> Value {
        let url = format!("{}/api/v1/scans/{id}", self.url);
        self.process.wait_for(&format!("{status} scan {id}"), || {
            let scan = get(&url).json();
            (scan["status"] == status).then_some(scan)
        })
    }

    /// Waits until `/metrics` shows each of these lines.
    pub fn wait_for_series(&mut self, lines: &[&str]) {
        let url = format!("{}/metrics", self.url);
        for line in lines {
            self.process.wait_for(line, || {
                let page = get(&url).text;
                page.lines().any(|found| found == *line).then_some(())
            });
        }
    }

    /// What `/metrics` has for this series; `None` if there is no such series.
    pub fn series(&self, series: &str) -> Option<f64> {
        let page = self.get("/metrics").text;
        let value = page
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map(|value| value.parse().expect("a value is a number"))
    }

    /// Ends the platform as an accident would, without a word.
    pub fn kill(mut self) {
        self.process.signal("KILL");
        self.process.wait();
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
