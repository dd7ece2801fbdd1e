//! What OpenTelemetry's names make of rules and panels, line by line as it is meant to be.

use std::collections::BTreeMap;

use monitoring::{GrpcPreset, Options, Preset, ScanPreset, files, rules};
use serde_json::Value;

/// Each rule's and each panel's expressions, by what they are called.
fn expressions(options: &Options) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files(options).unwrap() {
        let path = file.path.to_str().unwrap();
        if path.contains("/rules/") {
            for rule in rules(&file.text).unwrap() {
                let words = rule.expression.split_whitespace().collect::<Vec<_>>();
                all.entry(rule.name).or_default().push(words.join(" "));
            }
        } else if path.ends_with(".json") {
            let dashboard: Value = serde_json::from_str(&file.text).unwrap();
            for panel in dashboard["panels"].as_array().unwrap() {
                let name = format!("{}: {}", dashboard["title"], panel["title"]);
                for target in panel["targets"].as_array().into_iter().flatten() {
                    let (expression, legend) = (&target["expr"], &target["legendFormat"]);
                    let text = |value: &Value| value.as_str().unwrap().to_owned();
                    let line = format!("{} -> {}", text(expression), text(legend));
                    all.entry(name.replace('"', "")).or_default().push(line);
                }
            }
        }
    }
    all
}

#[test]
fn open_telemetrys_names_are_where_they_are_meant_to_be_and_nowhere_else() {
    let usual = Options {
        prefix: String::from("acme"),
        ..Options::default()
    };
    let other = Options {
        scans: ScanPreset::OpenTelemetry,
        requests: Preset::OpenTelemetry,
        grpc: GrpcPreset::OpenTelemetry,
        ..usual.clone()
    };
    let (usual, other) = (expressions(&usual), expressions(&other));
    let mut text = String::new();
    for name in usual.keys().filter(|name| !other.contains_key(*name)) {
        text += &format!("{name} is left out\n");
    }
    for (name, is) in other
        .iter()
        .filter(|(name, is)| usual.get(*name) != Some(is))
    {
        text += &format!("{name}\n");
        for line in is {
            text += &format!("  {line}\n");
        }
    }
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/open_telemetry.txt");
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        std::fs::write(golden, &text).unwrap();
    }
    let golden = std::fs::read_to_string(golden).unwrap();
    for (line, expected) in text.lines().zip(golden.lines()) {
        assert_eq!(
            line, expected,
            "if it is meant: WRITE_GOLDEN=1 cargo test -p monitoring"
        );
    }
    assert_eq!(text.lines().count(), golden.lines().count());
}
