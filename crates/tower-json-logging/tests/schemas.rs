//! Lines of each schema against the rules of those who read them.

#![expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]

#[cfg(test)]
mod common;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    error::Error,
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use common::Log;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Map, Value, json};
use tower::{Layer as _, Service as _, service_fn};
use tower_json_logging::{
    Fact, Fields, JsonLogging, JsonLoggingLayer, LevelNames, PathPolicy, RateLimit, Sample, Schema,
    set,
};
use tracing_subscriber::layer::SubscriberExt as _;

fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

fn send(logging: JsonLogging, request: Request<()>, status: u16, f: impl Fn()) {
    let service = service_fn(|_: Request<()>| {
        f();
        let response = Response::builder().status(status);
        let response = response.body(Full::<Bytes>::from("hello")).unwrap();
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let layer = JsonLoggingLayer::from(logging);
    let response = now(layer.layer(service).call(request)).unwrap();
    now(response.into_body().collect()).unwrap();
}

#[derive(Debug)]
struct Failed(io::Error);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("scan failed")
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// Lines of all kinds: requests and events, well and ill, with what programs record.
fn corpus(schema: Schema) -> Vec<Value> {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.layer().schema(schema));
    tracing::subscriber::with_default(subscriber, || {
        for status in [200, 404, 503] {
            let mut request = Request::post("http://scans/scans/7?type=mcp&token=x")
                .header("user-agent", "curl/8.4.0")
                .header("content-length", "120")
                .header("content-type", "application/json")
                .header(
                    "traceparent",
                    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                )
                .body(())
                .unwrap();
            request
                .extensions_mut()
                .insert(SocketAddr::from(([10, 0, 0, 1], 4711)));
            let logging = JsonLogging::new()
                .route(|_| Some(String::from("/scans/{id}")))
                .path(PathPolicy::raw());
            send(logging, request, status, || {
                set("scan_id", "7d0f");
                set("tenant", "acme");
                let _scan = tracing::info_span!("scan", files = 7, log.level = "x").entered();
                let error = Failed(io::Error::other("disk full"));
                let error: &(dyn Error + 'static) = &error;
                tracing::error!(error, message = "failed", status = "own", level = 3);
                tracing::warn!(
                    labels = "l",
                    timestamp = 7,
                    big = u64::MAX,
                    nan = f64::NAN,
                    "odd"
                );
                tracing::info!(user.name = "u", event = "e", trace_flags = 1, "dotted");
            });
        }
        send(JsonLogging::new(), Request::new(()), 200, || {});
        tracing::debug!("outside");
        tracing::trace!(long = "x".repeat(10_000), "cut");
    });
    log.lines()
}

fn objects(lines: &[Value]) -> impl Iterator<Item = &Map<String, Value>> {
    lines.iter().map(|line| line.as_object().unwrap())
}

/// `strict_date_optional_time`, in the form that this crate writes.
fn is_date(text: &str) -> bool {
    let form = "dddd-dd-ddTdd:dd:dd.ddddddZ";
    text.len() == form.len()
        && text
            .bytes()
            .zip(form.bytes())
            .all(|(byte, form)| match form {
                b'd' => byte.is_ascii_digit(),
                form => byte == form,
            })
}

/// What Elasticsearch makes of a value that it has no mapping for.
fn mapped(value: &Value) -> Option<&'static str> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some("boolean"),
        // Larger ones are refused.
        Value::Number(number) if number.is_i64() => Some("long"),
        Value::Number(number) => {
            assert!(!number.is_u64(), "{number}");
            Some("float")
        }
        Value::String(text) if is_date(text) => Some("date"),
        Value::String(_) => Some("text"),
        Value::Array(values) => values.iter().find_map(mapped),
        Value::Object(_) => Some("object"),
    }
}

/// Every path of a document, as Elasticsearch reads dots: `a.b` is `b` in `a`.
fn paths(prefix: &str, object: &Map<String, Value>, out: &mut Vec<(String, &'static str)>) {
    for (key, value) in object {
        assert!(
            !key.is_empty() && !key.starts_with('.') && !key.ends_with('.'),
            "{key:?}"
        );
        let path = format!("{prefix}{key}");
        for (at, _) in path.match_indices('.') {
            out.push((path[..at].to_owned(), "object"));
        }
        if let Some(kind) = mapped(value) {
            out.push((path.clone(), kind));
        }
        if let Value::Object(inner) = value {
            paths(&format!("{path}."), inner, out);
        }
    }
}

#[test]
fn elasticsearch_could_index_all_lines_of_a_schema_together() {
    for schema in [
        Schema::seed(),
        Schema::ecs("scans"),
        Schema::open_telemetry("scans"),
    ] {
        // Duplicate keys are refused where lines are read.
        let lines = corpus(schema);
        assert_eq!(lines.len(), 15);
        let mut mapping: BTreeMap<String, &str> = BTreeMap::new();
        for line in objects(&lines) {
            let mut found = Vec::new();
            paths("", line, &mut found);
            for (path, kind) in found {
                // The program's own choice: the request's is a number.
                if path == "status" || path == "event" {
                    continue;
                }
                let known = *mapping.entry(path.clone()).or_insert(kind);
                assert_eq!(known, kind, "{path}");
            }
        }
        assert!(mapping.len() < 1000);
    }
}

#[test]
fn ecs_lines_are_valid_by_the_specification_of_ecs_logging() {
    let spec: Value = serde_json::from_str(include_str!("data/ecs-logging/spec.json")).unwrap();
    let known: Value = serde_json::from_str(include_str!("data/ecs-logging/fields.json")).unwrap();
    let lines = corpus(Schema::ecs("scans"));
    let log = Log::default();
    let layer = log.layer().schema(Schema::ecs("scans"));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info!("order");
    });
    let raw = log.raw().remove(0);

    for (name, field) in spec["fields"].as_object().unwrap() {
        for line in objects(&lines) {
            let value = line.get(name);
            assert!(
                value.is_some() || field["required"] != json!(true),
                "{name}"
            );
            match (value, field["type"].as_str()) {
                (None, _) | (Some(Value::String(_)), Some("string")) => {}
                (Some(Value::String(date)), Some("datetime")) => assert!(is_date(date), "{date}"),
                (value, kind) => panic!("{name}: {value:?} is no {kind:?}"),
            }
        }
        if let Some(index) = field["index"].as_u64() {
            // No key before these has a comma within.
            let at = raw[1..]
                .split(',')
                .position(|part| part.starts_with(&format!("\"{name}\":")));
            assert_eq!(at, usize::try_from(index).ok(), "{name} in {raw}");
        }
    }
    for line in objects(&lines) {
        for (key, value) in line {
            if let Some(label) = key.strip_prefix("labels.") {
                assert!(!label.contains(['.', '*', '\\']), "{key}");
                assert!(value.is_string(), "{key}");
                continue;
            }
            let field = known
                .get(key)
                .unwrap_or_else(|| panic!("{key} is no field of ECS"));
            assert_eq!(value.is_array(), field["array"] == true, "{key}: {value}");
            let values = value
                .as_array()
                .map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
            let kind = field["type"].as_str().unwrap();
            for value in values {
                let fits = match kind {
                    "date" => value.as_str().is_some_and(is_date),
                    "long" => value.is_i64(),
                    "ip" => value
                        .as_str()
                        .is_some_and(|ip| ip.parse::<IpAddr>().is_ok()),
                    _ => value.is_string(),
                };
                assert!(fits, "{key}: {value} is no {kind}");
                let allowed = field["allowed"].as_array();
                assert!(
                    allowed.is_none_or(|allowed| allowed.contains(value)),
                    "{key}: {value}"
                );
            }
        }
    }
    let request = objects(&lines)
        .find(|line| line.contains_key("event.outcome"))
        .unwrap();
    assert_eq!(request["event.category"], json!(["web"]));
    assert_eq!(request["labels.scan_id"], "7d0f");
    assert_eq!(request["url.query"], "type=[REDACTED]&token=[REDACTED]");
    let failed = objects(&lines)
        .find(|line| line.contains_key("error.stack_trace"))
        .unwrap();
    assert_eq!(failed["error.stack_trace"], "caused by: disk full");
}

#[test]
fn open_telemetry_lines_have_the_data_models_fields() {
    let lines = corpus(Schema::open_telemetry("scans"));
    for line in objects(&lines) {
        assert_eq!(line["resource"], json!({"service.name": "scans"}));
        assert!(line["body"].is_string() && line["scope"]["name"].is_string());
        let severity = match line["severity_text"].as_str().unwrap() {
            "TRACE" => 1,
            "DEBUG" => 5,
            "INFO" => 9,
            "WARN" => 13,
            "ERROR" => 17,
            other => panic!("{other}"),
        };
        assert_eq!(line["severity_number"], severity);
    }
    let failed = objects(&lines)
        .find(|line| {
            line.get("attributes")
                .is_some_and(|all| all["error.type"] == "503")
        })
        .unwrap();
    assert_eq!(failed["event_name"], "http.server.request");
    assert_eq!(failed["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(failed["span_id"], "00f067aa0ba902b7");
    assert_eq!(failed["trace_flags"], "01");
    let attributes = &failed["attributes"];
    assert_eq!(attributes["http.request.method"], "POST");
    assert_eq!(attributes["http.route"], "/scans/{id}");
    assert_eq!(attributes["http.response.status_code"], 503);
    assert_eq!(attributes["scan.id"], "7d0f");
    assert_eq!(attributes["tenant"], "acme");
    assert!(attributes["http.server.request.duration"].is_f64());
}

#[test]
fn a_schema_of_ones_own_has_its_keys_its_order_and_its_levels() {
    let schema = Schema::empty()
        .within("a")
        .key(Fact::Level, "severity")
        .at_the_top()
        .key(Fact::Message, "")
        .within("a")
        .key(Fact::Module, "m")
        .constant("c", "\"")
        .fields(Fields::Flat)
        .level_names(LevelNames::Python);
    let log = Log::default();
    let layer = log.layer().schema(schema);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::warn!(severity = 1, x = 2, "hello");
        tracing::info!("no fields");
    });
    assert_eq!(
        log.raw(),
        [
            concat!(
                r#"{"a":{"severity":"WARNING","m":"schemas","c":"\"","fields.severity":1,"x":2},"#,
                r#""_":"hello"}"#,
                "\n"
            ),
            "{\"a\":{\"severity\":\"INFO\",\"m\":\"schemas\",\"c\":\"\\\"\"},\"_\":\"no fields\"}\n",
        ]
    );
}

#[test]
fn names_of_levels_and_keys_are_whatever_text() {
    let schema = Schema::seed()
        .key(Fact::Level, "le\"vel")
        .level_names(LevelNames::Custom(["T", "D", "in\"fo\n", "W", "E"]))
        .within("message")
        .constant("of", "mine");
    let log = Log::default();
    let layer = log.layer().schema(schema);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info!("hello");
    });
    let line = log.line();
    assert_eq!(line["le\"vel"], "in\"fo\n");
    assert_eq!(line["message"], serde_json::json!({"of": "mine"}));
    assert_eq!(log.raw()[0].matches("\"message\"").count(), 1);
}

#[test]
fn a_key_given_twice_is_the_last_ones() {
    let schema = Schema::seed()
        .key(Fact::Level, "message")
        .without(Fact::Function)
        .constant("module", "mine");
    let log = Log::default();
    let layer = log.layer().schema(schema);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info!("hello");
    });
    let line = log.line();
    assert_eq!(line["message"], "INFO");
    assert_eq!(line["module"], "mine");
    assert_eq!(line.get("level"), None);
}

#[test]
fn a_place_that_logs_too_often_is_held_back_and_says_so() {
    let log = Log::default();
    let layer = log
        .layer()
        .rate_limit(RateLimit::new(2, Duration::from_secs(3600)));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for number in 0..10 {
            tracing::info!(number, "often");
        }
        tracing::info!("another place");
    });
    assert_eq!(log.lines().len(), 3);
}

#[test]
fn the_line_after_those_that_were_held_back_follows_one_that_tells_how_many() {
    let log = Log::default();
    let layer = log
        .layer()
        .rate_limit(RateLimit::new(1, Duration::from_millis(100)));
    let mut tries = 0;
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let is_told = |line: &Value| line.get("suppressed").is_some();
        // However long that takes: the first of them are held back, and one is not.
        while !log.lines().iter().any(is_told) {
            tries += 1;
            tracing::info!(tries, "often");
        }
    });
    let lines = log.lines();
    let (told, last) = (&lines[lines.len() - 2], &lines[lines.len() - 1]);
    assert_eq!(told["message"], "lines were held back");
    assert_eq!(told["level"], "WARN");
    assert_eq!(told["module"], last["module"]);
    assert_eq!(last["tries"], tries);
    let passed = lines.len() - 1;
    assert_eq!(told["suppressed"], tries - passed);
}

#[test]
fn of_requests_that_are_sampled_errors_have_a_line() {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let logging = || JsonLogging::new().sample(Sample::one_in(1_000_000));
        for status in [200, 503, 200, 404] {
            send(logging(), Request::new(()), status, || {});
        }
        send(
            JsonLogging::new().sample(Sample::one_in(1)),
            Request::new(()),
            200,
            || {},
        );
    });
    let lines = log.lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[0]["status"], lines[0].get("sample_rate")),
        (&json!(503), None)
    );
    assert_eq!(lines[1]["sample_rate"], 1.0);
}

#[test]
fn headers_that_were_asked_for_are_one_object() {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let logging = JsonLogging::new().request_headers(
            ["accept", "accept", "x-none", "cookie"].map(http::HeaderName::from_static),
        );
        let request = Request::get("/")
            .header("accept", "a/b")
            .header("accept", "c/\"d")
            .header("cookie", "x=y")
            .body(())
            .unwrap();
        send(logging, request, 200, || {});
    });
    let expected = json!({"accept": "a/b, c/\"d", "cookie": "[REDACTED]"});
    assert_eq!(log.line()["request_headers"], expected);
}
