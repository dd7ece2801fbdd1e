use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    fixtures, get,
    logged::Logged,
    platform::{built, wait_for_series},
};

/// A queue that workers share.
#[derive(Clone, Debug)]
pub struct Queue {
    url: String,
    root: PathBuf,
}

impl Queue {
    /// The queue at this address, whose workers scan the platform's fixtures.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            root: fixtures(),
        }
    }

    /// Its workers scan below `root`.
    #[must_use]
    pub fn root(mut self, root: &Path) -> Self {
        self.root = root.to_owned();
        self
    }

    /// Asks for a scan, and gives its id.
    pub fn ask(&self, scan_type: &str, path: &str) -> String {
        let mut command = Command::new(worker_program());
        let command = command.args(["ask", scan_type, path]);
        let output = command
            .env("QUEUE_URL", &self.url)
            .output()
            .expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        let id = String::from_utf8(output.stdout).expect("it is text");
        id.trim_end().to_owned()
    }

    /// Starts a worker, and waits until it works. It is missed after two seconds.
    pub fn work(&self, options: &[&str]) -> Worker {
        let mut command = Command::new(worker_program());
        command
            .args([
                "work",
                "--metrics-listen",
                "127.0.0.1:0",
                "--heartbeat",
                "1s",
            ])
            .arg("--scan-root")
            .arg(&self.root)
            .args(options)
            .env("QUEUE_URL", &self.url)
            .env("RUST_LOG", "info");
        let mut process = Logged::start("scan-worker", &mut command);
        let working = process.wait_for_line("address");
        let address = working["address"].as_str().expect("its address is text");
        Worker {
            url: format!("http://{address}"),
            process,
        }
    }
}

/// A running worker.
pub struct Worker {
    process: Logged,
    url: String,
}

impl Worker {
    /// Waits until `ask` finds in `/metrics` what it looks for.
    pub fn wait_for<T>(&mut self, what: &str, mut ask: impl FnMut(&str) -> Option<T>) -> T {
        let url = format!("{}/metrics", self.url);
        let process = self.process.process();
        process.wait_for(what, || ask(&get(&url).text))
    }

    /// Waits until `/metrics` shows each of these lines.
    pub fn wait_for_series(&mut self, lines: &[&str]) {
        wait_for_series(self.process.process(), &self.url, lines);
    }

    /// What `/metrics` has for this series; `None` if there is no such series.
    pub fn series(&self, series: &str) -> Option<f64> {
        crate::platform::series(&self.metrics(), series)
    }

    /// The whole page.
    pub fn metrics(&self) -> String {
        get(&format!("{}/metrics", self.url)).text
    }

    /// Stops it, and gives every line that it wrote to standard output.
    pub fn stop(self) -> Vec<String> {
        self.process.stop()
    }

    /// Ends it as an accident would, without a word.
    pub fn kill(self) {
        self.process.kill();
    }
}

/// Builds the worker if need be, and gives the program's path.
pub fn worker_program() -> PathBuf {
    built("scan-worker")
}
