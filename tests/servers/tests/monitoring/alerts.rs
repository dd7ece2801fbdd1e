//! From what happens in the platform to the message that arrives, and to the one that says that it is over.

use std::fs;

use platform_tests::slow_model;
use serde_json::json;
use server_tests::{Message, Suite};

use crate::stack::{Stack, discovered};

/// The text of a message to Slack: title and text of its attachment.
fn slack(message: &Message) -> Option<(String, String)> {
    if message.path != "/slack" {
        return None;
    }
    let attachment = &message.body["attachments"][0];
    let text = |key: &str| Some(attachment[key].as_str()?.to_owned());
    Some((text("title")?, text("text")?))
}

impl Stack {
    /// Waits until the alert fires, and until Slack is told of it.
    fn told(&mut self, alert: &str) -> String {
        let name = format!("Sentrascan{alert}");
        let firing = self.prometheus.wait_for_alert(&name);
        let severity = firing["labels"]["severity"].as_str().unwrap();
        let title = format!("{}: {name} (", severity.to_uppercase());
        let message = self.arrived(&format!("message of {name}"), |message| {
            slack(message).is_some_and(|(found, _)| found.starts_with(&title))
        });
        let (_, text) = slack(&message).unwrap();
        // What the rule says, filled in.
        let annotations = &firing["annotations"];
        let summary = annotations["summary"].as_str().unwrap();
        assert!(text.starts_with(summary), "{text}");
        assert!(
            text.contains(&format!("monitoring/runbook.md#{}", name.to_lowercase())),
            "{text}"
        );
        assert!(
            !text.contains("{{") && !text.contains("<no value>"),
            "{text}"
        );
        text
    }

    fn resolved(&mut self, alert: &str) {
        let title = format!("Resolved: Sentrascan{alert} (");
        self.arrived(&format!("message that {alert} is over"), |message| {
            slack(message).is_some_and(|(found, _)| found.starts_with(&title))
        });
    }

    fn paged(&mut self, alert: &str, action: &str) -> Message {
        let name = format!("Sentrascan{alert}");
        let message = self.arrived(&format!("{action} for {alert}"), |message| {
            message.path == "/pagerduty"
                && message.body["event_action"] == action
                && message.body["payload"]["summary"]
                    .as_str()
                    .is_some_and(|summary| summary.contains(&name))
        });
        assert_eq!(message.body["routing_key"], "a-routing-key");
        message
    }

    fn arrived(&mut self, what: &str, wanted: impl Fn(&Message) -> bool) -> Message {
        self.mailbox
            .wait_for(self.prometheus.process(), what, wanted)
    }
}

fn what_happens_is_told(suite: Suite) {
    let mut stack = Stack::start(suite);
    let root = stack.root.path().to_owned();

    // Scans fail.
    for _ in 0..8 {
        let scan = stack
            .scan("mcp", &json!({"path": "mcp/broken.json"}))
            .json();
        assert_eq!(scan["status"], "failed", "{scan}");
    }
    let text = stack.told("ScansFailing");
    assert!(text.contains("100% of the mcp scans"), "{text}");
    stack.paged("ScansFailing", "trigger");

    // The policy blocks, and something critical is found.
    for _ in 0..8 {
        let scan = stack
            .scan("models", &json!({"path": "model/os-system-p0.pkl"}))
            .json();
        assert_eq!(scan["passed"], false, "{scan}");
    }
    let text = stack.told("ScansBlocked");
    assert!(text.contains("100% of the model scans"), "{text}");
    stack.told("CriticalFinding");

    // A target drifts from its baseline.
    fs::copy(root.join("mcp/good.json"), root.join("mcp/drifts.json")).unwrap();
    for fixture in ["mcp/good.json", "mcp/bad.json"] {
        fs::copy(root.join(fixture), root.join("mcp/drifts.json")).unwrap();
        stack.scan("mcp", &json!({"path": "mcp/drifts.json"}));
    }
    let text = stack.told("BaselineDrift");
    assert!(text.contains(" mcp scans "), "{text}");

    // Keys are refused.
    for _ in 0..30 {
        let refused = stack.scan_with("nobody's", "mcp", &json!({"path": "mcp/good.json"}));
        assert_eq!(refused.status, 403, "{refused:?}");
    }
    stack.told("ApiKeysRefused");

    // Scans get stuck, and others wait for them. Those that are stuck end when they are read to the end or time out,
    // which nobody waits for here.
    slow_model(&root.join("slow.pkl"));
    for _ in 0..8 {
        let queued = stack.scan("models", &json!({"path": "slow.pkl", "background": true}));
        assert_eq!(queued.status, 202, "{queued:?}");
    }
    let text = stack.told("ScanStuck");
    assert!(
        text.contains("A model scan has been running for "),
        "{text}"
    );
    stack.told("QueueSlow");

    // The database goes, and what fails because of it; of that, nobody is told.
    stack.postgres.stop();
    stack.told("DatabaseDown");
    stack.paged("DatabaseDown", "trigger");
    for _ in 0..12 {
        let failed = stack.get("/api/v1/scans");
        assert!(failed.status >= 500, "{failed:?}");
    }
    stack.told("RequestErrorBudgetBurn");
    stack
        .prometheus
        .wait_for_alert("SentrascanDatabaseQueriesFailing");
    stack
        .alertmanager
        .wait_for_inhibited("SentrascanDatabaseQueriesFailing");
    stack.postgres.start_again();
    stack.resolved("DatabaseDown");
    stack.paged("DatabaseDown", "resolve");

    // The platform goes, and then leaves discovery.
    stack.platform.take().expect("it runs").kill();
    let text = stack.told("Down");
    assert!(text.contains("127.0.0.1:"), "{text}");
    stack.paged("Down", "trigger");
    discovered(stack.prometheus.folder(), "platform", &[]);
    stack.told("Absent");
    stack.resolved("Down");

    // Nothing else: the watchdog has no receiver yet, and nobody is told of what is inhibited.
    for message in stack.mailbox.messages() {
        let text = message.body.to_string();
        assert!(!text.contains("Watchdog"), "{text}");
    }
}

#[test]
fn what_happens_in_the_platform_arrives_as_a_message_by_prometheus_2_53() {
    what_happens_is_told(Suite::Trixie);
}

#[test]
fn what_happens_in_the_platform_arrives_as_a_message_by_prometheus_3() {
    what_happens_is_told(Suite::Forky);
}
