//! `tracing` without a subscriber hands what it is told to the `log` crate, with a feature that axum's defaults
//! turn on. The logger is the process's, so this test is alone in its binary.

#[cfg(test)]
mod common;

use std::{
    convert::Infallible,
    future::ready,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use common::Log;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_json_logging::{JsonLogging, JsonLoggingLayer};

struct Counting(AtomicUsize);

impl log::Log for Counting {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, _: &log::Record<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn flush(&self) {}
}

static RECORDS: Counting = Counting(AtomicUsize::new(0));

#[tokio::test]
async fn a_request_whose_line_is_written_directly_is_no_record_of_the_log_crate() {
    log::set_logger(&RECORDS).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    tracing::error!("what tracing is told is");
    assert_eq!(RECORDS.0.load(Ordering::Relaxed), 1);

    let log = Log::default();
    let layer = JsonLoggingLayer::from(JsonLogging::new().direct(&log.layer()));
    let service = service_fn(|_: Request<()>| {
        let response = Response::new(Full::<Bytes>::default());
        ready(Ok::<_, Infallible>(response))
    });
    let response = layer.layer(service).oneshot(Request::new(())).await;
    drop(response.unwrap());
    assert_eq!(log.line()["status"], 200);
    assert_eq!(RECORDS.0.load(Ordering::Relaxed), 1);
}
