use std::process::{Command, Stdio};

use platform_tests::{Process, get};
use serde_json::Value;

use crate::{
    Suite,
    port::free_port,
    prometheus::{encode, sample},
    pushgateway::answers,
};

/// A running `VictoriaMetrics`.
pub struct VictoriaMetrics {
    process: Process,
    url: String,
    _folder: tempfile::TempDir,
}

impl VictoriaMetrics {
    /// Starts one on a free port, and waits until it answers.
    pub fn start() -> Self {
        let port = free_port();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(Suite::Trixie.program("victoria-metrics"));
        command
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .arg(format!("-storageDataPath={}", folder.path().display()))
            // What is written can be asked for at once.
            .args(["-search.latencyOffset=0s", "-loggerLevel=ERROR"])
            .stdout(Stdio::null());
        let mut process = Process::start("victoria-metrics", &mut command);
        let url = format!("http://127.0.0.1:{port}");
        let health = format!("{url}/health");
        process.wait_for("readiness", || answers(port, &health));
        Self {
            process,
            url,
            _folder: folder,
        }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks until the query has one sample or more, and gives their labels and values.
    pub fn query(&mut self, query: &str) -> Vec<(Value, f64)> {
        let url = format!("{}/api/v1/query?query={}", self.url, encode(query));
        self.process.wait_for(&format!("answer to {query}"), || {
            let answer: Value = get(&url).json();
            let samples = answer.pointer("/data/result")?.as_array()?;
            let samples: Vec<_> = samples.iter().map(sample).collect();
            (!samples.is_empty()).then_some(samples)
        })
    }
}
