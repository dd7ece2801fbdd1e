//! Sinks as files describe them.

#![cfg(all(
    feature = "gzip",
    feature = "otlp",
    feature = "pushgateway",
    feature = "remote-write",
    feature = "serde",
    feature = "statsd"
))]
#![expect(
    clippy::unwrap_used,
    reason = "the allowance for tests does not reach what they share"
)]

use std::time::Duration;

use tower_metrics_exporter::{Exporter, OtlpCompression, OtlpProtocol, SinksConfig, StatsdDialect};

/// With every key there is.
const TOML: &str = r#"
interval = "1m 30s"

[[otlp]]
url = "http://collector:4317"
protocol = "grpc"
compression = "gzip"
resource = { "service.name" = "orders" }
max_points = 500
max_bytes = 1000000
basic = { user = "me", password_file = "/run/secrets/password" }
headers = { x-tenant = "hunter2" }
timeout = "5s"
buffer = 1048576

[[otlp]]
url = "http://collector:4318"

[[remote_write]]
url = "http://prometheus:9090/api/v1/write"
labels = { job = "orders", instance = "host-1" }
max_samples = 100
native_histograms = true
bearer_file = "/run/secrets/token"

[[pushgateway]]
url = "http://gateway:9091"
job = "nightly"
group = { path = "/var/tmp" }
add = true
delete_on_exit = true

[[statsd]]
address = "127.0.0.1:8125"
dialect = "dogstatsd"
prefix = "app."
max_length = 512
pause = "2ms"
buffer = 4096

[[statsd]]
socket = "/var/run/dsd.socket"
"#;

fn toml(text: &str) -> Result<SinksConfig, String> {
    SinksConfig::read(toml::Deserializer::new(text)).map_err(|error| error.to_string())
}

fn json(text: &str) -> Result<SinksConfig, String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    SinksConfig::read(&mut deserializer).map_err(|error| error.to_string())
}

fn yaml(text: &str) -> Result<SinksConfig, String> {
    let deserializer = serde_norway::Deserializer::from_str(text);
    SinksConfig::read(deserializer).map_err(|error| error.to_string())
}

fn exporter() -> Exporter {
    Exporter::builder().build().unwrap()
}

fn added(config: &SinksConfig) -> Result<String, String> {
    let sinks = config.add_to(exporter().sinks());
    let sinks = sinks.map_err(|error| error.to_string())?;
    Ok(format!("{sinks:?}"))
}

#[test]
fn every_key_is_read_and_becomes_a_sink() {
    let config = toml(TOML).unwrap();
    assert_eq!(config.interval, Some(Duration::from_secs(90)));
    let [grpc, http] = &*config.otlp else {
        panic!("{config:?}")
    };
    assert_eq!(grpc.protocol, OtlpProtocol::Grpc);
    assert_eq!(grpc.compression, OtlpCompression::Gzip);
    assert_eq!(http.protocol, OtlpProtocol::HttpProtobuf);
    assert_eq!(config.statsd[0].dialect, StatsdDialect::DogStatsd);

    let otlp = format!("{:?}", grpc.sink().unwrap());
    for part in [
        "http://collector:4317/opentelemetry",
        "(\"service.name\", \"orders\")",
        "max_points: 500",
        "max_bytes: 1000000",
        "gzip: true",
        "timeout: 5s",
        "buffer: 1048576",
        "credentials: Some",
        "\"x-tenant\": Sensitive",
    ] {
        assert!(otlp.contains(part), "no {part} in {otlp}");
    }
    let otlp = format!("{:?}", http.sink().unwrap());
    assert!(otlp.contains("http://collector:4318/v1/metrics"), "{otlp}");
    let write = format!("{:?}", config.remote_write[0].sink().unwrap());
    for part in [
        "[(\"instance\", \"host-1\"), (\"job\", \"orders\")]",
        "max_samples: 100",
        "natively: true",
        "credentials: Some",
    ] {
        assert!(write.contains(part), "no {part} in {write}");
    }
    let push = format!("{:?}", config.pushgateway[0].sink().unwrap());
    for part in ["nightly", "/var/tmp", "method: POST", "deletes: true"] {
        assert!(push.contains(part), "no {part} in {push}");
    }
    let statsd = format!("{:?}", config.statsd[0].sink().unwrap());
    for part in [
        "127.0.0.1:8125",
        "DogStatsd",
        "prefix: \"app.\"",
        "max_length: 512",
        "pause: 2ms",
        "buffer: 4096",
    ] {
        assert!(statsd.contains(part), "no {part} in {statsd}");
    }
    let statsd = format!("{:?}", config.statsd[1].sink().unwrap());
    assert!(statsd.contains("/var/run/dsd.socket"), "{statsd}");

    let sinks = added(&config).unwrap();
    assert!(sinks.contains("interval: 90s"), "{sinks}");
    assert_eq!(sinks.matches("Sink {").count(), 6, "{sinks}");
}

#[test]
fn what_is_left_out_is_as_by_default() {
    for config in [toml(""), json("{}"), yaml("{}")] {
        assert_eq!(config.unwrap(), SinksConfig::default());
    }
    let sinks = added(&SinksConfig::default()).unwrap();
    assert_eq!(sinks, format!("{:?}", exporter().sinks()));
}

#[test]
fn it_is_written_as_it_is_read_in_each_format() {
    let config = toml(TOML).unwrap();
    let text = toml::to_string(&config).unwrap();
    assert!(text.contains("interval = \"1m 30s\""), "{text}");
    assert_eq!(toml_of(&text), config);
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(json(&text).unwrap(), config);
    let text = serde_norway::to_string(&config).unwrap();
    assert_eq!(yaml(&text).unwrap(), config);
    // Nothing that was not said.
    assert_eq!(toml::to_string(&SinksConfig::default()).unwrap(), "");
}

fn toml_of(text: &str) -> SinksConfig {
    toml(text).unwrap()
}

#[test]
fn an_error_names_the_key_what_was_given_and_what_would_be_right() {
    for (key, value, right, json_text) in [
        (
            "interval",
            "\"10 parsecs\"",
            "a duration above zero with its unit, such as \"10s\"",
            r#"{"interval": "10 parsecs"}"#,
        ),
        ("interval", "15", "such as \"10s\"", r#"{"interval": 15}"#),
        (
            "otlp[0].timeout",
            "\"0s\"",
            "above zero",
            r#"{"otlp": [{"url": "http://c", "timeout": "0s"}]}"#,
        ),
        (
            "otlp[1].protocol",
            "`http/json`",
            "`http/protobuf` or `grpc`",
            r#"{"otlp": [{"url": "http://c"}, {"url": "http://c", "protocol": "http/json"}]}"#,
        ),
        (
            "otlp[0].compression",
            "`zstd`",
            "`none`",
            r#"{"otlp": [{"url": "http://c", "compression": "zstd"}]}"#,
        ),
        (
            "remote_write[0].timeuot",
            "`timeuot`",
            "`timeout`",
            r#"{"remote_write": [{"url": "http://c", "timeuot": "1s"}]}"#,
        ),
        (
            "pushgateway[0].job",
            "sequence",
            "a string",
            r#"{"pushgateway": [{"url": "http://c", "job": []}]}"#,
        ),
        (
            "statsd[0].buffer",
            "-1",
            "usize",
            r#"{"statsd": [{"address": "a:1", "buffer": -1}]}"#,
        ),
        ("graphite", "`graphite`", "`statsd`", r#"{"graphite": []}"#),
    ] {
        let document: serde_json::Value = serde_json::from_str(json_text).unwrap();
        for error in [
            json(json_text),
            toml(&toml::to_string(&document).unwrap()),
            yaml(&serde_norway::to_string(&document).unwrap()),
        ] {
            let error = error.unwrap_err();
            assert!(error.starts_with(&format!("{key}: ")), "{key}: {error}");
            assert!(error.contains(value), "{value}: {error}");
            assert!(error.contains(right), "{right}: {error}");
        }
    }
}

#[test]
fn what_can_be_read_and_cannot_be_is_an_error_of_its_key() {
    for (text, key, says) in [
        (
            r#"{"otlp": [{"url": "collector:4318"}]}"#,
            "otlp[0].url: ",
            "`collector:4318/v1/metrics`, is no URL: give one such as http://",
        ),
        (
            r#"{"remote_write": [{"url": "http://a"}, {"url": "ftp://a"}]}"#,
            "remote_write[1].url: ",
            "`ftp://a`",
        ),
        (
            r#"{"remote_write": [{"url": "http://a", "headers": {"a b": "hunter2"}}]}"#,
            "remote_write[0].headers: ",
            "`a b`",
        ),
        (
            r#"{"remote_write": [{"url": "http://a", "bearer_file": "a",
                "basic": {"user": "a", "password_file": "b"}}]}"#,
            "remote_write[0].basic: ",
            "bearer_file",
        ),
        (
            r#"{"pushgateway": [{"url": "http://a", "job": ""}]}"#,
            "pushgateway[0].job: ",
            "give it a name",
        ),
        (
            r#"{"pushgateway": [{"url": "http://a", "job": "a", "group": {"a-b": "c"}}]}"#,
            "pushgateway[0].group: ",
            "`a-b`",
        ),
        (
            r#"{"statsd": [{}]}"#,
            "statsd[0].address: ",
            "127.0.0.1:8125",
        ),
        (
            r#"{"statsd": [{"address": "localhost"}]}"#,
            "statsd[0].address: ",
            "`localhost`",
        ),
        (
            r#"{"statsd": [{"address": "a:1", "socket": "b"}]}"#,
            "statsd[0].socket: ",
            "give one of them",
        ),
    ] {
        let error = added(&json(text).unwrap()).unwrap_err();
        assert!(error.starts_with(key), "{error}");
        assert!(error.contains(says), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn what_headers_say_is_not_shown() {
    let config = toml(TOML).unwrap();
    let shown = format!("{config:?}");
    assert!(shown.contains("x-tenant"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}
