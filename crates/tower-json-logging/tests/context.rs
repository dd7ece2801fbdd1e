//! What is set in a request is on its later lines, wherever it was set.

#[cfg(test)]
mod common;

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    sync::mpsc,
    task::{Context, Poll, Waker},
    thread,
};

use bytes::Bytes;
use common::Log;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tower::{Layer as _, Service as _, service_fn};
use tower_json_logging::{
    ContextHandle, JsonLogging, JsonLoggingLayer, RequestContext, Schema, set,
};
use tracing::field;
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _};

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

/// Sends a request to `f` within the layer.
fn send(layer: &JsonLoggingLayer, request: Request<()>, f: impl Fn(Request<()>)) {
    let service = service_fn(|request: Request<()>| {
        f(request);
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(
            "hello",
        ))))
    });
    let response = now(layer.layer(service).call(request)).unwrap();
    now(response.into_body().collect()).unwrap();
}

fn logged(f: impl Fn(Request<()>)) -> Vec<Value> {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let logging = JsonLogging::new().insert_context();
        send(&JsonLoggingLayer::from(logging), Request::new(()), f);
    });
    log.lines()
}

#[test]
fn what_is_set_anywhere_is_on_later_lines_and_on_the_requests_own() {
    fn deep() {
        let _inner = tracing::info_span!("inner", tenant = "of the span").entered();
        assert!(set("scan_id", "7d0f"));
        assert!(set("tenant", String::from("acme")));
        assert!(set("tenant", "other"));
        assert!(set("db_ms", 3.5));
        assert!(set("cached", true));
        assert!(set("rows", u64::MAX));
        assert!(set("delta", -7));
        tracing::info!("inner");
    }
    let lines = logged(|_| {
        tracing::info!("before");
        deep();
        tracing::info!(tenant = "of the event", "after");
    });
    let [before, inner, after, request] = &lines[..] else {
        panic!("{lines:#?}")
    };
    assert_eq!(before.get("scan_id"), None);
    assert_eq!(inner["tenant"], "of the span");
    assert_eq!(after["tenant"], "of the event");
    assert_eq!(request["tenant"], "other");
    for line in [inner, after, request] {
        assert_eq!(line["scan_id"], "7d0f");
        assert_eq!(line["db_ms"], 3.5);
        assert_eq!(line["cached"], true);
        assert_eq!(line["rows"], u64::MAX.to_string());
        assert_eq!(line["delta"], -7);
    }
}

#[test]
fn it_survives_a_filter_for_errors() {
    let log = Log::default();
    let layer = log.layer().with_filter(EnvFilter::new("error"));
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        send(&JsonLoggingLayer::new(), Request::new(()), |_| {
            let _not_there = tracing::info_span!("filtered").entered();
            assert!(set("scan_id", "7d0f"));
            tracing::info!("not written");
            tracing::error!("written");
        });
    });
    let line = log.line();
    assert_eq!(line["message"], "written");
    assert_eq!(line["scan_id"], "7d0f");
    assert!(line["request_id"].is_string());
}

#[test]
fn it_is_found_in_spans_that_only_others_see() {
    let log = Log::default();
    let layer = log.layer().with_filter(EnvFilter::new("error"));
    let other = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
    let subscriber = tracing_subscriber::registry().with(layer).with(other);
    tracing::subscriber::with_default(subscriber, || {
        send(&JsonLoggingLayer::new(), Request::new(()), |_| {
            let _outer = tracing::info_span!("filtered").entered();
            let _inner = tracing::info_span!("filtered, too").entered();
            assert!(set("scan_id", "7d0f"));
            tracing::error!("written");
        });
    });
    let line = log.line();
    assert_eq!(line["message"], "written");
    assert_eq!(line["scan_id"], "7d0f");
    assert!(line["request_id"].is_string());
}

#[test]
fn a_handle_takes_it_to_other_threads_and_futures() {
    let lines = logged(|_| {
        let handle = ContextHandle::current();
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let work = move || {
            tracing::dispatcher::with_default(&dispatch, || {
                tracing::info!("without");
                assert!(RequestContext::current().is_none());
                assert!(handle.set("scan_id", "7d0f"));
                handle.in_scope(|| tracing::info!("in scope"));
                now(handle.scope(async {
                    assert!(set("tenant", "acme"));
                    tracing::info!("in a future");
                }));
            });
        };
        thread::spawn(work).join().unwrap();
    });
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line.get("scan_id").cloned(), line.get("tenant").cloned()))
        .collect();
    let (scan, tenant) = (Some(json!("7d0f")), Some(json!("acme")));
    assert_eq!(
        seen,
        [
            (None, None),
            (scan.clone(), None),
            (scan.clone(), tenant.clone()),
            (scan, tenant)
        ]
    );
}

#[test]
fn the_service_finds_it_in_the_request() {
    let lines = logged(|request| {
        let context = request.extensions().get::<RequestContext>().unwrap();
        assert!(context.set("tenant", "acme"));
        let current = RequestContext::current().unwrap();
        assert_eq!(context.request_id(), current.request_id());
        assert_eq!(context.trace_id(), None);
    });
    assert_eq!(lines[0]["tenant"], "acme");
}

#[test]
fn outside_of_a_request_or_under_a_foreign_subscriber_nothing_happens() {
    assert!(!set("scan_id", "7d0f"));
    let handle = ContextHandle::current();
    assert!(!handle.set("scan_id", "7d0f"));
    assert!(handle.request().is_none());

    let subscriber =
        tracing_subscriber::registry().with(tracing_subscriber::layer::Identity::new());
    tracing::subscriber::with_default(subscriber, || {
        let logging = JsonLogging::new().insert_context();
        send(
            &JsonLoggingLayer::from(logging),
            Request::new(()),
            |request| {
                assert!(!set("scan_id", "7d0f"));
                // By the request itself it is there nevertheless.
                let context = request.extensions().get::<RequestContext>().unwrap();
                assert!(context.set("scan_id", "7d0f"));
            },
        );
    });
}

#[test]
fn a_request_takes_so_many_fields_and_no_more() {
    let lines = logged(|_| {
        for number in 0..100 {
            let name = Box::leak(format!("field{number}").into_boxed_str());
            assert_eq!(set(name, number), number < 64);
        }
        assert!(set("field0", "again"));
    });
    assert_eq!(lines[0]["field0"], "again");
    assert_eq!(lines[0]["field63"], 63);
    assert_eq!(lines[0].get("field64"), None);
}

#[test]
fn fields_are_written_in_the_order_in_which_they_were_set() {
    let log = Log::default();
    let logging = JsonLogging::new().direct(&log.layer()).insert_context();
    send(
        &JsonLoggingLayer::from(logging),
        Request::new(()),
        |request| {
            let context: &RequestContext = request.extensions().get().unwrap();
            for (name, value) in [("two", 1), ("one", 1), ("three", 1), ("two", 2)] {
                assert!(context.set(name, value));
            }
        },
    );
    let line = log.raw().remove(0);
    assert!(line.contains(r#""two":2,"one":1,"three":1"#), "{line}");
}

#[test]
fn secrets_that_are_set_are_redacted() {
    let lines = logged(|_| {
        set("password", "hunter2");
        tracing::Span::current().record("scan_id", "7d0f");
    });
    assert_eq!(lines[0]["password"], "[REDACTED]");
    assert_eq!(lines[0]["scan_id"], "7d0f");
}

#[test]
fn two_layers_with_their_own_schemas_both_have_it() {
    let (seed, ecs) = (Log::default(), Log::default());
    let subscriber = tracing_subscriber::registry()
        .with(seed.layer())
        .with(ecs.layer().schema(Schema::ecs("scans")));
    tracing::subscriber::with_default(subscriber, || {
        send(&JsonLoggingLayer::new(), Request::new(()), |_| {
            set("scan_id", "7d0f");
            set("rows", 3);
        });
    });
    assert_eq!(seed.line()["scan_id"], "7d0f");
    assert_eq!(seed.line()["rows"], 3);
    assert_eq!(ecs.line()["labels.scan_id"], "7d0f");
    assert_eq!(ecs.line()["labels.rows"], "3");
    assert_eq!(ecs.line()["http.response.status_code"], 200);
}

#[test]
fn a_direct_line_has_it_whatever_the_filters() {
    for filter in ["off", "error", "info,http.access=off", "trace"] {
        let log = Log::default();
        let layer = log.layer();
        let direct = JsonLoggingLayer::from(JsonLogging::new().direct(&layer).insert_context());
        let layer = layer.with_filter(EnvFilter::new(filter));
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            send(&direct, Request::new(()), |request| {
                let context = request.extensions().get::<RequestContext>().unwrap();
                context.set("scan_id", "7d0f");
                tracing::Span::current().record("tenant", "not declared");
            });
        });
        assert_eq!(log.line()["scan_id"], "7d0f", "{filter}");
        assert_eq!(log.line()["message"], "GET 200", "{filter}");
    }
}

#[test]
fn a_request_within_a_request_is_of_its_trace() {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    let outer = Request::get("/outer")
        .header(
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )
        .body(())
        .unwrap();
    tracing::subscriber::with_default(subscriber, || {
        let layer = JsonLoggingLayer::new();
        send(&layer, outer, |_| {
            send(&layer, Request::new(()), |_| tracing::info!("within"));
        });
    });
    let lines = log.lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for line in &lines {
        assert_eq!(
            line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736",
            "{line}"
        );
    }
    assert_ne!(lines[1]["request_id"], lines[2]["request_id"]);
}

#[test]
fn a_direct_line_is_the_line_through_tracing() {
    let (through, direct) = (Log::default(), Log::default());
    let logging = JsonLogging::new()
        .route(|_| Some(String::from("/scans/{id}")))
        .insert_context();
    let request = || {
        Request::post("/scans/7?token=x")
            .header("x-request-id", "r1")
            .header(
                "traceparent",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            )
            .header("content-length", "12")
            .body(())
            .unwrap()
    };
    let give = |request: Request<()>| {
        let context = request.extensions().get::<RequestContext>().unwrap();
        context.set("scan_id", "7d0f");
        context.set("tenant", "acme");
    };
    let subscriber = tracing_subscriber::registry().with(through.layer());
    tracing::subscriber::with_default(subscriber, || {
        send(&JsonLoggingLayer::from(logging.clone()), request(), give);
    });
    send(
        &JsonLoggingLayer::from(logging.direct(&direct.layer())),
        request(),
        give,
    );
    let (mut through, mut direct) = (through.line(), direct.line());
    for line in [&mut through, &mut direct] {
        for key in ["timestamp", "duration_ms", "ttfb_ms"] {
            assert!(line.as_object_mut().unwrap().remove(key).is_some());
        }
    }
    assert_eq!(through, direct);
    assert_eq!(through["bytes_in"], 12);
}

#[test]
fn requests_on_many_threads_do_not_mix() {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    let dispatch = tracing::Dispatch::new(subscriber);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for worker in 0..4 {
            let (dispatch, sender) = (dispatch.clone(), sender.clone());
            scope.spawn(move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    for number in 0..500 {
                        let scan = format!("{worker}-{number}");
                        let layer = JsonLoggingLayer::new();
                        send(&layer, Request::new(()), |_| {
                            let _span = tracing::info_span!("s", own = field::Empty).entered();
                            set("scan_id", scan.as_str());
                            tracing::info!(expected = scan, "working");
                        });
                        sender.send(scan).unwrap();
                    }
                });
            });
        }
    });
    drop(sender);
    let lines = log.lines();
    assert_eq!(lines.len(), 4000);
    for line in lines.iter().filter(|line| line["message"] == "working") {
        assert_eq!(line["scan_id"], line["expected"]);
    }
    let own = lines.iter().filter(|line| line["event"] == "http_request");
    let mut own: Vec<_> = own.map(|line| line["scan_id"].as_str().unwrap()).collect();
    let mut sent: Vec<_> = receiver.into_iter().collect();
    own.sort_unstable();
    sent.sort_unstable();
    assert_eq!(own, sent);
}
