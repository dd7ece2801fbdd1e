//! Requests on a thread that ends: only the process's subscriber takes their lines then, so this test is alone in
//! its binary.

#[cfg(test)]
mod common;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::pin,
    task::{Context, Waker},
    thread,
};

use common::Log;
use http::{HeaderValue, Request, Response};
use http_body_util::Empty;
use serde_json::Value;
use tower::{Layer as _, Service as _, service_fn};
use tower_json_logging::JsonLoggingLayer;
use tracing_subscriber::layer::SubscriberExt as _;

fn answer(_: Request<()>) -> Ready<Result<Response<Empty<&'static [u8]>>, Infallible>> {
    ready(Ok(Response::new(Empty::new())))
}

fn send(id: &'static str) {
    let mut service = JsonLoggingLayer::new().layer(service_fn(answer));
    let mut request = Request::new(());
    let headers = request.headers_mut();
    headers.insert("x-request-id", HeaderValue::from_static(id));
    let future = pin!(service.call(request));
    let answer = future.poll(&mut Context::from_waker(Waker::noop()));
    assert!(answer.is_ready());
}

/// What a thread drops after all that it keeps of requests.
struct Last;

impl Drop for Last {
    fn drop(&mut self) {
        send("last");
    }
}

thread_local! {
    static LAST: Last = const { Last };
}

#[test]
fn a_request_is_logged_also_when_its_thread_has_dropped_what_it_kept_of_them() {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let of_thread = log.clone();
    let thread = thread::spawn(move || {
        // What was there first is dropped last. The registry's own has to be there: it panics without.
        tracing::info_span!("before").in_scope(|| LAST.with(|_| ()));
        send("first");
        assert_eq!(of_thread.line()["request_id"], "first");
    });
    thread.join().unwrap();

    let lines = log.lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["request_id"], "last");
    let keys = |line: &Value| {
        line.as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&lines[1]), keys(&lines[0]));
}
