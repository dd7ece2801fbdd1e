//! Whatever is logged, and whatever is requested, a line is one line of valid JSON within its limits.

use std::{
    convert::Infallible,
    error::Error,
    fmt, io,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, Service as _, service_fn};
use tower_json_logging::{
    JsonLayer, JsonLogging, JsonLoggingLayer, Limits, PathPolicy, QueryPolicy, Schema, set,
};
use tracing::Span;
use tracing_core::{
    Callsite, Event, Interest, Kind, Level, Metadata,
    callsite::Identifier,
    field::{self, FieldSet, Value},
};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{input::Input, now::now, strict::Strict};

/// Takes the data apart, logs what it says, and looks at what was written.
///
/// # Panics
///
/// If that is not what it has to be.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let schema = match input.byte() % 4 {
        0 => Schema::seed(),
        1 => Schema::ecs(&input.text()),
        2 => Schema::open_telemetry(&input.text()),
        _ => Schema::seed()
            .constant(input.text(), &input.text())
            .key(tower_json_logging::Fact::Level, input.text()),
    };
    let longest = 512 + usize::from(input.byte()) * 64;
    let limits = Limits::new()
        .line(longest)
        .value(usize::from(input.byte()) * 8)
        .fields(usize::from(input.byte()));
    let searches = input.byte() % 2 == 0;

    let lines = Lines::default();
    let writer = lines.clone();
    let mut layer = JsonLayer::new(move || writer.clone())
        .schema(schema)
        .limits(limits);
    if searches {
        layer = layer.search_texts();
    }
    let logging = JsonLogging::new()
        .path(PathPolicy::raw())
        .query(match input.byte() % 3 {
            0 => QueryPolicy::raw(),
            1 => QueryPolicy::redact_secrets(),
            _ => QueryPolicy::default(),
        })
        .request_headers([http::header::ACCEPT, http::header::COOKIE]);
    let logging = if input.byte() % 2 == 0 {
        logging.direct(&layer)
    } else {
        logging
    };
    let request = request(&mut input);
    let (outer, inner, event) = (fields(&mut input), fields(&mut input), fields(&mut input));

    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        let service = service_fn(|_: Request<()>| {
            set("tenant", input.0.escape_ascii().to_string());
            let _outer = span(&outer).entered();
            let _inner = span(&inner).entered();
            log(&event);
            let response = Response::new(Full::<Bytes>::from("hello"));
            std::future::ready(Ok::<_, Infallible>(response))
        });
        let mut service = JsonLoggingLayer::from(logging).layer(service);
        let response = now(service.call(request)).expect("it never fails");
        now(response.into_body().collect()).expect("it never fails");
    });
    let written = lines.0.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(written.len(), 2);
    for line in written.iter() {
        check(line, longest);
    }
}

fn check(line: &[u8], longest: usize) {
    let text = std::str::from_utf8(line).expect("UTF-8");
    assert!(line.len() <= longest, "{} of {longest}: {text}", line.len());
    let inside = text.strip_suffix('\n').expect("a newline");
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    assert!(!inside.contains(breaks), "{inside:?}");
    let read: Result<Strict, _> = serde_json::from_str(inside);
    if let Err(error) = read {
        panic!("{error}: {inside}");
    }
}

fn request(input: &mut Input<'_>) -> Request<()> {
    let mut request = Request::new(());
    if let Ok(method) = Method::from_bytes(&input.bytes()) {
        *request.method_mut() = method;
    }
    if let Ok(uri) = Uri::try_from(input.bytes()) {
        *request.uri_mut() = uri;
    }
    for name in [
        "user-agent",
        "x-request-id",
        "traceparent",
        "accept",
        "cookie",
        "content-length",
    ] {
        if let Ok(value) = http::HeaderValue::from_bytes(&input.bytes()) {
            request.headers_mut().append(name, value);
        }
    }
    request
}

/// Something to be recorded under a name.
enum Recorded {
    Text(String),
    Shown(String),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Huge(u128),
    Bytes(Vec<u8>),
    Failed(Failed),
}

fn fields(input: &mut Input<'_>) -> Vec<(String, Recorded)> {
    const KNOWN: [&str; 12] = [
        "message",
        "level",
        "timestamp",
        "scan_id",
        "error",
        "error_sources",
        "function",
        "module",
        "fields.level",
        "password",
        "labels.a_b",
        "status",
    ];
    (0..input.byte() % 8)
        .map(|_| {
            let name = match usize::from(input.byte()) {
                known if known < KNOWN.len() => KNOWN[known].to_owned(),
                _ => input.text(),
            };
            let value = match input.byte() % 8 {
                0 => Recorded::Text(input.text()),
                1 => Recorded::Shown(input.text()),
                2 => Recorded::Signed(input.number().cast_signed()),
                3 => Recorded::Unsigned(input.number()),
                4 => Recorded::Float(f64::from_bits(input.number())),
                5 => Recorded::Huge(u128::from(input.number()) << 64),
                6 => Recorded::Bytes(input.bytes()),
                _ => Recorded::Failed(Failed(
                    input.text(),
                    Some(Box::new(Failed(input.text(), None))),
                )),
            };
            (name, value)
        })
        .collect()
}

#[derive(Debug)]
struct Failed(String, Option<Box<Self>>);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.1.as_deref()?)
    }
}

/// A callsite of these names. It is leaked, as callsites are for ever.
fn metadata(kind: Kind, fields: &[(String, Recorded)]) -> &'static Metadata<'static> {
    struct Site(OnceLock<Metadata<'static>>);

    impl Callsite for Site {
        fn set_interest(&self, _: Interest) {}

        fn metadata(&self) -> &Metadata<'_> {
            self.0.get_or_init(|| unreachable!("set when made"))
        }
    }

    let site: &'static Site = Box::leak(Box::new(Site(OnceLock::new())));
    let leak = |(name, _): &(String, Recorded)| &*Box::leak(name.clone().into_boxed_str());
    let names: Vec<&'static str> = fields.iter().map(leak).collect();
    let fields = FieldSet::new(Box::leak(names.into_boxed_slice()), Identifier(site));
    site.0.get_or_init(|| {
        Metadata::new(
            "made",
            "fuzz",
            Level::INFO,
            None,
            None,
            Some("fuzz::made"),
            fields,
            kind,
        )
    })
}

type WithValues<'a> = dyn FnMut(&[Option<&dyn Value>]) + 'a;

/// Gives the values of the fields to `f`, all at once.
fn values(rest: &[(String, Recorded)], done: &[Option<&dyn Value>], f: &mut WithValues<'_>) {
    let Some(((_, value), rest)) = rest.split_first() else {
        return f(done);
    };
    let mut next = |value: &dyn Value| {
        let mut done = done.to_vec();
        done.push(Some(value));
        values(rest, &done, f);
    };
    match value {
        Recorded::Text(value) => next(&value.as_str()),
        Recorded::Shown(value) => next(&field::display(value)),
        Recorded::Signed(value) => next(value),
        Recorded::Unsigned(value) => next(value),
        Recorded::Float(value) => next(value),
        Recorded::Huge(value) => next(value),
        Recorded::Bytes(value) => next(&value.as_slice()),
        Recorded::Failed(value) => next(&(value as &(dyn Error + 'static))),
    }
}

fn span(fields: &[(String, Recorded)]) -> Span {
    let metadata = metadata(Kind::SPAN, fields);
    let mut span = Span::none();
    values(fields, &[], &mut |values| {
        span = Span::new(metadata, &metadata.fields().value_set_all(values));
    });
    span
}

fn log(fields: &[(String, Recorded)]) {
    let metadata = metadata(Kind::EVENT, fields);
    values(fields, &[], &mut |values| {
        Event::dispatch(metadata, &metadata.fields().value_set_all(values));
    });
}

/// Keeps what is written, write by write.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<Vec<u8>>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
