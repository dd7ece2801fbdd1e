//! What a line holds, whatever is logged.

#[cfg(test)]
mod common;

use std::{
    collections::BTreeMap,
    error::Error,
    fmt, io,
    panic::catch_unwind,
    sync::{Mutex, OnceLock},
};

use common::Log;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value as Json, json};
use tower_json_logging::{JsonLayer, Limits};
use tracing::{Event, Level, Metadata, Span, field};
use tracing_core::{
    Callsite, Interest, Kind,
    callsite::Identifier,
    field::{FieldSet, Value},
};
use tracing_subscriber::layer::SubscriberExt as _;

fn with(log: &Log, f: impl FnOnce()) {
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, f);
}

fn line(f: impl FnOnce()) -> Json {
    let log = Log::default();
    with(&log, f);
    log.line()
}

#[test]
fn a_line_begins_with_the_keys_of_the_schema() {
    let log = Log::default();
    with(&log, || {
        let _span = tracing::info_span!("scan_file", size = 7, scan_id = 12).entered();
        tracing::warn!(findings = 3, request_id = "r", "found {}", "some");
    });
    let raw = log.raw().remove(0);
    let rest = raw.split_once("Z\",").map(|(_, rest)| rest);
    assert_eq!(
        rest,
        Some(concat!(
            r#""level":"WARN","message":"found some","module":"lines","function":"scan_file","#,
            r#""scan_id":"12","request_id":"r","findings":3,"size":7}"#,
            "\n"
        ))
    );
}

#[test]
fn a_line_without_a_message_has_an_empty_one() {
    assert_eq!(line(|| tracing::info!(a = 1))["message"], "");
    assert_eq!(line(|| tracing::info!(message = 7))["message"], "7");
}

#[test]
fn the_nearest_span_of_the_module_is_the_function_unless_said() {
    let function = |f: &dyn Fn()| line(f).get("function").cloned();
    assert_eq!(function(&|| tracing::info!("x")), None);
    assert_eq!(
        function(&|| {
            let _outer = tracing::info_span!("outer").entered();
            let _inner = tracing::info_span!("inner").entered();
            let _other = metadata_span();
            tracing::info!("x");
        }),
        Some(json!("inner"))
    );
    assert_eq!(
        function(&|| {
            let _outer = tracing::info_span!("outer", function = "no").entered();
            tracing::info!(function = "said", "x");
        }),
        Some(json!("said"))
    );
}

/// A span of another module, entered.
fn metadata_span() -> tracing::span::EnteredSpan {
    let metadata = metadata(Kind::SPAN, &[]);
    Span::new(metadata, &metadata.fields().value_set_all(&[])).entered()
}

#[test]
fn no_field_forges_a_key_of_the_schema() {
    let line = line(|| {
        let _span = tracing::info_span!(
            "s",
            message = "span's",
            module = "evil",
            function = "f",
            timestamp = 1
        )
        .entered();
        tracing::info!(
            level = 98,
            timestamp = "never",
            target = "t",
            truncated = true,
            "real"
        );
    });
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["message"], "real");
    assert_eq!(line["module"], "lines");
    assert_eq!(line["function"], "s");
    assert_eq!(line.get("target"), None);
    assert_eq!(line.get("truncated"), None);
    assert_eq!(line["fields.level"], 98);
    assert_eq!(line["fields.timestamp"], "never");
    assert_eq!(line["fields.message"], "span's");
    assert_eq!(line["fields.module"], "evil");
    assert_eq!(line["fields.target"], "t");
    assert_eq!(line["fields.truncated"], true);
}

#[test]
fn the_event_wins_over_the_span_and_the_inner_span_over_the_outer() {
    let line = line(|| {
        let _outer = tracing::info_span!("outer", a = 1, b = 1, c = 1).entered();
        let _inner = tracing::info_span!("inner", a = 2, b = 2).entered();
        tracing::info!(a = 3);
    });
    assert_eq!(
        (&line["a"], &line["b"], &line["c"]),
        (&json!(3), &json!(2), &json!(1))
    );
}

#[test]
fn what_is_recorded_later_wins_and_is_on_later_lines() {
    let log = Log::default();
    with(&log, || {
        let span = tracing::info_span!("outer", scan_id = field::Empty, step = 1).entered();
        let inner = tracing::info_span!("inner").entered();
        tracing::info!("first");
        span.record("scan_id", "7d0f").record("step", "two");
        tracing::info!("second");
        span.record("step", 3);
        drop(inner);
        tracing::info!("third");
    });
    let seen: Vec<_> = log
        .lines()
        .iter()
        .map(|line| (line.get("scan_id").cloned(), line["step"].clone()))
        .collect();
    let scan = Some(json!("7d0f"));
    assert_eq!(
        seen,
        [
            (None, json!(1)),
            (scan.clone(), json!("two")),
            (scan, json!(3))
        ]
    );
}

#[test]
fn values_have_their_json_form() {
    let line = line(|| {
        tracing::info!(
            int = -7_i64,
            most = i64::MAX.unsigned_abs(),
            too_big = u64::MAX,
            bigger = i128::MIN,
            float = 0.1,
            whole = 2.0,
            huge = 1e300,
            nan = f64::NAN,
            infinite = f64::INFINITY,
            yes = true,
            bytes = &b"\x00\xff"[..],
            debug = ?Some("quoted"),
            shown = %"plain",
        );
    });
    assert_eq!(line["int"], -7);
    assert_eq!(line["most"], i64::MAX);
    assert_eq!(line["too_big"], "18446744073709551615");
    assert_eq!(line["bigger"], "-170141183460469231731687303715884105728");
    assert_eq!(line["float"], 0.1);
    assert_eq!(line["whole"], 2.0);
    assert_eq!(line["huge"], 1e300);
    assert_eq!(line["nan"], Json::Null);
    assert_eq!(line["infinite"], Json::Null);
    assert_eq!(line["yes"], true);
    assert_eq!(line["bytes"], "00ff");
    assert_eq!(line["debug"], "Some(\"quoted\")");
    assert_eq!(line["shown"], "plain");
}

/// An error with what led to it.
#[derive(Debug)]
struct Chain(String, Option<Box<Self>>);

impl Chain {
    fn new(texts: &[String]) -> Option<Self> {
        let (first, rest) = texts.split_first()?;
        Some(Self(first.clone(), Self::new(rest).map(Box::new)))
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Chain {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.1.as_deref()?)
    }
}

#[test]
fn an_error_has_its_sources() {
    let chain = Chain::new(&["scan failed", "no model", "disk\nfull"].map(String::from)).unwrap();
    let line = line(|| tracing::error!(error = &chain as &dyn Error, "x"));
    assert_eq!(line["error"], "scan failed");
    assert_eq!(line["error_sources"], json!(["no model", "disk\nfull"]));
}

/// Its own source: a chain without an end.
#[derive(Debug)]
struct Endless;

impl fmt::Display for Endless {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl Error for Endless {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self)
    }
}

#[test]
fn a_later_error_has_no_sources_of_the_one_before() {
    let chain = Chain::new(&["scan failed", "no model"].map(String::from)).unwrap();
    let error = &chain as &dyn Error;
    let twice = line(|| tracing::error!(error, error = "gave up"));
    let recorded_again = line(|| {
        let span = tracing::info_span!("scan", error).entered();
        span.record("error", "gave up");
        tracing::info!("in the span");
    });
    for line in [twice, recorded_again] {
        assert_eq!(line["error"], "gave up");
        assert_eq!(line.get("error_sources"), None);
    }
}

#[test]
fn an_error_without_an_end_has_one() {
    let line = line(|| tracing::error!(error = &Endless as &dyn Error, "x"));
    assert_eq!(line["truncated"], true);
    assert!(line["error_sources"].as_array().unwrap().len() < 8192);
}

#[test]
fn secrets_are_not_written_and_not_even_formatted() {
    struct Untouchable;
    impl fmt::Debug for Untouchable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("formatted")
        }
    }

    let log = Log::default();
    let layer = log.layer().allow_field("page-token");
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        let span = tracing::info_span!(
            "s",
            Authorization = "Bearer hunter2",
            api.key = field::Empty
        );
        span.record("api.key", "hunter2");
        let _entered = span.entered();
        let error = Chain::new(&["hunter2", "hunter2"].map(String::from)).unwrap();
        tracing::info!(
            password = "hunter2",
            user_password = 2,
            client_secret = ?Untouchable,
            token = &error as &dyn Error,
            page_token = "written",
            "x"
        );
    });
    assert!(!log.raw().concat().contains("hunter2"));
    let line = log.line();
    for key in [
        "Authorization",
        "api.key",
        "password",
        "user_password",
        "client_secret",
        "token",
    ] {
        assert_eq!(line[key], "[REDACTED]", "{key}");
    }
    assert_eq!(line["page_token"], "written");
}

#[test]
fn two_layers_keep_their_own_rules() {
    let (open, closed) = (Log::default(), Log::default());
    let subscriber = tracing_subscriber::registry()
        .with(open.layer().allow_field("token"))
        .with(closed.layer());
    tracing::subscriber::with_default(subscriber, || {
        let span = tracing::info_span!("s", token = "t", late = field::Empty).entered();
        span.record("late", 1);
        tracing::info!("x");
    });
    assert_eq!(open.line()["token"], "t");
    assert_eq!(closed.line()["token"], "[REDACTED]");
    assert_eq!(
        (&open.line()["late"], &closed.line()["late"]),
        (&json!(1), &json!(1))
    );
}

#[test]
fn a_long_value_is_cut_and_the_line_says_so() {
    let line = line(|| tracing::info!(long = "é".repeat(10_000), short = 1, "x"));
    assert_eq!(line["long"], "é".repeat(4096));
    assert_eq!(line["short"], 1);
    assert_eq!(line["truncated"], true);
}

#[test]
fn a_debug_without_an_end_has_one() {
    struct Endless;
    impl fmt::Debug for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            loop {
                f.write_str("on and ")?;
            }
        }
    }
    let line = line(|| tracing::info!(forever = ?Endless, "x"));
    assert_eq!(line["forever"].as_str().unwrap().len(), 8192);
}

#[test]
fn a_debug_that_fails_leaves_what_there_was() {
    struct Failing;
    impl fmt::Debug for Failing {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("so far")?;
            Err(fmt::Error)
        }
    }
    let line = line(|| tracing::info!(failing = ?Failing, after = 1, "x"));
    assert_eq!(line["failing"], "so far");
    assert_eq!(line["after"], 1);
}

#[test]
fn a_debug_that_panics_leaves_no_half_line() {
    struct Panicking;
    impl fmt::Debug for Panicking {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("by intent")
        }
    }
    let log = Log::default();
    with(&log, || {
        assert!(catch_unwind(|| tracing::info!(a = 1, b = ?Panicking, "lost")).is_err());
        let span = tracing::info_span!("s", c = field::Empty).entered();
        let record = || span.record("c", field::debug(Panicking));
        assert!(catch_unwind(std::panic::AssertUnwindSafe(record)).is_err());
        tracing::info!("next");
    });
    let line = log.line();
    assert_eq!(line["message"], "next");
    assert_eq!((line.get("a"), line.get("c")), (None, None));
}

struct Failing;

impl io::Write for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("disk full"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_written_and_lost_are_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        line(|| tracing::warn!("written"));
        let lost = JsonLayer::new(Mutex::new(Failing));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lost), || {
            tracing::info!("lost");
            tracing::info!("lost");
        });
    });
    let mut counted: Vec<_> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let labels = key.key().labels();
            let labels = labels.map(|label| format!("{}={}", label.key(), label.value()));
            let labels: Vec<_> = labels.collect();
            (key.key().name().to_owned(), labels.join(" "), value)
        })
        .collect();
    counted.sort_by(|one, other| one.0.cmp(&other.0));
    let entry = |name: &str, label: &str, count| {
        (
            name.to_owned(),
            label.to_owned(),
            DebugValue::Counter(count),
        )
    };
    assert_eq!(
        counted,
        [
            entry("log_lines_dropped_total", "reason=io_error level=INFO", 2),
            entry("log_lines_total", "level=WARN", 1),
        ]
    );
}

#[test]
fn a_record_of_log_has_the_module_it_came_from() {
    // As `tracing-log` makes them.
    let names = [
        "message",
        "log.target",
        "log.module_path",
        "log.file",
        "log.line",
    ];
    let metadata = log_metadata(&names);
    let line = line(|| {
        let values: [&dyn Value; 5] = [&"hi", &"sqlx", &"sqlx::query", &"query.rs", &7];
        let values = values.map(Some);
        Event::dispatch(metadata, &metadata.fields().value_set_all(&values));
    });
    assert_eq!(line["message"], "hi");
    assert_eq!(line["module"], "sqlx::query");
    assert_eq!(line.as_object().unwrap().len(), 4);
}

/// A callsite whose names are known only when the test runs.
struct Site(OnceLock<Metadata<'static>>);

impl Callsite for Site {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        self.0.get_or_init(|| unreachable!("set when made"))
    }
}

fn site(names: &[&str]) -> (&'static Site, FieldSet) {
    let site: &'static Site = Box::leak(Box::new(Site(OnceLock::new())));
    let leak = |name: &&str| &*Box::leak(name.to_owned().to_owned().into_boxed_str());
    let names: Vec<&'static str> = names.iter().map(leak).collect();
    (
        site,
        FieldSet::new(Box::leak(names.into_boxed_slice()), Identifier(site)),
    )
}

fn metadata(kind: Kind, names: &[&str]) -> &'static Metadata<'static> {
    let (site, fields) = site(names);
    let path = Some("other::module");
    site.0
        .get_or_init(|| Metadata::new("made", "other", Level::INFO, None, None, path, fields, kind))
}

fn log_metadata(names: &[&str]) -> &'static Metadata<'static> {
    let (site, fields) = site(names);
    let kind = Kind::EVENT;
    site.0.get_or_init(|| {
        Metadata::new(
            "log event",
            "log",
            Level::INFO,
            None,
            None,
            None,
            fields,
            kind,
        )
    })
}

/// Something to be recorded.
#[derive(Clone, Debug)]
enum Recorded {
    Text(String),
    Shown(String),
    I64(i64),
    U64(u64),
    F64(f64),
    Bool(bool),
    I128(i128),
    U128(u128),
    Bytes(Vec<u8>),
    Error(Vec<String>),
}

impl Recorded {
    fn with<R>(&self, f: impl FnOnce(&dyn Value) -> R) -> R {
        match self {
            Self::Text(value) => f(&value.as_str()),
            Self::Shown(value) => f(&field::display(value)),
            Self::I64(value) => f(value),
            Self::U64(value) => f(value),
            Self::F64(value) => f(value),
            Self::Bool(value) => f(value),
            Self::I128(value) => f(value),
            Self::U128(value) => f(value),
            Self::Bytes(value) => f(&value.as_slice()),
            Self::Error(texts) => match Chain::new(texts) {
                Some(chain) => f(&(&chain as &(dyn Error + 'static))),
                None => f(&"none"),
            },
        }
    }

    /// The JSON that is to be read back; `text` if the key's values are always strings.
    fn expected(&self, text: bool) -> Json {
        match self {
            Self::Text(value) | Self::Shown(value) => json!(value),
            Self::I64(value) if text => json!(value.to_string()),
            Self::I64(value) => json!(value),
            Self::U64(value) if text || i64::try_from(*value).is_err() => json!(value.to_string()),
            Self::U64(value) => json!(value),
            Self::F64(value) if text => json!(format!("{value:?}")),
            Self::F64(value) => json!(value),
            Self::Bool(value) if text => json!(value.to_string()),
            Self::Bool(value) => json!(value),
            Self::I128(value) => json!(value.to_string()),
            Self::U128(value) => json!(value.to_string()),
            Self::Bytes(value) => {
                let digits: Vec<_> = value.iter().map(|byte| format!("{byte:02x}")).collect();
                json!(digits.concat())
            }
            Self::Error(texts) => json!(texts.first().map_or("none", |text| text)),
        }
    }

    /// Records fields all at once.
    fn all(fields: &[(String, Self)], f: &mut dyn FnMut(&[Option<&dyn Value>])) {
        fn next(
            rest: &[(String, Recorded)],
            done: &[Option<&dyn Value>],
            f: &mut dyn FnMut(&[Option<&dyn Value>]),
        ) {
            match rest.split_first() {
                None => f(done),
                Some(((_, value), rest)) => value.with(|value| {
                    let mut done = done.to_vec();
                    done.push(Some(value));
                    next(rest, &done, f);
                }),
            }
        }
        next(fields, &[], f);
    }
}

/// The rules of keys and of precedence, told a second time and in another way.
#[derive(Default)]
struct Model(BTreeMap<String, Json>);

impl Model {
    /// Fields recorded at one place, the first place first.
    fn add(&mut self, fields: &[(String, Recorded)], is_event: bool) {
        let mut here = BTreeMap::new();
        for (name, value) in fields {
            let name = name.strip_prefix("r#").unwrap_or(name);
            let reserved = match name {
                "timestamp" | "level" | "module" | "target" | "truncated" | "@timestamp"
                | "error_sources" => true,
                "message" | "function" => !is_event,
                _ => false,
            };
            let schema = !reserved
                && matches!(
                    name,
                    "message"
                        | "function"
                        | "scan_id"
                        | "request_id"
                        | "trace_id"
                        | "span_id"
                        | "error"
                );
            let key = match name {
                "" => String::from("_"),
                name if reserved => format!("fields.{name}"),
                name => String::from(name),
            };
            if name == "password" {
                here.insert(key, json!("[REDACTED]"));
                continue;
            }
            here.insert(key.clone(), value.expected(schema));
            if name == "error" {
                here.remove("error_sources");
            }
            if let Recorded::Error(texts) = value {
                if let Some((_, sources)) = texts.split_first().filter(|(_, rest)| !rest.is_empty())
                {
                    let name = if name.is_empty() { "_" } else { name };
                    here.insert(format!("{name}_sources"), json!(sources));
                }
            }
        }
        // The sources of an error that is hidden by a nearer one are not the nearer one's.
        if self.0.contains_key("error") {
            here.remove("error_sources");
        }
        for (key, value) in here {
            self.0.entry(key).or_insert(value);
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    let odd = select(vec![
        '"', '\\', '\n', '\0', '\u{7f}', '\u{85}', '\u{2028}', '\u{2029}', '\u{1b}',
    ]);
    let chars = prop_oneof![any::<char>(), odd, proptest::char::range(' ', '~')];
    vec(chars, 0..12).prop_map(String::from_iter)
}

fn name() -> impl Strategy<Value = String> {
    let known = select(vec![
        "",
        "_",
        "a",
        "b",
        "a.b",
        "r#type",
        "type",
        "message",
        "level",
        "timestamp",
        "module",
        "function",
        "target",
        "@timestamp",
        "truncated",
        "scan_id",
        "request_id",
        "trace_id",
        "span_id",
        "error",
        "error_sources",
        "fields.level",
        "fields.message",
        "password",
    ]);
    prop_oneof![3 => known.prop_map(String::from), 1 => text()]
}

fn recorded() -> impl Strategy<Value = Recorded> {
    prop_oneof![
        text().prop_map(Recorded::Text),
        text().prop_map(Recorded::Shown),
        any::<i64>().prop_map(Recorded::I64),
        any::<u64>().prop_map(Recorded::U64),
        proptest::num::f64::ANY.prop_map(Recorded::F64),
        any::<bool>().prop_map(Recorded::Bool),
        any::<i128>().prop_map(Recorded::I128),
        any::<u128>().prop_map(Recorded::U128),
        vec(any::<u8>(), 0..9).prop_map(Recorded::Bytes),
        vec(text(), 1..4).prop_map(Recorded::Error),
    ]
}

fn fields() -> impl Strategy<Value = Vec<(String, Recorded)>> {
    vec((name(), recorded()), 0..6)
}

/// Logs an event with these fields, within spans with those, the outermost first.
fn log_all(layer: JsonLayer, spans: &[Vec<(String, Recorded)>], event: &[(String, Recorded)]) {
    let names = |fields: &[(String, Recorded)], kind| {
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        metadata(kind, &names)
    };
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let mut entered = Vec::new();
        for fields in spans {
            let metadata = names(fields, Kind::SPAN);
            Recorded::all(fields, &mut |values| {
                entered
                    .push(Span::new(metadata, &metadata.fields().value_set_all(values)).entered());
            });
        }
        let metadata = names(event, Kind::EVENT);
        Recorded::all(event, &mut |values| {
            Event::dispatch(metadata, &metadata.fields().value_set_all(values));
        });
        while entered.pop().is_some() {}
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_fields_are_one_valid_line_and_read_back(event in fields(), spans in vec(fields(), 0..3)) {
        let log = Log::default();
        log_all(log.layer(), &spans, &event);
        let mut line = log.line();

        let mut model = Model::default();
        model.add(&event, true);
        for span in spans.iter().rev() {
            model.add(span, false);
        }
        let mut expected = model.0;
        for (key, value) in [("message", ""), ("module", "other::module"), ("level", "INFO")] {
            expected.entry(String::from(key)).or_insert_with(|| json!(value));
        }
        if !spans.is_empty() {
            expected.entry(String::from("function")).or_insert_with(|| json!("made"));
        }

        let line = line.as_object_mut().unwrap();
        prop_assert!(line.remove("timestamp").is_some_and(|time| time.is_string()));
        let line: BTreeMap<String, Json> = std::mem::take(line).into_iter().collect();
        prop_assert_eq!(line, expected);
    }

    #[test]
    fn whatever_the_limits_a_line_is_valid_and_within(
        event in fields(),
        spans in vec(fields(), 0..3),
        long in option::of(text()),
        times in 1..2000_usize,
        (most_line, most_value, most_fields) in (0..4000_usize, 0..4000_usize, 0..20_usize),
    ) {
        let mut event = event;
        if let Some(long) = long {
            event.push((String::from("message"), Recorded::Shown(long.repeat(times))));
            event.push((String::from("scan_id"), Recorded::Text(long.repeat(times))));
            event.push((String::from("long"), Recorded::Text(long.repeat(times))));
        }
        let limits = Limits::new().line(most_line).value(most_value).fields(most_fields);
        let log = Log::default();
        log_all(log.layer().limits(limits), &spans, &event);

        prop_assert!(log.raw().concat().len() <= most_line.max(512));
        let line = log.line();
        for key in ["timestamp", "level", "message", "module"] {
            prop_assert!(line[key].is_string());
        }
        let own = line.as_object().unwrap().keys().filter(|key| {
            !["timestamp", "level", "message", "module", "function", "scan_id", "request_id",
                "trace_id", "span_id", "error", "error_sources", "truncated"].contains(&key.as_str())
        });
        prop_assert!(own.count() <= most_fields);
    }
}
