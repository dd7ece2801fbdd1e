//! Secrets are planted wherever a client or a service may leave one, and looked for in all that is written.

#[cfg(test)]
mod common;

use std::{
    cell::Cell,
    convert::Infallible,
    error::Error,
    fmt,
    future::Future,
    panic::catch_unwind,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use common::Log;
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, Service as _, service_fn};
use tower_json_logging::{JsonLogging, JsonLoggingLayer, PanicHook, Schema, set};
use tracing::field;
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

/// Makes secrets, each of which can be told from all else.
#[derive(Default)]
struct Planted(Cell<u32>);

impl Planted {
    fn one(&self) -> String {
        self.0.set(self.0.get() + 1);
        format!("canary{:04}Xy", self.0.get())
    }
}

const HEADERS: [&str; 20] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
    "x-xsrf-token",
    "x-amz-security-token",
    "x-goog-iam-authorization-token",
    "x-forwarded-client-cert",
    "x-vault-token",
    "x-webhook-secret",
    "stripe-key",
    "x-db-password",
    "x-session-cookie",
    "referer",
    "x-custom",
    "from",
    "traceparent",
];

/// An error, and what led to it.
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

/// Texts as errors have them, with a secret in each.
fn texts(planted: &Planted) -> Vec<String> {
    [
        "cannot connect to postgres://scanner:{}@db/scans",
        "GET https://user:{}@host/path failed",
        "redis://:{}@cache:6379: refused",
        "401 for Authorization: Bearer {}",
        "401 for authorization: Basic {}==",
        "sent bearer {}",
        "token={} is expired",
        "password: {}",
        r#"{"api_key": "{}", "user": 7}"#,
        r#"Config { client_secret: "{}", retries: 3 }"#,
        "DB_PASSWORD='{}' is wrong",
        "cookie: session={}",
        "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n{}",
        "ghp_{}abcdefgh is revoked",
        "xoxb-{}abcdefgh",
        "AKIA{}ABCDEF",
        "sk-{}abcdefgh",
        "glpat-{}abcdefgh",
        "jwt eyJhbGciOi.{}.c2lnbmF0dXJl",
    ]
    .iter()
    .map(|text| text.replace("{}", &planted.one()))
    .collect()
}

fn request(planted: &Planted) -> Request<()> {
    let mut query = Vec::new();
    for name in [
        "token",
        "access_token",
        "code",
        "state",
        "sig",
        "Signature",
        "AWSAccessKeyId",
        "api_key",
        "password",
        "q",
        "next",
        "email",
        "a.b",
        "x[]",
        "%74oken",
    ] {
        query.push(format!("{name}={}", planted.one()));
    }
    query.push(planted.one());
    query.push(format!("={}", planted.one()));
    query.push(format!("; session={}", planted.one()).replace(' ', "%20"));
    let path = format!(
        "/t/{}/invite/{}/{}",
        planted.one(),
        planted.one(),
        planted.one()
    );
    let mut request = Request::post(format!(
        "http://user:{}@host{path}?{}",
        planted.one(),
        query.join("&")
    ));
    for name in HEADERS {
        request = request.header(name, planted.one());
    }
    request.body(()).unwrap_or_default()
}

fn log_fields(planted: &Planted) {
    macro_rules! fields {
        ($($name:literal),+ $(,)?) => {
            $(
                tracing::info!($name = planted.one(), "text");
                tracing::info!($name = %planted.one(), "display");
                tracing::info!($name = ?planted.one(), "debug");
                let _span = tracing::info_span!("s", $name = planted.one()).entered();
            )+
        };
    }
    fields!(
        "password",
        "user.password",
        "passwd",
        "db_passwd",
        "client_secret",
        "accessToken",
        "refresh_token",
        "id-token",
        "api_key",
        "x-api-key",
        "Authorization",
        "cookie",
        "set_cookie",
        "private_key",
        "credential",
        "aws_credentials",
        "passphrase",
        "bearer",
    );
    for name in ["password", "session_token", "x_api_key", "my.secret"] {
        assert!(set(name, planted.one()));
    }
    tracing::info!("in the request, with what was set");
}

fn log_errors(planted: &Planted) {
    for text in texts(planted) {
        let error = Failed(text, None);
        tracing::error!(error = &error as &dyn Error, "as an error");
    }
    for text in texts(planted) {
        let error = Failed(text, None);
        tracing::error!(cause = &error as &dyn Error, "as an error of another name");
    }
    for text in texts(planted) {
        tracing::error!(error = %text, "as a text");
    }
    for (text, inner) in texts(planted).into_iter().zip(texts(planted)) {
        let source = Failed(
            String::from("outer"),
            Some(Box::new(Failed(text, Some(Box::new(Failed(inner, None)))))),
        );
        tracing::error!(error = &source as &dyn Error, "with sources");
    }
}

/// Panics that say what errors say, as `unwrap` does; they are caught, as servers do.
#[cfg(test)]
fn panic_with(planted: &Planted) {
    for text in texts(planted) {
        let scan = || Err::<(), _>(Failed(text.clone(), None));
        assert!(catch_unwind(|| scan().expect("it can be scanned")).is_err());
        assert!(catch_unwind(|| panic!("{text}")).is_err());
    }
}

/// Secrets in a span, recorded when it is there already.
fn log_late(planted: &Planted) {
    let span = tracing::info_span!("late", token = field::Empty, error = field::Empty).entered();
    span.record("token", planted.one());
    span.record("error", format!("postgres://scans:{}@db", planted.one()));
    tracing::info!("in the span");
}

#[test]
fn no_planted_secret_is_written_and_the_request_is_not_touched() {
    PanicHook::new().backtrace(true).install();
    for schema in [
        Schema::seed(),
        Schema::ecs("scans"),
        Schema::open_telemetry("scans"),
    ] {
        let (through, direct) = (Log::default(), Log::default());
        let planted = Planted::default();
        let subscriber =
            tracing_subscriber::registry().with(through.layer().schema(schema.clone()));
        let logging = JsonLogging::new()
            .request_headers(
                HEADERS[..16]
                    .iter()
                    .map(|name| HeaderName::from_static(name)),
            )
            .response_headers(
                HEADERS[..16]
                    .iter()
                    .map(|name| HeaderName::from_static(name)),
            );
        let layers = [
            JsonLoggingLayer::from(logging.clone()),
            JsonLoggingLayer::from(logging.direct(&direct.layer().schema(schema))),
        ];
        tracing::subscriber::with_default(subscriber, || {
            for layer in layers {
                let sent = request(&planted);
                let (uri, headers) = (sent.uri().clone(), sent.headers().clone());
                let service = service_fn(|request: Request<()>| {
                    assert_eq!(*request.uri(), uri);
                    assert_eq!(*request.headers(), headers);
                    assert_eq!(headers.len(), HEADERS.len());
                    log_fields(&planted);
                    log_errors(&planted);
                    log_late(&planted);
                    panic_with(&planted);
                    let response = HEADERS[..16]
                        .iter()
                        .fold(Response::builder(), |response, name| {
                            response.header(*name, planted.one())
                        });
                    let body = Full::<Bytes>::from(planted.one());
                    std::future::ready(Ok::<_, Infallible>(response.body(body).unwrap()))
                });
                let response = now(layer.layer(service).call(sent)).unwrap();
                now(response.into_body().collect()).unwrap();
            }
        });
        // In two requests.
        assert!(planted.0.get() >= 2 * 200, "{}", planted.0.get());
        let written = [through.raw(), direct.raw()].concat();
        assert_eq!(through.lines().len() + direct.lines().len(), written.len());
        assert!(written.len() > 250);
        let is_panic = |line: &&String| line.contains("\"panic\"");
        assert_eq!(written.iter().filter(is_panic).count(), 80);
        for line in &written {
            assert!(!line.contains("canary"), "{line}");
        }
        // Not because there was nothing to be seen.
        assert!(written.concat().matches("[REDACTED]").count() > 400);
    }
}

#[test]
fn asked_to_it_searches_every_text() {
    let log = Log::default();
    let planted = Planted::default();
    let subscriber = tracing_subscriber::registry().with(log.layer().search_texts());
    tracing::subscriber::with_default(subscriber, || {
        for text in texts(&planted) {
            tracing::info!("{text}");
            tracing::info!(note = text, "as a field");
        }
    });
    for line in log.raw() {
        assert!(!line.contains("canary"), "{line}");
    }
}

#[test]
fn a_secret_at_the_cut_leaves_no_part() {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for before in 8150..8200 {
            let text = format!("{} Bearer canary0001Xy", "x".repeat(before));
            let error = Failed(text, None);
            tracing::error!(error = &error as &dyn Error, "cut");
        }
    });
    assert!(log.raw().iter().all(|line| !line.contains("canary")));
}

#[test]
fn a_field_that_is_added_is_a_secret() {
    let log = Log::default();
    let layer = log.layer().secret_field("ssn");
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info!(user_ssn = "canary0001Xy", "x");
    });
    assert_eq!(log.line()["user_ssn"], "[REDACTED]");
}
