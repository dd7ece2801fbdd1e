//! The platform with PostgreSQL, watched by real servers with the committed files.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use platform_tests::{Answer, Platform, Setup, get_with, post_with, program};
use serde_json::{Value, json};
use server_tests::{
    Alertmanager, Mailbox, Postgres, PostgresExporter, Prometheus, Pushgateway, Suite, free_port,
};

pub(crate) fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../monitoring")
}

pub(crate) fn read(path: &str) -> String {
    let path = monitoring().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The platform and its database, and who watches them.
pub(crate) struct Stack {
    pub(crate) platform: Option<Platform>,
    pub(crate) watchers: [Watcher; 2],
    pub(crate) postgres: Postgres,
    /// Where the platform sends its series, too.
    pub(crate) pushgateway: Option<Pushgateway>,
    pub(crate) root: tempfile::TempDir,
    key: String,
    /// The Pushgateway's.
    port: u16,
    _exporter: PostgresExporter,
}

/// A generation of Prometheus, with an Alertmanager and a mailbox of its own.
pub(crate) struct Watcher {
    pub(crate) suite: Suite,
    pub(crate) prometheus: Prometheus,
    pub(crate) alertmanager: Alertmanager,
    pub(crate) mailbox: Mailbox,
    _secrets: tempfile::TempDir,
}

impl Stack {
    /// Starts it. The files are those that are committed, but for addresses and times.
    pub(crate) fn start() -> Self {
        let postgres = Postgres::start();
        let exporter = PostgresExporter::start(&postgres);
        let root = tempfile::tempdir().unwrap();
        copy_fixtures(root.path());
        let port = free_port();
        let pushgateway = Pushgateway::at(port);
        let platform = platform(root.path(), &postgres, port);
        let key = key(&postgres.url());
        let watchers =
            Suite::ALL.map(|suite| Watcher::start(suite, platform.url(), exporter.url()));
        let mut stack = Self {
            platform: Some(platform),
            watchers,
            postgres,
            pushgateway: Some(pushgateway),
            root,
            key,
            port,
            _exporter: exporter,
        };
        // Two scrapes of all, so that what happens from now on is seen as a rise.
        stack.ask("count(count_over_time(up[1m]) >= 2) == 4");
        stack
    }

    /// Starts the platform again, and lets it be discovered.
    pub(crate) fn start_again(&mut self) {
        let platform = platform(self.root.path(), &self.postgres, self.port);
        for watcher in &self.watchers {
            discovered(watcher.prometheus.folder(), "platform", &[platform.url()]);
        }
        self.platform = Some(platform);
    }

    /// Starts the Pushgateway again, where it was.
    pub(crate) fn start_pushgateway(&mut self) {
        self.pushgateway = Some(Pushgateway::at(self.port));
    }

    pub(crate) fn platform(&self) -> &Platform {
        self.platform.as_ref().expect("it runs")
    }

    pub(crate) fn scan(&self, kind: &str, body: &Value) -> Answer {
        self.scan_with(&self.key, kind, body)
    }

    pub(crate) fn scan_with(&self, key: &str, kind: &str, body: &Value) -> Answer {
        let url = format!("{}/api/v1/{kind}/scans", self.platform().url());
        post_with(&url, ("x-api-key", key), body)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.getter(path)()
    }

    /// The same for another thread.
    pub(crate) fn getter(&self, path: &str) -> impl Fn() -> Answer + Send + use<> {
        let url = format!("{}{path}", self.platform().url());
        let key = self.key.clone();
        move || get_with(&url, ("x-api-key", &key))
    }

    /// Asks every Prometheus until it has an answer.
    pub(crate) fn ask(&mut self, query: &str) {
        for watcher in &mut self.watchers {
            watcher.prometheus.query(query);
        }
    }
}

impl Watcher {
    fn start(suite: Suite, platform: &str, exporter: &str) -> Self {
        let mailbox = Mailbox::open();
        let secrets = tempfile::tempdir().unwrap();
        let alertmanager =
            Alertmanager::start(&alertmanager_config(secrets.path(), mailbox.address()));
        let folder = tempfile::tempdir().unwrap();
        for rules in ["alerts.yml", "recording.yml"] {
            let text = hasty(&read(&format!("prometheus/rules/{rules}")));
            fs::create_dir_all(folder.path().join("rules")).unwrap();
            fs::write(folder.path().join("rules").join(rules), text).unwrap();
        }
        for (name, address) in [
            ("platform", platform),
            ("postgres-exporter", exporter),
            ("alertmanager", alertmanager.address()),
        ] {
            discovered(folder.path(), name, &[address]);
        }
        let listen = format!("127.0.0.1:{}", free_port());
        let config = prometheus_config(&listen);
        let prometheus =
            Prometheus::with_config(suite, folder, &config, &listen, "exemplar-storage");
        Self {
            suite,
            prometheus,
            alertmanager,
            mailbox,
            _secrets: secrets,
        }
    }
}

fn platform(root: &Path, postgres: &Postgres, pushgateway: u16) -> Platform {
    Setup::default()
        .root(root)
        .database(&postgres.url())
        .option("--require-api-key")
        .option("--grpc-listen")
        .option("127.0.0.1:0")
        .option("--admin-listen")
        .option("127.0.0.1:0")
        .option("--exporter")
        .option(&format!("pushgateway=http://127.0.0.1:{pushgateway}"))
        .option("--export-interval")
        .option("1s")
        .start()
}

fn copy_fixtures(root: &Path) {
    let copied = Command::new("cp")
        .arg("-R")
        .arg(platform_tests::fixtures().join("."))
        .arg(root)
        .status();
    assert!(copied.expect("cp starts").success());
}

fn key(database: &str) -> String {
    let output = Command::new(program())
        .args(["keys", "add", "tests"])
        .env("DATABASE_URL", database)
        .output()
        .expect("the platform's command line starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Says in a file what discovery would find.
pub(crate) fn discovered(folder: &Path, name: &str, targets: &[&str]) {
    let targets = targets
        .iter()
        .map(|target| target.trim_start_matches("http://"));
    let groups = json!([{ "targets": targets.collect::<Vec<_>>() }]);
    // In one piece: Prometheus may look at any time.
    let new = folder.join(format!("{name}.new"));
    fs::write(&new, groups.to_string()).unwrap();
    fs::rename(new, folder.join(format!("{name}.json"))).unwrap();
}

/// `prometheus.yml` with files in the place of DNS, and a second between scrapes and evaluations.
fn prometheus_config(listen: &str) -> String {
    let mut text = String::new();
    let committed = read("prometheus/prometheus.yml");
    let mut lines = committed.lines().peekable();
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        if let Some(start) = line.find("dns_sd_configs:") {
            let mut name = None;
            while let Some(line) =
                lines.next_if(|line| line.len() - line.trim_start().len() > indent.max(start))
            {
                if let Some(names) = line.split_once("names: [") {
                    name = names.1.strip_suffix(']');
                }
            }
            let name = name.expect("discovery asks for a name");
            let before = &line[..start];
            text += &format!(
                "{before}file_sd_configs: [{{files: [{name}.json], refresh_interval: 1s}}]\n"
            );
        } else {
            text += line;
            text += "\n";
        }
    }
    for (from, to) in [
        ("scrape_interval: 15s", "scrape_interval: 1s"),
        ("scrape_timeout: 10s", "scrape_timeout: 1s"),
        ("evaluation_interval: 15s", "evaluation_interval: 1s"),
        ("localhost:9090", listen),
        // The exporter tries three times to reach its database before it says that it is down.
        (
            "- job_name: postgres\n",
            "- job_name: postgres\n    scrape_interval: 10s\n    scrape_timeout: 10s\n",
        ),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        text = text.replace(from, to);
    }
    text
}

/// The rules with less patience: an alert fires at once, what takes half an hour takes seconds, and what happened
/// is over after seconds.
fn hasty(rules: &str) -> String {
    let mut text: String = rules
        .lines()
        .filter(|line| !line.trim_start().starts_with("for: "))
        .flat_map(|line| [line, "\n"])
        .collect();
    for (window, shorter) in [
        ("5m", "15s"),
        ("10m", "15s"),
        ("15m", "15s"),
        ("30m", "15s"),
        ("1h", "15s"),
        ("2h", "30s"),
        ("6h", "30s"),
        ("1d", "30s"),
        ("3d", "30s"),
    ] {
        text = text.replace(&format!("[{window}]"), &format!("[{shorter}]"));
        text = text.replace(&format!(" offset {window}"), &format!(" offset {shorter}"));
    }
    // What is asked over a week is when something happened last.
    let windows = text.split('[').filter_map(|rest| rest.split_once(']'));
    for (window, _) in windows.filter(|(window, _)| window.starts_with(char::is_numeric)) {
        assert!(["15s", "30s", "7d"].contains(&window), "{window}");
    }
    for (from, to) in [
        (
            "_scan_age_seconds{job=\"sentrascan\"}) > 1800",
            "_scan_age_seconds{job=\"sentrascan\"}) > 3",
        ),
        (
            "_scan_age_seconds{job=\"sentrascan\"}) > 900",
            "_scan_age_seconds{job=\"sentrascan\"}) > 3",
        ),
        (" > 0) > 86400", " > 0) > 20"),
    ] {
        if rules.contains("- alert:") {
            assert!(text.contains(from), "{from}");
        }
        text = text.replace(from, to);
    }
    text
}

/// `alertmanager.yml` with secrets in `folder`, messages to the mailbox, and little waiting for more of a group.
fn alertmanager_config(folder: &Path, mailbox: &str) -> String {
    let slack = folder.join("slack_webhook_url");
    let pagerduty = folder.join("pagerduty_routing_key");
    fs::write(&slack, format!("http://{mailbox}/slack")).unwrap();
    fs::write(&pagerduty, "a-routing-key").unwrap();
    let templates = monitoring().join("alertmanager/templates");
    let mut text = read("alertmanager/alertmanager.yml");
    for (from, to) in [
        ("/run/secrets/slack_webhook_url", slack.to_str().unwrap()),
        (
            "/run/secrets/pagerduty_routing_key",
            pagerduty.to_str().unwrap(),
        ),
        ("/etc/alertmanager/templates", templates.to_str().unwrap()),
        ("group_wait: 30s", "group_wait: 1s"),
        ("group_wait: 10s", "group_wait: 1s"),
        ("group_interval: 5m", "group_interval: 1s"),
        (
            "global:\n",
            &format!("global:\n  pagerduty_url: http://{mailbox}/pagerduty\n"),
        ),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}
