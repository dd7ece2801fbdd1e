//! From what happens in the platform to the message that arrives, and to the one that says that it is over.

use std::{
    fs::{self, File},
    path::Path,
    thread,
};

use platform_tests::{get_with, slow_model};
use serde_json::{Value, json};
use server_tests::Message;

use self::Severity::{Critical, Warning};
use crate::stack::{Stack, Watcher, discovered};

/// The text of a message to Slack: title and text of its attachment.
fn slack(message: &Message) -> Option<(String, String)> {
    if message.path != "/slack" {
        return None;
    }
    let attachment = &message.body["attachments"][0];
    let text = |key: &str| Some(attachment[key].as_str()?.to_owned());
    Some((text("title")?, text("text")?))
}

/// How bad it is, and so who hears of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Severity {
    /// Slack and PagerDuty.
    Critical,
    /// Slack.
    Warning,
}

impl Severity {
    const fn label(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }
}

impl Watcher {
    /// Waits until Slack is told of this alert, with this in the text, and PagerDuty if it is one for it.
    fn told(&mut self, alert: &str, severity: Severity, wanted: &str) {
        let name = format!("Sentrascan{alert}");
        let label = severity.label();
        let title = format!("{}: {name} (", label.to_uppercase());
        let message = self.arrived(&format!("message of {name}: {wanted}"), |message| {
            slack(message)
                .is_some_and(|(found, text)| found.starts_with(&title) && text.contains(wanted))
        });
        let (_, text) = slack(&message).unwrap();
        // What the rule says, filled in.
        let (summary, _) = text.split_once(". ").unwrap();
        let rules = self.prometheus.annotations(&name, "summary");
        assert!(!rules.is_empty(), "{name}");
        for rule in rules {
            assert_eq!(rule, format!("{summary}."), "{text}");
        }
        let runbook = format!("monitoring/runbook.md#{}", name.to_lowercase());
        assert!(text.contains(&runbook), "{text}");
        assert!(
            !text.contains("{{") && !text.contains("<no value>"),
            "{text}"
        );
        // Prometheus says so itself. It may be over by now.
        self.prometheus.query(&format!(
            "last_over_time(ALERTS{{alertname=\"{name}\", severity=\"{label}\", alertstate=\"firing\"}}[5m])"
        ));
        if severity == Critical {
            self.paged(alert, "trigger");
        }
    }

    /// Waits until whoever was told of this alert is told that it is over.
    fn resolved(&mut self, alert: &str, severity: Severity) {
        let title = format!("Resolved: Sentrascan{alert} (");
        self.arrived(&format!("message that {alert} is over"), |message| {
            slack(message).is_some_and(|(found, _)| found.starts_with(&title))
        });
        if severity == Critical {
            self.paged(alert, "resolve");
        }
    }

    fn paged(&mut self, alert: &str, action: &str) {
        let name = format!(" Sentrascan{alert} (");
        let message = self.arrived(&format!("{action} for {alert}"), |message| {
            message.path == "/pagerduty"
                && message.body["event_action"] == action
                && message.body["payload"]["summary"]
                    .as_str()
                    .is_some_and(|summary| summary.contains(&name))
        });
        assert_eq!(message.body["routing_key"], "a-routing-key");
    }

    fn arrived(&mut self, what: &str, wanted: impl Fn(&Message) -> bool) -> Message {
        let what = format!("{:?}: {what}", self.suite);
        self.mailbox
            .wait_for(self.prometheus.process(), &what, wanted)
    }
}

impl Stack {
    fn told(&mut self, alert: &str, severity: Severity, wanted: &str) {
        for watcher in &mut self.watchers {
            watcher.told(alert, severity, wanted);
        }
    }

    fn resolved(&mut self, alerts: &[(&str, Severity)]) {
        for (alert, severity) in alerts {
            for watcher in &mut self.watchers {
                watcher.resolved(alert, *severity);
            }
        }
    }

    /// Asks for the same scan some times, one after the other.
    fn scans(&self, count: usize, kind: &str, path: &str, key: &str, value: impl Into<Value>) {
        let value = value.into();
        for _ in 0..count {
            let scan = self.scan(kind, &json!({ "path": path })).json();
            assert_eq!(scan[key], value, "{scan}");
        }
    }
}

/// Scans fail, are blocked, find something critical, and keys are refused.
fn scans_go_wrong(stack: &mut Stack) {
    stack.scans(8, "mcp", "mcp/broken.json", "status", "failed");
    stack.scans(8, "models", "model/os-system-p0.pkl", "passed", false);
    for _ in 0..30 {
        let refused = stack.scan_with("nobody's", "mcp", &json!({"path": "mcp/good.json"}));
        assert_eq!(refused.status, 403, "{refused:?}");
    }
    stack.told("ScansFailing", Critical, "100% of the mcp scans");
    stack.told("ScansBlocked", Warning, "100% of the model scans");
    stack.told("CriticalFinding", Warning, " critical findings ");
    stack.told("ApiKeysRefused", Warning, "% of the API keys ");
}

const WENT_WRONG: &[(&str, Severity)] = &[
    ("ScansFailing", Critical),
    ("ScansBlocked", Warning),
    ("CriticalFinding", Warning),
    ("ApiKeysRefused", Warning),
];

/// A target drifts from its baseline, and an engine fails inside scans that complete.
fn what_is_scanned_changes(stack: &mut Stack) {
    let root = stack.root.path();
    for fixture in ["mcp/good.json", "mcp/bad.json"] {
        fs::copy(root.join(fixture), root.join("mcp/drifts.json")).unwrap();
        stack.scans(1, "mcp", "mcp/drifts.json", "status", "completed");
    }
    fs::create_dir(root.join("arrays")).unwrap();
    fs::write(root.join("arrays/a.npy"), b"\x93NUMPY\x01\x00\xff").unwrap();
    stack.scans(8, "models", "arrays", "status", "completed");
    stack.told("BaselineDrift", Warning, " mcp scans ");
    stack.told("EngineFailing", Warning, "100% of the runs of npy ");
}

const CHANGED: &[(&str, Severity)] = &[("BaselineDrift", Warning), ("EngineFailing", Warning)];

/// Scans get stuck and others wait for them; then the database does not move, and nothing else does.
fn everything_waits(stack: &mut Stack) {
    let slow = stack.root.path().join("slow.pkl");
    slow_model(&slow);
    let at_once = thread::available_parallelism().map_or(1, usize::from);
    for _ in 0..at_once + 6 {
        let queued = stack.scan("models", &json!({"path": "slow.pkl", "background": true}));
        assert_eq!(queued.status, 202, "{queued:?}");
    }
    stack.told("ScanStuck", Warning, "A model scan has been running for ");
    stack.told("QueueSlow", Warning, "A model scan has been waiting for ");

    let lock = stack.postgres.lock("scans");
    // Those that run come to an end that cannot be written down, and no other can begin.
    cut_short(&slow, &stack.root.path().join("model/benign-p4.pkl"));
    stack.told("QueueStalled", Critical, "6 scans wait,");
    // As many requests as there are connections, and some.
    let requests: Vec<_> = (0..12)
        .map(|_| thread::spawn(stack.getter("/api/v1/scans")))
        .collect();
    stack.told("DatabasePoolExhausted", Warning, " uses 100% ");
    lock.release();
    for request in requests {
        request.join().unwrap();
    }
    stack.told("RequestLatencyBudgetBurn", Critical, " of the last hour ");
}

/// Ends the file under those who read it, and puts another in its place.
fn cut_short(file: &Path, other: &Path) {
    File::options()
        .write(true)
        .open(file)
        .unwrap()
        .set_len(3)
        .unwrap();
    let new = file.with_extension("new");
    fs::copy(other, &new).unwrap();
    fs::rename(new, file).unwrap();
}

const WAITED: &[(&str, Severity)] = &[
    ("ScanStuck", Warning),
    ("QueueSlow", Warning),
    ("QueueStalled", Critical),
    ("DatabasePoolExhausted", Warning),
    ("RequestLatencyBudgetBurn", Critical),
];

/// Where series are pushed to goes, and somebody calls the admin listener by another's name.
fn a_sink_goes_and_comes_back(stack: &mut Stack) {
    drop(stack.pushgateway.take().expect("it runs"));
    let probe = format!("{}/readyz", stack.platform().admin_url());
    for _ in 0..30 {
        let refused = get_with(&probe, ("host", "example.com"));
        assert_eq!(refused.status, 421, "{refused:?}");
    }
    stack.told("SinkFailing", Warning, "deliver to pushgateway");
    stack.told("AdminRefused", Warning, " (host).");
    stack.start_pushgateway();
    // Until then nothing is delivered.
    stack.ask("increase(exporter_sink_exports_total{sink=\"pushgateway\"}[15s]) > 0");
    stack.resolved(&[("SinkFailing", Warning), ("AdminRefused", Warning)]);
}

/// The database goes, and what fails because of it; of that, nobody is told.
fn the_database_goes_and_comes_back(stack: &mut Stack) {
    stack.postgres.stop();
    stack.told("DatabaseDown", Critical, "postgres_exporter at 127.0.0.1:");
    let errors = "sum(api_requests_total{status=~\"5..\"})";
    let first = stack.get("/api/v1/scans");
    assert!(first.status >= 500, "{first:?}");
    // A series is born above zero, which is no rise.
    stack.ask(errors);
    let requests: Vec<_> = (0..24)
        .map(|_| thread::spawn(stack.getter("/api/v1/scans")))
        .collect();
    for request in requests {
        let failed = request.join().unwrap();
        assert!(failed.status >= 500, "{failed:?}");
    }
    stack.told("RequestErrorBudgetBurn", Critical, " of the last hour ");
    for watcher in &mut stack.watchers {
        watcher
            .alertmanager
            .wait_for_inhibited("SentrascanDatabaseQueriesFailing");
    }
    stack.told("NoScanSucceeded", Warning, " scan that completed ended ");
    stack.postgres.start_again();
}

/// The platform goes, leaves discovery, and is there again.
fn the_platform_goes_and_comes_back(stack: &mut Stack) {
    stack.platform.take().expect("it runs").kill();
    stack.told("Down", Critical, "127.0.0.1:");
    for watcher in &stack.watchers {
        discovered(watcher.prometheus.folder(), "platform", &[]);
    }
    stack.told("Absent", Critical, " no target of the job sentrascan ");
    stack.resolved(&[("Down", Critical)]);
    stack.start_again();
    stack.resolved(&[("Absent", Critical)]);
}

#[test]
fn what_happens_in_the_platform_arrives_as_a_message_and_that_it_is_over_does_too() {
    let mut stack = Stack::start();
    // Its series are born now, not when it is slow.
    assert_eq!(stack.get("/api/v1/scans").status, 200);

    scans_go_wrong(&mut stack);
    what_is_scanned_changes(&mut stack);
    stack.resolved(WENT_WRONG);
    everything_waits(&mut stack);
    stack.resolved(CHANGED);
    stack.resolved(WAITED);
    a_sink_goes_and_comes_back(&mut stack);
    the_database_goes_and_comes_back(&mut stack);
    stack.scans(1, "mcp", "mcp/good.json", "status", "completed");
    stack.scans(1, "models", "model/benign-p4.pkl", "status", "completed");
    stack.resolved(&[
        ("DatabaseDown", Critical),
        ("RequestErrorBudgetBurn", Critical),
        ("NoScanSucceeded", Warning),
    ]);
    the_platform_goes_and_comes_back(&mut stack);

    for watcher in &stack.watchers {
        for message in watcher.mailbox.messages() {
            let text = message.body.to_string();
            // It has no receiver yet.
            assert!(!text.contains("Watchdog"), "{text}");
            // Nobody is woken for a warning.
            if message.path == "/pagerduty" {
                assert_eq!(message.body["payload"]["severity"], "critical", "{text}");
            }
        }
    }
}
