//! What is committed is what is written, whole, and in the form that those who read it expect.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use monitoring::{Options, Rule, files, readme, rules, uses};
use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    let path = monitoring().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: &str) -> Yaml {
    let mut documents = YamlLoader::load_from_str(&read(path)).unwrap();
    assert_eq!(documents.len(), 1, "{path}");
    documents.remove(0)
}

fn alerts() -> Vec<Rule> {
    rules(&read("prometheus/rules/alerts.yml")).unwrap()
}

fn dashboards() -> Vec<(PathBuf, Value)> {
    let folder = monitoring().join("grafana/dashboards");
    let mut dashboards: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            (path, serde_json::from_str(&text).unwrap())
        })
        .collect();
    dashboards.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert!(dashboards.len() >= 5);
    dashboards
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels.filter(|panel| panel["type"] != "row")
}

#[test]
fn what_is_committed_is_what_is_written_and_nothing_is_left_out() {
    let written = files(&Options::default()).unwrap();
    for file in &written {
        assert_eq!(file.left_out, Vec::<String>::new(), "{:?}", file.path);
        assert!(
            read(file.path.to_str().unwrap()) == file.text,
            "{:?} differs: run `cargo xtask generate`",
            file.path
        );
    }
    let text = read("../README.md");
    assert!(
        readme(&text).unwrap() == text,
        "the README differs: run `cargo xtask generate`"
    );
    for (path, _) in dashboards() {
        assert!(
            written.iter().any(|file| path.ends_with(&file.path)),
            "{path:?} is left over"
        );
    }
}

#[test]
fn every_alert_says_what_is_wrong_how_bad_it_is_and_where_that_is_explained() {
    let runbook = read("runbook.md");
    let chapters: BTreeSet<_> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    let mut named = BTreeSet::new();
    for alert in alerts() {
        let name = &alert.name;
        named.insert(name.clone());
        let annotations: BTreeMap<_, _> = alert.annotations.iter().cloned().collect();
        let keys: Vec<_> = annotations.keys().map(String::as_str).collect();
        assert_eq!(keys, ["description", "runbook_url", "summary"], "{name}");
        let severity = alert.severity.unwrap();
        assert!(
            ["critical", "warning", "none"].contains(&severity.as_str()),
            "{name}: {severity}"
        );
        let summary = &annotations["summary"];
        assert!(
            summary.starts_with(char::is_uppercase)
                && summary.ends_with('.')
                && !summary.contains("{{"),
            "{name}: {summary}"
        );
        let url = &annotations["runbook_url"];
        let (page, anchor) = url.split_once('#').unwrap();
        assert!(page.ends_with("runbook.md"), "{name}: {url}");
        let chapter = chapters
            .iter()
            .find(|chapter| chapter.to_lowercase() == anchor);
        assert_eq!(chapter, Some(&name.as_str()), "{url}");
    }
    let chapters: BTreeSet<_> = chapters.into_iter().map(str::to_owned).collect();
    assert_eq!(chapters, named, "each chapter of the runbook is an alert's");
    assert!(named.len() >= 35, "{}", named.len());
}

#[test]
fn every_chapter_of_the_runbook_says_where_to_look_and_what_to_do() {
    for chapter in read("runbook.md").split("\n## ").skip(1) {
        for part in ["**Look:** ", "**Do:** "] {
            assert_eq!(chapter.matches(part).count(), 1, "{part} in {chapter}");
        }
    }
}

#[test]
fn every_alert_is_tested_to_fire_not_quite_to_fire_and_to_be_over() {
    let mut fires = BTreeSet::new();
    let mut silent: BTreeMap<String, usize> = BTreeMap::new();
    let mut over = BTreeSet::new();
    for file in ["alerts.yml", "alerts-days.yml"] {
        let tests = yaml(&format!("prometheus/tests/{file}"));
        for test in tests["tests"].as_vec().unwrap() {
            let mut fired = false;
            for case in test["alert_rule_test"].as_vec().unwrap() {
                let alert = case["alertname"].as_str().unwrap().to_owned();
                if case["exp_alerts"].as_vec().unwrap().is_empty() {
                    *silent.entry(alert.clone()).or_default() += 1;
                    if fired {
                        over.insert(alert);
                    }
                } else {
                    fired = true;
                    fires.insert(alert);
                }
            }
        }
    }
    for alert in alerts() {
        let name = &alert.name;
        assert!(fires.contains(name), "{name} never fires");
        if name == "Watchdog" {
            continue;
        }
        assert!(silent.contains_key(name), "{name} always fires");
        assert!(over.contains(name), "{name} is never over");
    }
    let names: BTreeSet<_> = alerts().into_iter().map(|alert| alert.name).collect();
    assert_eq!(fires, names, "each test is an alert's");
}

/// The 17 rules of Grafana's dashboard linter, and where it lets something pass, a stricter form.
#[test]
fn the_dashboards_keep_the_rules_of_grafanas_linter() {
    let datasource = serde_json::json!({"type": "prometheus", "uid": "${datasource}"});
    for (path, dashboard) in dashboards() {
        let name = path.display();
        // uneditable-dashboard
        assert_eq!(dashboard["editable"], false, "{name}");
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let variable = |name: &str| {
            variables
                .iter()
                .find(|variable| variable["name"] == name)
                .unwrap()
        };
        // template-datasource
        let of_type = |kind: &str| {
            variables
                .iter()
                .filter(|variable| variable["type"] == kind)
                .count()
        };
        assert_eq!(of_type("datasource"), 1, "{name}");
        assert_eq!(variable("datasource")["type"], "datasource", "{name}");
        assert_eq!(variable("datasource")["label"], "Data source", "{name}");
        assert_eq!(variable("datasource")["query"], "prometheus", "{name}");
        // template-job, template-instance, template-label-promql, template-on-time-change-reload
        for (variable, label) in
            [("job", "Job"), ("instance", "Instance")].map(|(name, label)| (variable(name), label))
        {
            assert_eq!(variable["type"], "query", "{name}");
            assert_eq!(variable["datasource"], datasource, "{name}");
            assert_eq!(variable["label"], label, "{name}");
            assert_eq!(variable["multi"], true, "{name}");
            assert_eq!(variable["allValue"], ".+", "{name}");
            assert_eq!(variable["refresh"], 2, "{name}");
            let query = variable["query"]["query"].as_str().unwrap();
            let query = query.strip_prefix("label_values(").unwrap();
            let (selector, label) = query.strip_suffix(')').unwrap().rsplit_once(", ").unwrap();
            assert_eq!(label, variable["name"], "{name}");
            assert_eq!(uses(selector).unwrap().selectors.len(), 1, "{name}");
        }
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().unwrap();
            let at = format!("{name}: {title}");
            // panel-title-description
            assert!(!title.is_empty(), "{at}");
            assert!(!panel["description"].as_str().unwrap().is_empty(), "{at}");
            // panel-datasource
            assert_eq!(panel["datasource"], datasource, "{at}");
            // panel-units
            let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap();
            assert!(
                ["short", "s", "bytes", "Bps", "percentunit", "reqps", "ops"].contains(&unit),
                "{at}: {unit}"
            );
            // panel-no-targets
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{at}");
            for target in targets {
                // target-logql and target-logql-auto: every source is Prometheus.
                assert_eq!(target["datasource"], datasource, "{at}");
                let expression = target["expr"].as_str().unwrap();
                // target-promql is Prometheus' to say: tests/servers runs each.
                check_target(&at, expression);
            }
        }
    }
}

fn check_target(at: &str, expression: &str) {
    // target-rate-interval
    for function in ["rate(", "irate("] {
        for (start, _) in expression.match_indices(function) {
            let before = expression[..start].chars().next_back();
            if before.is_some_and(|char| char.is_alphanumeric() || char == '_') {
                continue;
            }
            let window = expression[start..].split_once('[').unwrap().1;
            assert!(
                window.starts_with("$__rate_interval]"),
                "{at}: {expression}"
            );
        }
    }
    for (start, _) in expression.match_indices("job=~\"$job\"") {
        // target-counter-agg: of each counter only the rise.
        let open = expression[..start].rfind('{').unwrap();
        let series = expression[..open]
            .rsplit(|char: char| !(char.is_alphanumeric() || char == '_' || char == ':'))
            .next()
            .unwrap();
        if series.ends_with("_total") {
            let before = expression[..open - series.len()].trim_end();
            assert!(
                ["rate(", "irate(", "increase("]
                    .iter()
                    .any(|function| before.ends_with(function)),
                "{at}: {series} in {expression}"
            );
        }
    }
    // target-job, target-instance
    let selectors = uses(expression).unwrap().selectors;
    assert!(!selectors.is_empty(), "{at}");
    for selector in &selectors {
        for label in ["job", "instance"] {
            assert!(
                selector.labels.iter().any(|one| one == label),
                "{at}: {selector:?}"
            );
        }
    }
    for label in ["job=~\"$job\"", "instance=~\"$instance\""] {
        assert_eq!(
            expression.matches(label).count(),
            selectors.len(),
            "{at}: {label} in {expression}"
        );
    }
}

#[test]
fn the_dashboards_are_bare_models_whose_panels_do_not_overlap() {
    let mut identifiers = BTreeSet::new();
    for (path, dashboard) in dashboards() {
        let name = path.display();
        for key in ["dashboard", "id", "__inputs", "__requires", "version"] {
            assert!(dashboard.get(key).is_none(), "{name}: {key}");
        }
        let uid = dashboard["uid"].as_str().unwrap();
        assert!((8..=40).contains(&uid.len()), "{name}: {uid}");
        assert!(identifiers.insert(uid.to_owned()), "{name}: {uid}");
        assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39, "{name}");
        let mut ids = BTreeSet::new();
        let mut cells = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}");
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(place("x") + place("w") <= 24, "{name}");
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(cells.insert((x, y)), "{name}: {panel}");
                }
            }
        }
        for panel in panels(&dashboard) {
            let mut references = BTreeSet::new();
            for target in panel["targets"].as_array().unwrap() {
                assert!(
                    references.insert(target["refId"].as_str().unwrap()),
                    "{name}"
                );
                assert!(target["legendFormat"].is_string(), "{name}");
            }
            assert_eq!(
                panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"],
                Value::Null,
                "{name}"
            );
        }
    }
}

#[test]
fn latencies_have_exemplars() {
    let mut seen = 0;
    for (_, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            let targets = panel["targets"].as_array().unwrap();
            let exemplars = targets.iter().filter(|target| target["exemplar"] == true);
            for target in exemplars {
                assert!(target["expr"].as_str().unwrap().contains("_bucket{"));
                seen += 1;
            }
        }
    }
    assert!(seen >= 8, "{seen}");
}

#[test]
fn scrape_interval_limits_and_names_agree_between_the_files() {
    let prometheus = yaml("prometheus/prometheus.yml");
    let grafana = yaml("grafana/provisioning/datasources/prometheus.yml");
    let compose = yaml("compose.yml");
    assert_eq!(
        prometheus["global"]["scrape_interval"],
        grafana["datasources"][0]["jsonData"]["timeInterval"]
    );
    let services = compose["services"].as_hash().unwrap();
    for job in prometheus["scrape_configs"].as_vec().unwrap() {
        if let Some(discovery) = job["dns_sd_configs"].as_vec() {
            let service = &discovery[0]["names"][0];
            assert!(services.contains_key(service), "{service:?}");
        }
    }
    // MemoryHigh is about this limit.
    assert_eq!(
        compose["services"]["platform"]["mem_limit"].as_str(),
        Some("512m")
    );
    assert!(read("prometheus/rules/alerts.yml").contains("> 0.9 * 512 * 1024 * 1024"));
    // SinkQueueHigh and its panel are about what a sink has unless it is told.
    assert!(
        read("../crates/tower-metrics-exporter/src/sink/mod.rs")
            .contains("const DEFAULT_BUFFER: usize = 32 << 20;")
    );
    assert!(read("prometheus/rules/alerts.yml").contains("> 0.5 * 32 * 1024 * 1024"));
    assert!(read("grafana/dashboards/sentrascan-telemetry.json").contains("/ (32 * 1024 * 1024)"));
    // Filebeat looks for the tag that Docker writes.
    let tag = compose["services"]["platform"]["logging"]["options"]["tag"]
        .as_str()
        .unwrap();
    assert!(read("elastic/filebeat/filebeat.yml").contains(&format!("docker.attrs.tag: {tag}\n")));
}

#[test]
fn every_service_is_pinned_watched_bounded_and_unprivileged() {
    let compose = yaml("compose.yml");
    let services = compose["services"].as_hash().unwrap();
    for wanted in [
        "platform",
        "db",
        "postgres-exporter",
        "prometheus",
        "alertmanager",
        "grafana",
        "elasticsearch",
        "logstash",
        "filebeat",
        "kibana",
    ] {
        assert!(
            services.contains_key(&Yaml::String(wanted.to_owned())),
            "{wanted}"
        );
    }
    let secrets = compose["secrets"].as_hash().unwrap();
    let volumes = compose["volumes"].as_hash().unwrap();
    for (name, service) in services {
        let name = name.as_str().unwrap();
        let image = service["image"].as_str().unwrap();
        let tag = image.rsplit_once(':').unwrap().1;
        assert!(
            tag.trim_start_matches('v').split('.').count() >= 2 && tag != "latest",
            "{name}: {image}"
        );
        assert!(!service["healthcheck"]["test"].is_badvalue(), "{name}");
        assert!(!service["mem_limit"].is_badvalue(), "{name}");
        assert!(!service["networks"].is_badvalue(), "{name}");
        for port in service["ports"].as_vec().into_iter().flatten() {
            assert!(
                port.as_str().unwrap().starts_with("127.0.0.1:"),
                "{name}: {port:?}"
            );
        }
        let environment = service["environment"].as_hash().into_iter().flatten();
        for (key, value) in environment {
            let (key, value) = (key.as_str().unwrap(), value.as_str().unwrap());
            if key.contains("PASS") {
                assert!(value.starts_with("/run/secrets/"), "{name}: {key}");
            }
        }
        for secret in service["secrets"].as_vec().into_iter().flatten() {
            assert!(secrets.contains_key(secret), "{name}: {secret:?}");
        }
        for volume in service["volumes"].as_vec().into_iter().flatten() {
            let volume = volume.as_str().unwrap();
            let source = volume.split(':').next().unwrap();
            if source.starts_with("./") {
                assert!(volume.ends_with(":ro"), "{name}: {volume}");
                assert!(monitoring().join(source).exists(), "{name}: {volume}");
            } else if !source.starts_with(['/', '$']) {
                assert!(
                    volumes.contains_key(&Yaml::String(source.to_owned())),
                    "{volume}"
                );
            }
        }
    }
    let made = read("secrets/make.sh");
    for secret in secrets.keys() {
        let secret = secret.as_str().unwrap();
        assert!(made.contains(secret), "{secret}");
    }
}

#[test]
fn filebeat_reads_with_inputs_and_parsers_that_it_has_and_logs_land_where_the_template_is() {
    let filebeat = yaml("elastic/filebeat/filebeat.yml");
    let input = &filebeat["filebeat.inputs"][0];
    assert_eq!(input["type"].as_str(), Some("filestream"));
    assert!(input["id"].as_str().is_some());
    let parsers: Vec<_> = input["parsers"]
        .as_vec()
        .unwrap()
        .iter()
        .flat_map(|parser| parser.as_hash().unwrap().keys())
        .map(|name| name.as_str().unwrap())
        .collect();
    assert_eq!(parsers, ["container", "ndjson"]);
    let port = read("elastic/logstash/pipeline/sentrascan.conf");
    let host = filebeat["output.logstash"]["hosts"][0].as_str().unwrap();
    assert!(port.contains(&format!("port => {}", host.rsplit_once(':').unwrap().1)));

    let template: Value = serde_json::from_str(&read("elastic/setup/index-template.json")).unwrap();
    assert_eq!(template["index_patterns"][0], "logs-sentrascan-*");
    // The managed template of all logs has 100.
    assert!(template["priority"].as_u64().unwrap() > 100);
    assert!(template["data_stream"].is_object());
    assert_eq!(template["template"]["lifecycle"]["data_retention"], "30d");
}

#[test]
fn alertmanager_reads_secrets_from_files_tells_what_is_over_and_has_no_old_words() {
    let text = read("alertmanager/alertmanager.yml");
    for old in [
        "\n  match:",
        "match_re:",
        "source_match:",
        "target_match:",
        "service_key",
        "api_url:",
        "routing_key:",
        "hooks.slack.com",
    ] {
        assert!(!text.contains(old), "{old}");
    }
    let config = yaml("alertmanager/alertmanager.yml");
    let receivers = config["receivers"].as_vec().unwrap();
    let slack = receivers
        .iter()
        .find(|receiver| receiver["name"].as_str() == Some("slack"))
        .unwrap();
    assert_eq!(
        slack["slack_configs"][0]["send_resolved"].as_bool(),
        Some(true)
    );
    for key in [
        "group_by",
        "group_wait",
        "group_interval",
        "repeat_interval",
    ] {
        assert!(!config["route"][key].is_badvalue(), "{key}");
    }
}
