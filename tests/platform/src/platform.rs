use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    http::{Answer, get, post},
    logged::Logged,
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
    process: Logged,
    url: String,
    grpc_url: Option<String>,
    admin_url: Option<String>,
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
            .env("RUST_LOG", "info");
        let mut process = Logged::start("scan-platform", &mut command);
        let listening = process.wait_for_line("address");
        let url = |address| Some(format!("http://{}", listening.get(address)?.as_str()?));
        Self {
            process,
            url: url("address").expect("its address is text"),
            grpc_url: url("grpc_address"),
            admin_url: url("admin_address"),
            _folder: folder,
        }
    }

    /// The process.
    pub const fn process(&mut self) -> &mut Process {
        self.process.process()
    }

    /// `http://address`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same of its gRPC interface.
    pub fn grpc_url(&self) -> &str {
        self.grpc_url.as_deref().expect("it was started with gRPC")
    }

    /// The same of its admin listener.
    pub fn admin_url(&self) -> &str {
        self.admin_url.as_deref().expect("it was started with one")
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
        self.process().wait_for(&format!("{status} scan {id}"), || {
            let scan = get(&url).json();
            (scan["status"] == status).then_some(scan)
        })
    }

    /// Waits until `/metrics` shows each of these lines.
    pub fn wait_for_series(&mut self, lines: &[&str]) {
        wait_for_series(self.process.process(), &self.url, lines);
    }

    /// What `/metrics` has for this series; `None` if there is no such series.
    pub fn series(&self, name: &str) -> Option<f64> {
        series(&self.get("/metrics").text, name)
    }

    /// Ends the platform as an accident would, without a word.
    pub fn kill(self) {
        self.process.kill();
    }

    /// The most memory that it has held at once, in bytes. Linux only.
    pub fn peak_memory(&mut self) -> u64 {
        let status = format!("/proc/{}/status", self.process().child().id());
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
        self.process().signal("TERM");
    }

    /// Stops the platform, and gives every line that it wrote to standard output.
    pub fn stop(self) -> Vec<String> {
        self.process.stop()
    }
}

pub(crate) fn wait_for_series(process: &mut Process, url: &str, lines: &[&str]) {
    let url = format!("{url}/metrics");
    for line in lines {
        process.wait_for(line, || {
            let page = get(&url).text;
            page.lines().any(|found| found == *line).then_some(())
        });
    }
}

pub(crate) fn series(page: &str, series: &str) -> Option<f64> {
    let value = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map(|value| value.parse().expect("a value is a number"))
}

/// The platform's own fixtures.
pub fn fixtures() -> PathBuf {
    workspace().join("examples/scan-platform/fixtures")
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Builds the scan platform if need be, and gives the program's path.
pub fn program() -> PathBuf {
    built("scan-platform")
}

/// Builds the programs, which belong to other packages, and gives the path of one. All at once: apart,
/// each would have its dependencies compiled with features of its own.
pub(crate) fn built(program: &str) -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--message-format", "json"])
        .args(["--package", "scan-platform", "--package", "scan-worker"])
        .current_dir(workspace())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "cargo cannot build {program}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == program)
        .find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .expect("cargo tells where the program is")
}
