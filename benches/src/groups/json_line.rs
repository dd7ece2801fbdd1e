//! One JSON line for each request, formatted and thrown away.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::Router;
use tower_http::{
    metrics::InFlightRequestsLayer,
    trace::{DefaultOnResponse, TraceLayer},
};
use tower_json_logging::{JsonLayer, JsonLoggingLayer};
use tracing::{Dispatch, Level, dispatcher};
use tracing_subscriber::{Layer as _, filter::LevelFilter, layer::SubscriberExt as _};

use crate::{
    harness::{self, Effort, Side},
    route,
};

/// Compares, after checking that both sides wrote a line for each request.
pub fn run(effort: Effort) {
    let (in_flight, _counter) = InFlightRequestsLayer::pair();
    let ours = Lines::default();
    let peer = Lines::default();
    let sides = vec![
        Side::new("tower-http 0.7.1 InFlightRequests (the floor)", {
            let mut service = route::service(route::router().layer(in_flight));
            move |n| route::requests(&mut service, n)
        }),
        logged("tower-json-logging", &ours, {
            let writer = ours.clone();
            let layer = JsonLayer::new(move || writer.clone()).with_filter(LevelFilter::INFO);
            (
                Dispatch::new(tracing_subscriber::registry().with(layer)),
                |router: Router| router.layer(JsonLoggingLayer::new()),
            )
        }),
        logged(
            "tower-http 0.7.1 Trace, tracing-subscriber 0.3.23 json",
            &peer,
            {
                let writer = peer.clone();
                let layer = tracing_subscriber::fmt::layer()
                    .json()
                    .with_writer(move || writer.clone())
                    .with_filter(LevelFilter::INFO);
                (
                    Dispatch::new(tracing_subscriber::registry().with(layer)),
                    |router: Router| {
                        let trace = TraceLayer::new_for_http()
                            .make_span_with(
                                tower_http::trace::DefaultMakeSpan::new().level(Level::INFO),
                            )
                            .on_response(DefaultOnResponse::new().level(Level::INFO));
                        router.layer(trace)
                    },
                )
            },
        ),
    ];
    let costs = harness::measure(sides, effort);
    harness::print("json-line", "request", &costs);
}

fn logged(
    name: &str,
    lines: &Lines,
    (dispatch, layered): (Dispatch, impl Fn(Router) -> Router),
) -> Side {
    let mut service = route::service(layered(route::router()));
    dispatcher::with_default(&dispatch, || route::requests(&mut service, 7));
    assert_eq!(
        lines.0.load(Ordering::Relaxed),
        7,
        "{name} did not write a line for each request"
    );
    Side::new(name, move |n| {
        dispatcher::with_default(&dispatch, || route::requests(&mut service, n));
    })
}

/// Counts lines, and throws them away.
#[derive(Clone, Default)]
struct Lines(Arc<AtomicUsize>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.ends_with(b"\n") {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
