//! What Logstash and Filebeat take, as far as it can be told without them: by Logstash's grammar, and by the plugins,
//! options and keys in their sources.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use server_tests::{piped, python};
use yaml_rust2::{Yaml, YamlLoader};

use crate::stack::read;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data/elastic")
        .join(name)
}

fn known(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(data(name)).unwrap()).unwrap()
}

fn yaml(path: &str) -> Yaml {
    YamlLoader::load_from_str(&read(path)).unwrap().remove(0)
}

fn check(pipeline: &str) -> Output {
    let mut checker = Command::new(python());
    checker
        .args(["-I", "-c", include_str!("logstash.py")])
        .arg(data("logstash.json"));
    piped(&mut checker, pipeline)
}

const PIPELINE: &str = "elastic/logstash/pipeline/sentrascan.conf";

#[test]
fn logstash_can_read_the_pipeline_and_has_its_plugins_and_options() {
    let checked = check(&read(PIPELINE));
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
    let mut plugins: Vec<_> = std::str::from_utf8(&checked.stdout)
        .unwrap()
        .lines()
        .collect();
    plugins.dedup();
    assert_eq!(
        plugins,
        [
            "input beats",
            "filter date",
            "filter mutate",
            "output elasticsearch"
        ]
    );
}

#[test]
fn what_logstash_refuses_is_refused() {
    let pipeline = read(PIPELINE);
    for (from, to, why) in [
        (
            "    port => 5044\n  }",
            "    port => 5044",
            "UnexpectedLscl",
        ),
        ("rename => {", "rename = {", "DecodeError"),
        ("beats {", "docker {", "no input docker"),
        ("filter {", "filters {", "no section filters"),
        ("ssl_enabled", "ssl", "elasticsearch has no option ssl"),
        (
            "ssl_certificate_authorities",
            "cacert",
            "elasticsearch has no option cacert",
        ),
        (
            "port => 5044",
            "port => \"a\"",
            "beats: port: 'a' is no number",
        ),
        ("\"full\"", "\"certificate\"", "certificate is none of"),
        ("ssl_enabled => true", "ssl_enabled => 7", "7 is no boolean"),
    ] {
        assert!(pipeline.contains(from), "{from}");
        let checked = check(&pipeline.replacen(from, to, 1));
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(!checked.status.success(), "{to}");
        assert!(said.contains(why), "{to}: {said}");
    }
}

#[test]
fn logstash_has_every_setting() {
    let known = known("logstash.json");
    let known = known["settings"].as_array().unwrap();
    for name in yaml("elastic/logstash/config/logstash.yml")
        .as_hash()
        .unwrap()
        .keys()
    {
        let name = name.as_str().unwrap();
        assert!(known.iter().any(|known| known == name), "{name}");
    }
}

/// The keys of a mapping are among those that are known.
fn keys_are(mapping: &Yaml, known: &Value) {
    for key in mapping.as_hash().unwrap().keys() {
        let key = key.as_str().unwrap();
        let is_known = match known {
            Value::Array(known) => known.iter().any(|known| known == key),
            known => known.get(key).is_some(),
        };
        assert!(is_known, "{key} is none of {known}");
    }
}

#[test]
fn filebeat_has_every_key() {
    let known = known("filebeat.json");
    let filebeat = yaml("elastic/filebeat/filebeat.yml");
    for (key, value) in filebeat.as_hash().unwrap() {
        match key.as_str().unwrap() {
            "filebeat.inputs" => {
                for input in value.as_vec().unwrap() {
                    assert_eq!(input["type"].as_str(), Some("filestream"));
                    keys_are(input, &known["filebeat.inputs.filestream"]);
                    for parser in input["parsers"].as_vec().unwrap() {
                        parser_is(parser, &known["parsers"]);
                    }
                }
            }
            "processors" => {
                for processor in value.as_vec().unwrap() {
                    assert_eq!(processor.as_hash().unwrap().len(), 1);
                    let when = &processor["drop_event"]["when"];
                    keys_are(when, &known["conditions"]);
                    keys_are(&when["not"], &known["conditions"]);
                }
            }
            "output.logstash" => keys_are(value, &known["output.logstash"]),
            key => {
                let key = key
                    .strip_prefix("logging.")
                    .unwrap_or_else(|| panic!("{key}"));
                let known = known["logging"].as_array().unwrap();
                assert!(known.iter().any(|known| known == key), "{key}");
            }
        }
    }
}

fn parser_is(parser: &Yaml, known: &Value) {
    keys_are(parser, known);
    for (name, options) in parser.as_hash().unwrap() {
        let known = &known[name.as_str().unwrap()];
        keys_are(options, known);
        for (option, value) in options.as_hash().unwrap() {
            let option = option.as_str().unwrap();
            let fits = match &known[option] {
                Value::Array(known) => known.iter().any(|one| one.as_str() == value.as_str()),
                kind if kind == "boolean" => value.as_bool().is_some(),
                _ => value.as_str().is_some(),
            };
            assert!(fits, "{option}: {value:?}");
        }
    }
}
