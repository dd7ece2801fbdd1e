use std::{
    fs,
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};

use platform_tests::{Process, get};
use serde_json::Value;

use crate::{Suite, port::free_port};

/// A running Prometheus that scrapes one target every second.
pub struct Prometheus {
    process: Process,
    url: String,
    folder: tempfile::TempDir,
}

impl Prometheus {
    /// Starts one that scrapes `target` (`http://address`), and waits until it is ready.
    pub fn start(suite: Suite, target: &str) -> Self {
        Self::with_jobs(suite, target, &[("sentrascan", "")], "")
    }

    /// Starts one that scrapes `target` in each format, as the jobs `text`, `openmetrics` and `protobuf`, and
    /// keeps native histograms and exemplars, and begins series with a zero when they were created.
    pub fn in_all_formats(suite: Suite, target: &str) -> Self {
        let classic = match suite {
            Suite::Trixie => "scrape_classic_histograms",
            Suite::Forky => "always_scrape_classic_histograms",
        };
        let jobs = [
            ("text", "scrape_protocols: [PrometheusText0.0.4]"),
            ("openmetrics", "scrape_protocols: [OpenMetricsText1.0.0]"),
            (
                "protobuf",
                &format!("scrape_protocols: [PrometheusProto]\n  {classic}: true"),
            ),
        ];
        let features = "native-histograms,exemplar-storage,created-timestamp-zero-ingestion";
        Self::with_jobs(suite, target, &jobs, features)
    }

    fn with_jobs(suite: Suite, target: &str, jobs: &[(&str, &str)], features: &str) -> Self {
        let target = target
            .strip_prefix("http://")
            .expect("the target is reached by http");
        let jobs = jobs.iter().map(|(name, options)| {
            format!(
                "- job_name: {name}\n  static_configs: [{{targets: ['{target}']}}]\n  {options}\n"
            )
        });
        let text = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n{}",
            jobs.collect::<String>()
        );
        let listen = format!("127.0.0.1:{}", free_port());
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::with_config(suite, folder, &text, &listen, features)
    }

    /// Starts one that scrapes nothing, and is written to: at `/api/v1/write` of its [address](Self::url).
    /// What it keeps is in `folder`, and it listens on this port.
    pub fn written_to(suite: Suite, folder: tempfile::TempDir, port: u16) -> Self {
        let listen = format!("127.0.0.1:{port}");
        Self::with_options(
            suite,
            folder,
            "global: {}\n",
            &listen,
            "exemplar-storage,native-histograms",
            &["--web.enable-remote-write-receiver"],
        )
    }

    /// Ends it as a crash does, and gives its folder.
    pub fn kill(mut self) -> tempfile::TempDir {
        self.process.signal("KILL");
        self.process.wait();
        self.folder
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Starts one with this configuration, whose relative paths are in `folder`, and waits until it is ready.
    pub fn with_config(
        suite: Suite,
        folder: tempfile::TempDir,
        text: &str,
        listen: &str,
        features: &str,
    ) -> Self {
        Self::with_options(suite, folder, text, listen, features, &[])
    }

    fn with_options(
        suite: Suite,
        folder: tempfile::TempDir,
        text: &str,
        listen: &str,
        features: &str,
        options: &[&str],
    ) -> Self {
        let config = folder.path().join("prometheus.yml");
        fs::write(&config, text).expect("the configuration is written");
        let mut command = Command::new(suite.program("prometheus"));
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={listen}"))
            .arg(format!("--enable-feature={features}"))
            .arg("--log.level=error")
            .args(options)
            .stdout(Stdio::null());
        let mut process = Process::start("prometheus", &mut command);
        let url = format!("http://{listen}");
        let ready = format!("{url}/-/ready");
        process.wait_for("readiness", || {
            TcpStream::connect(listen)
                .ok()
                .filter(|_| get(&ready).status == 200)
        });
        Self {
            process,
            url,
            folder,
        }
    }

    /// The folder of its configuration.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process.
    pub const fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it answers to a query, as it is; or its error.
    pub fn ask(&self, query: &str) -> Result<Vec<(Value, f64)>, String> {
        let url = format!("{}/api/v1/query?query={}", self.url, encode(query));
        let answer: Value = get(&url).json();
        match answer.pointer("/data/result").and_then(Value::as_array) {
            Some(samples) => Ok(samples.iter().map(sample).collect()),
            None => Err(answer.to_string()),
        }
    }

    /// This annotation of each rule of this name, as it stands in the rule.
    pub fn annotations(&self, rule: &str, annotation: &str) -> Vec<String> {
        let answer: Value = get(&format!("{}/api/v1/rules?type=alert", self.url)).json();
        let groups = answer["data"]["groups"].as_array().into_iter().flatten();
        let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
        rules
            .filter(|found| found["name"] == rule)
            .filter_map(|found| Some(found["annotations"][annotation].as_str()?.to_owned()))
            .collect()
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

    /// Asks until there are exemplars of this series, and gives their labels and values.
    pub fn exemplars(&mut self, selector: &str) -> Vec<(Value, Value)> {
        let query = encode(selector);
        let url = format!(
            "{}/api/v1/query_exemplars?query={query}&start=0&end=9999999999",
            self.url
        );
        self.process
            .wait_for(&format!("exemplars of {selector}"), || {
                let answer: Value = get(&url).json();
                let series = answer["data"].as_array()?.iter();
                let exemplars = series
                    .filter_map(|series| series["exemplars"].as_array())
                    .flatten();
                let exemplars: Vec<_> = exemplars
                    .map(|exemplar| (exemplar["labels"].clone(), exemplar["value"].clone()))
                    .collect();
                (!exemplars.is_empty()).then_some(exemplars)
            })
    }

    /// What the version's own metric says, such as `2.53.3+ds1`.
    pub fn version(&self) -> String {
        let url = format!("{}/api/v1/status/buildinfo", self.url);
        let answer: Value = get(&url).json();
        answer["data"]["version"]
            .as_str()
            .expect("it has a version")
            .to_owned()
    }

    /// The scraped target's health and last error.
    pub fn target_health(&mut self) -> (String, String) {
        let url = format!("{}/api/v1/targets?state=active", self.url);
        self.process.wait_for("first scrape", || {
            let answer: Value = get(&url).json();
            let target = answer.pointer("/data/activeTargets/0")?;
            let health = target["health"]
                .as_str()
                .filter(|health| *health != "unknown")?;
            Some((health.to_owned(), target["lastError"].as_str()?.to_owned()))
        })
    }
}

pub(crate) fn sample(sample: &Value) -> (Value, f64) {
    let value = sample["value"][1]
        .as_str()
        .and_then(|value| value.parse().ok());
    (
        sample["metric"].clone(),
        value.expect("a sample has a number"),
    )
}

pub(crate) fn encode(query: &str) -> String {
    query
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
