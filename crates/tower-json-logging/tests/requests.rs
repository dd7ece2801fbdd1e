//! One line a request, however it ends.

#[cfg(test)]
mod common;

use std::{
    convert::Infallible,
    fmt,
    future::{Future, pending},
    io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use common::Log;
use http::{HeaderName, Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Empty, Full};
use serde_json::{Value, json};
use tower::{Layer as _, Service as _, service_fn};
use tower_json_logging::{JsonLogging, JsonLoggingLayer, PathPolicy, QueryPolicy, RequestContext};
use tower_observe::{End, Exchange, ManualClock, ObserveLayer, RequestHead};
use tracing::{
    Event, Id, Subscriber,
    field::{Field, Visit},
    span::Attributes,
};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    layer::{self, SubscriberExt as _},
};

const TRACE_PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Polls once.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls something that is ready.
fn now<F: Future>(future: F) -> F::Output {
    match poll(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

fn hello() -> Response<Full<Bytes>> {
    Response::new(Full::from("hello"))
}

fn get(path: &str) -> Request<()> {
    Request::get(path).body(()).unwrap_or_default()
}

/// Calls a service within the layer, reads the response to its end if `f` gives one, and returns the log.
fn logged<B>(
    layer: &JsonLoggingLayer,
    request: Request<()>,
    f: impl FnMut(Request<()>) -> Result<Response<B>, io::Error>,
) -> Log
where
    B: Body,
{
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let mut f = f;
        let service = service_fn(|request| std::future::ready(f(request)));
        if let Ok(response) = now(layer.layer(service).call(request)) {
            let _read = now(response.into_body().collect()).is_ok();
        }
    });
    log
}

/// What the line says something of.
fn keys(line: &Value) -> Vec<&String> {
    line.as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key)
        .collect()
}

fn outcome(line: &Value) -> (&str, u64, &str) {
    (
        line["outcome"].as_str().unwrap_or("none"),
        line["status"].as_u64().unwrap_or(0),
        line["level"].as_str().unwrap_or("none"),
    )
}

#[test]
fn a_complete_request_is_one_line_with_its_facts_in_order() {
    let clock = ManualClock::new();
    let logging = JsonLogging::new()
        .route(|_| Some(String::from("/scans/{id}")))
        .path(PathPolicy::raw());
    let layer = JsonLoggingLayer::from(logging).clock(clock.clock());
    let mut request = Request::post("/scans/7?token=hunter2")
        .header("user-agent", "curl/8.4.0")
        .header("x-request-id", "01HF8Z")
        .header("traceparent", TRACE_PARENT)
        .body(())
        .unwrap();
    request
        .extensions_mut()
        .insert(SocketAddr::from(([10, 0, 0, 1], 4711)));

    let log = logged(&layer, request, |_| {
        clock.advance(Duration::from_micros(12_345));
        Ok(hello())
    });

    let raw = log.raw().remove(0);
    let (timestamp, rest) = raw.split_at("{\"timestamp\":\"2026-11-23T03:16:37.651503Z\"".len());
    assert!(timestamp.ends_with("Z\""), "{timestamp}");
    assert_eq!(
        rest,
        concat!(
            r#","level":"INFO","message":"POST /scans/{id} 200","module":"http.access","#,
            r#""function":"request","request_id":"01HF8Z","#,
            r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","#,
            r#""event":"http_request","method":"POST","route":"/scans/{id}","path":"/scans/7","#,
            r#""query":"token=[REDACTED]","status":200,"outcome":"complete","duration_ms":12.345,"ttfb_ms":12.345,"#,
            r#""bytes_out":5,"protocol":"HTTP/1.1","client_ip":"10.0.0.1","#,
            r#""user_agent":"curl/8.4.0"}"#,
            "\n"
        )
    );
}

#[test]
fn what_is_not_known_is_left_out() {
    let line = logged(&JsonLoggingLayer::new(), get("/"), |_| Ok(hello())).line();
    for key in [
        "route",
        "client_ip",
        "user_agent",
        "trace_id",
        "span_id",
        "scan_id",
    ] {
        assert_eq!(line.get(key), None);
    }
}

#[cfg(feature = "axum")]
#[test]
fn the_route_is_the_matched_path_of_axum() {
    use tower::ServiceExt as _;

    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let app = axum::Router::new()
            .route("/scans/{id}", axum::routing::get(async || "hello"))
            .layer(JsonLoggingLayer::new());
        let request = Request::get("/scans/7").body(axum::body::Body::empty());
        drop(now(now(app.oneshot(request.unwrap()))
            .unwrap()
            .into_body()
            .collect()));
    });
    let line = log.line();
    assert_eq!(line["message"], "GET /scans/{id} 200");
    assert_eq!(line["route"], "/scans/{id}");
    assert_eq!(line.get("path"), None); // nobody said that there are no secrets in it
}

#[test]
fn an_unknown_method_is_kept_apart() {
    let request = Request::builder().method("PURGE").body(()).unwrap();
    let line = logged(&JsonLoggingLayer::new(), request, |_| Ok(hello())).line();
    assert_eq!(line["method"], "_OTHER");
    assert_eq!(line["method_original"], "PURGE");
}

#[test]
fn a_server_error_is_at_error_and_a_client_error_is_not() {
    for (status, level) in [(200, "INFO"), (404, "INFO"), (500, "ERROR"), (503, "ERROR")] {
        let log = logged(&JsonLoggingLayer::new(), get("/"), |_| {
            let mut response = hello();
            *response.status_mut() = status.try_into().unwrap();
            Ok(response)
        });
        assert_eq!(outcome(&log.line()), ("complete", u64::from(status), level));
    }
}

#[test]
fn a_service_error_is_one_line() {
    let log = logged(&JsonLoggingLayer::new(), get("/"), |_| {
        Err::<Response<Empty<Bytes>>, _>(io::Error::other("down"))
    });
    let line = log.line();
    assert_eq!(outcome(&line), ("service_error", 500, "ERROR"));
    assert_eq!(line.get("ttfb_ms"), None);
}

struct Broken;

impl Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(Err(io::Error::other("broken"))))
    }
}

#[test]
fn a_body_error_is_one_line() {
    let log = logged(&JsonLoggingLayer::new(), get("/"), |_| {
        Ok(Response::new(Broken))
    });
    assert_eq!(outcome(&log.line()), ("body_error", 500, "ERROR"));
}

#[test]
fn a_response_to_head_and_one_without_content_are_one_line() {
    let head = Request::head("/").body(()).unwrap();
    let log = logged(&JsonLoggingLayer::new(), head, |_| Ok(hello()));
    let line = log.line();
    assert_eq!(outcome(&line), ("complete", 200, "INFO"));
    assert_eq!(line["bytes_out"], 0);

    let log = logged(&JsonLoggingLayer::new(), get("/"), |_| {
        Ok(Response::builder()
            .status(204)
            .body(Empty::<Bytes>::new())
            .unwrap())
    });
    assert_eq!(outcome(&log.line()), ("complete", 204, "INFO"));
}

#[test]
fn a_switch_of_protocols_is_one_line() {
    let log = logged(&JsonLoggingLayer::new(), get("/ws"), |_| {
        Ok(Response::builder()
            .status(101)
            .body(Empty::<Bytes>::new())
            .unwrap())
    });
    assert_eq!(outcome(&log.line()), ("upgraded", 101, "INFO"));
}

#[test]
fn a_client_gone_before_the_head_is_one_line() {
    for polls in [0, 1] {
        let log = Log::default();
        let subscriber = tracing_subscriber::registry().with(log.layer());
        tracing::subscriber::with_default(subscriber, || {
            let mut service = JsonLoggingLayer::new().layer(service_fn(|_: Request<()>| {
                pending::<Result<Response<Full<Bytes>>, Infallible>>()
            }));
            let mut future = Box::pin(service.call(get("/")));
            for _ in 0..polls {
                assert!(poll(future.as_mut()).is_pending());
            }
            assert!(log.lines().is_empty());
        });
        let line = log.line();
        assert_eq!(outcome(&line), ("client_gone_before_head", 499, "INFO"));
        assert_eq!(line.get("ttfb_ms"), None);
    }
}

#[test]
fn a_client_gone_in_the_body_is_one_line() {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let service = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(hello()) });
        drop(now(JsonLoggingLayer::new().layer(service).call(get("/"))));
    });
    let line = log.line();
    assert_eq!(outcome(&line), ("client_gone_in_body", 499, "INFO"));
    assert_eq!(line["ttfb_ms"].as_f64().map(|ms| ms >= 0.0), Some(true));
}

#[test]
fn a_panic_is_one_line_and_goes_on() {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let mut service = JsonLoggingLayer::new().layer(service_fn(|_: Request<()>| async {
            tracing::info!("about to");
            assert!(std::hint::black_box(false), "by intent");
            Ok::<_, Infallible>(hello())
        }));
        let mut future = Box::pin(service.call(get("/")));
        assert!(catch_unwind(AssertUnwindSafe(|| poll(future.as_mut()))).is_err());
        drop(future);
        // Nothing of it sticks to the thread.
        tracing::info!("afterwards");
    });
    let lines = log.lines();
    assert_eq!(lines.len(), 3);
    assert_eq!(outcome(&lines[1]), ("panic", 500, "ERROR"));
    assert_eq!(lines[0]["request_id"], lines[1]["request_id"]);
    assert_eq!(lines[2].get("request_id"), None);
}

#[test]
fn a_scan_id_recorded_late_is_on_every_later_line() {
    let log = logged(&JsonLoggingLayer::new(), get("/"), |_| {
        tracing::info!("before");
        tracing::Span::current().record("scan_id", "7d0f");
        let _work = tracing::info_span!("work").entered();
        tracing::info!("after");
        Ok(hello())
    });
    let scans: Vec<_> = log
        .lines()
        .iter()
        .map(|line| line.get("scan_id").cloned())
        .collect();
    assert_eq!(scans, [None, Some(json!("7d0f")), Some(json!("7d0f"))]);
}

#[test]
fn a_filter_for_errors_keeps_what_they_belong_to() {
    let log = Log::default();
    let filtered = log.layer().with_filter(EnvFilter::new("error"));
    let subscriber = tracing_subscriber::registry().with(filtered);
    tracing::subscriber::with_default(subscriber, || {
        let mut service = JsonLoggingLayer::new().layer(service_fn(|_: Request<()>| async {
            tracing::Span::current().record("scan_id", "7d0f");
            tracing::info!("not written");
            tracing::error!("written");
            Ok::<_, Infallible>(hello())
        }));
        let request = Request::get("/")
            .header("x-request-id", "abc")
            .body(())
            .unwrap();
        drop(now(service.call(request)));
    });
    let line = log.line();
    assert_eq!(line["message"], "written");
    assert_eq!(line["request_id"], "abc");
    assert_eq!(line["scan_id"], "7d0f");
}

#[test]
fn the_service_gets_the_id_that_the_response_echoes() {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let mut service =
            JsonLoggingLayer::new().layer(service_fn(|request: Request<()>| async move {
                let context = RequestContext::current().unwrap();
                assert_eq!(request.headers()["x-request-id"], "not good");
                assert_ne!(context.request_id().as_str(), "not good");
                Ok::<_, Infallible>(hello())
            }));
        let request = Request::get("/")
            .header("x-request-id", "not good")
            .body(())
            .unwrap();
        let response = now(service.call(request)).unwrap();
        let echoed = response.headers()["x-request-id"].clone();
        drop(response);
        assert_eq!(log.line()["request_id"], echoed.to_str().unwrap());
    });
}

/// Notes the values that are recorded as text.
#[derive(Clone, Default)]
struct Texts(Arc<Mutex<Vec<String>>>);

impl Visit for Texts {
    fn record_str(&mut self, field: &Field, value: &str) {
        if let Ok(mut texts) = self.0.lock() {
            texts.push(format!("{field} {value}"));
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

impl<S: Subscriber> tracing_subscriber::Layer<S> for Texts {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: layer::Context<'_, S>) {
        attributes.record(&mut self.clone());
    }

    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        event.record(&mut self.clone());
    }
}

#[test]
fn layers_of_others_see_ids_as_text_in_the_span_and_in_the_line() {
    let text = Log::default();
    let texts = Texts::default();
    let layers = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(text.clone());
    let subscriber = tracing_subscriber::registry()
        .with(layers)
        .with(texts.clone());
    tracing::subscriber::with_default(subscriber, || {
        let mut service = JsonLoggingLayer::new().layer(service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(hello())
        }));
        let request = Request::get("/")
            .header("x-request-id", "7d0f")
            .header("traceparent", TRACE_PARENT)
            .body(());
        drop(now(service.call(request.unwrap())));
    });

    let ids = [
        "request_id 7d0f",
        "trace_id 4bf92f3577b34da6a3ce929d0e0e4736",
    ];
    let seen = texts.0.lock().unwrap();
    let seen: Vec<_> = seen.iter().filter(|text| text.contains("_id ")).collect();
    assert_eq!(seen, [ids, ids].as_flattened());
    // Text is what it writes in quotes.
    let quoted = r#"request_id="7d0f" trace_id="4bf92f3577b34da6a3ce929d0e0e4736""#;
    assert_eq!(text.raw().concat().matches(quoted).count(), 2);
}

#[test]
fn an_id_that_the_service_sets_is_kept() {
    let service = service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(
            Response::builder()
                .header("x-request-id", "its own")
                .body(Full::<Bytes>::default())
                .unwrap(),
        )
    });
    let response = now(JsonLoggingLayer::new().layer(service).call(get("/"))).unwrap();
    assert_eq!(response.headers()["x-request-id"], "its own");
}

#[test]
fn a_skipped_request_has_no_line_but_its_id() {
    let layer = JsonLoggingLayer::new().skip(|request| request.uri().path() == "/health");
    let log = logged(&layer, get("/health"), |_| {
        tracing::warn!("not so well");
        Ok(hello())
    });
    let line = log.line();
    assert_eq!(line["message"], "not so well");
    assert!(line["request_id"].is_string());
}

#[test]
fn a_hostile_request_is_one_line() {
    let request = Request::builder()
        .method(Method::GET)
        .uri(format!("/{}", "%0a\"".repeat(5000).replace('"', "%22")))
        .header("user-agent", "a\tb\u{85}c\u{2028}\"level\":\"x".as_bytes())
        .body(())
        .unwrap();
    let layer = JsonLoggingLayer::from(JsonLogging::new().path(PathPolicy::raw()));
    let line = logged(&layer, request, |_| Ok(hello())).line();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["truncated"], true);
    assert_eq!(line["user_agent"], "a\tb\u{85}c\u{2028}\"level\":\"x");
    assert_eq!(line["status"], 200);
}

#[test]
fn a_long_header_is_cut_and_the_line_says_so() {
    let name = HeaderName::from_static("x-scan");
    let layer = JsonLoggingLayer::from(JsonLogging::new().request_headers([name.clone()]));
    for (len, is_cut) in [(1024, false), (1025, true)] {
        let mut request = get("/");
        let value = "a".repeat(len).parse().unwrap();
        request.headers_mut().insert(name.clone(), value);
        let line = logged(&layer, request, |_| Ok(hello())).line();
        assert_eq!(line["request_headers"]["x-scan"], "a".repeat(1024));
        assert_eq!(line.get("truncated").is_some(), is_cut, "{line}");
    }
}

#[test]
fn observers_after_it_run_in_the_span_of_the_request() {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let other = |_: &mut RequestHead<'_>| |_: &End<'_>| tracing::info!("observed");
        let service = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(hello()) });
        let layer = ObserveLayer::new((JsonLogging::new(), other));
        drop(now(layer.layer(service).call(get("/"))));
    });
    let lines = log.lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["request_id"], lines[1]["request_id"]);
}

#[test]
fn its_line_has_the_fields_of_the_span_of_an_observer_after_it() {
    struct Inner(tracing::Span);

    impl Exchange for Inner {
        fn scope<R>(&self, f: impl FnOnce() -> R) -> R {
            self.0.in_scope(f)
        }
    }

    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let other = |_: &mut RequestHead<'_>| Inner(tracing::info_span!("scan", scan_id = "7d0f"));
        let service = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(hello()) });
        let layer = ObserveLayer::new((JsonLogging::new(), other));
        drop(now(layer.layer(service).call(get("/"))));
    });
    let line = log.line();
    assert_eq!(line["scan_id"], "7d0f", "{line}");
}

#[test]
fn its_line_has_the_fields_of_the_spans_around_it_in_each_layer() {
    let logs = [Log::default(), Log::default()];
    let [one, other] = &logs;
    let subscriber = tracing_subscriber::registry()
        .with(one.layer())
        .with(other.layer());
    tracing::subscriber::with_default(subscriber, || {
        let _connection = tracing::info_span!("connection", peer = "a", port = 1).entered();
        let _stream = tracing::info_span!("stream", peer = "b").entered();
        let service = service_fn(|_: Request<()>| async {
            tower_json_logging::set("tenant", "acme");
            Ok::<_, Infallible>(hello())
        });
        let layer = JsonLoggingLayer::new();
        drop(now(layer.layer(service).call(get("/"))));
    });
    for log in &logs {
        let line = log.line();
        let fields = ["tenant", "peer", "port"].map(|name| line[name].clone());
        assert_eq!(fields, [json!("acme"), json!("b"), json!(1)], "{line}");
    }
}

#[test]
fn what_a_request_said_is_not_on_a_later_ones_line() {
    let header = HeaderName::from_static("x-scan");
    let logging = JsonLogging::new()
        .path(PathPolicy::raw())
        .query(QueryPolicy::raw())
        .route(|request| request.headers().get("x-scan").map(|_| "/scans".to_owned()))
        .client_ip(|request| {
            request
                .headers()
                .get("x-scan")
                .map(|_| [10, 0, 0, 1].into())
        })
        .request_headers([header.clone()])
        .response_headers([header.clone()]);
    let layer = JsonLoggingLayer::from(logging);
    let plain = || Request::get("*").body(()).unwrap();
    let before = logged(&layer, plain(), |_| Ok(hello())).line();
    let full = Request::post("https://scans.example/scans/7?all=1")
        .header(&header, "1")
        .header("x-request-id", "given")
        .header("traceparent", TRACE_PARENT)
        .header("user-agent", "curl/8.4.0")
        .header("content-length", "7")
        .body(())
        .unwrap();
    let line = logged(&layer, full, |_| {
        tower_json_logging::set("tenant", "acme");
        let mut response = hello();
        response.headers_mut().insert(&header, "2".parse().unwrap());
        Ok(response)
    });
    let line = line.line();
    for key in [
        "route",
        "path",
        "query",
        "bytes_in",
        "client_ip",
        "user_agent",
        "trace_id",
        "tenant",
        "request_headers",
        "response_headers",
    ] {
        assert!(line.get(key).is_some(), "{key} is not in {line}");
    }
    let after = logged(&layer, plain(), |_| Ok(hello())).line();
    assert_eq!(keys(&after), keys(&before));
    assert_eq!(after["method"], "GET");
    assert_ne!(after["request_id"], "given");
}

/// As above, with a request that leaves no memory to let go of.
#[test]
fn what_a_request_said_in_passing_is_not_on_a_later_ones_line() {
    let logging = JsonLogging::new()
        .route(|request| (*request.method() == Method::POST).then(|| "/scans".to_owned()));
    let layer = JsonLoggingLayer::from(logging);
    let before = logged(&layer, get("/"), |_| Ok(hello())).line();
    let mut full = Request::post("/scans/7")
        .header("traceparent", TRACE_PARENT)
        .header("user-agent", "curl/8.4.0")
        .header("content-length", "7")
        .body(())
        .unwrap();
    full.extensions_mut()
        .insert(SocketAddr::from(([10, 0, 0, 1], 4711)));
    let line = logged(&layer, full, |_| Ok(hello())).line();
    for key in ["route", "bytes_in", "client_ip", "user_agent", "trace_id"] {
        assert!(line.get(key).is_some(), "{key} is not in {line}");
    }
    let after = logged(&layer, get("/"), |_| Ok(hello())).line();
    assert_eq!(keys(&after), keys(&before));
}

#[test]
fn what_a_service_was_told_to_ask_is_not_known_from_elsewhere() {
    let logging = JsonLogging::new().client_ip(|_| None);
    let mut request = get("/");
    request
        .extensions_mut()
        .insert(SocketAddr::from(([10, 0, 0, 1], 4711)));
    let line = logged(&logging.into(), request, |_| Ok(hello())).line();
    assert_eq!(line.get("client_ip"), None, "{line}");
}

/// The lines of a request that axum has a route for, and then of one that it has none for.
#[cfg(feature = "axum")]
fn with_a_route_and_without(logging: JsonLogging) -> Vec<Value> {
    use tower::ServiceExt as _;

    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let app = axum::Router::new()
            .route("/scans/{id}", axum::routing::get(async || "ok"))
            .layer(JsonLoggingLayer::from(logging));
        for path in ["/scans/7", "/nothing"] {
            let request = Request::get(path).body(axum::body::Body::empty());
            let Ok(response) = now(app.clone().oneshot(request.unwrap_or_default()));
            drop(now(response.into_body().collect()));
        }
    });
    log.lines()
}

#[cfg(feature = "axum")]
#[test]
fn the_route_of_axum_is_not_on_the_next_line() {
    let lines = with_a_route_and_without(JsonLogging::new());
    let routes = lines.iter().map(|line| line.get("route"));
    assert!(routes.eq([Some(&json!("/scans/{id}")), None]), "{lines:#?}");
}

#[cfg(feature = "axum")]
#[test]
fn a_route_that_is_not_told_is_not_that_of_axum() {
    let lines = with_a_route_and_without(JsonLogging::new().route(|_| None));
    let mut routes = lines.iter().map(|line| line.get("route"));
    assert!(routes.all(|route| route.is_none()), "{lines:#?}");
}

#[test]
fn a_thousand_interleaved_requests_do_not_mix() {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let service = service_fn(|request: Request<()>| async move {
            drop(request);
            let id = RequestContext::current().unwrap();
            let id = id.request_id().to_string();
            let mut polls = 0;
            std::future::poll_fn(|_| {
                polls += 1;
                tracing::info!(expected = id, "working");
                if polls == 3 {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
            Ok::<_, Infallible>(hello())
        });
        let mut service = JsonLoggingLayer::new().layer(service);
        let mut running: Vec<_> = (0..1000)
            .map(|_| Box::pin(service.call(get("/"))))
            .collect();
        for _ in 0..3 {
            for future in &mut running {
                if let Poll::Ready(response) = poll(future.as_mut()) {
                    now(response.unwrap().into_body().collect()).unwrap();
                }
            }
        }
    });
    let lines = log.lines();
    assert_eq!(lines.len(), 4000);
    for line in &lines {
        assert!(line["request_id"].is_string());
        if line["message"] == "working" {
            assert_eq!(line["expected"], line["request_id"]);
        } else {
            assert_eq!(line["outcome"], "complete");
        }
    }
}
