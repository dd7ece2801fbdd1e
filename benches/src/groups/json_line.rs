//! One JSON line for each request, formatted and thrown away.

use std::{
    io::{self, Write},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::Router;
use tower_http::{
    metrics::InFlightRequestsLayer,
    trace::{DefaultMakeSpan, DefaultOnResponse, TraceLayer},
};
use tower_json_logging::{JsonLayer, JsonLoggingLayer};
use tracing::{Dispatch, Level, dispatcher};
use tracing_subscriber::{Registry, filter::LevelFilter, layer::SubscriberExt as _};

use crate::{
    backend::Backend,
    harness::{self, Effort, Side},
    route::{self, Requests},
    versions,
};

/// Compares.
pub fn run(effort: Effort) {
    let (in_flight, _counter) = InFlightRequestsLayer::pair();
    let ours = Lines::default();
    let peer = Lines::default();
    let json = tracing_subscriber::fmt::layer().json().with_writer({
        let writer = peer.clone();
        move || writer.clone()
    });
    let trace = TraceLayer::new_for_http()
        .make_span_with(DefaultMakeSpan::new().level(Level::INFO))
        .on_response(DefaultOnResponse::new().level(Level::INFO));
    let tower_http = versions::named("tower-http");
    let sides = vec![
        side("bare", (), route::router(1)),
        side(
            format!("{tower_http} InFlightRequests (the floor)"),
            (),
            route::router(1).layer(in_flight),
        ),
        side(
            format!(
                "{tower_http} Trace, {} json",
                versions::named("tracing-subscriber")
            ),
            Logged::new(json, peer),
            route::router(1).layer(trace),
        ),
        side(
            "tower-json-logging",
            Logged::new(
                JsonLayer::new({
                    let writer = ours.clone();
                    move || writer.clone()
                }),
                ours,
            ),
            route::router(1).layer(JsonLoggingLayer::new()),
        ),
    ];
    harness::measure(
        "json-line: nanoseconds and allocations a request, one thread",
        sides,
        effort,
    )
    .print();
}

fn side(name: impl Into<String>, backend: impl Backend + 'static, router: Router) -> Side {
    let service = route::service(router);
    let mut requests = Requests::new(1);
    Side::new(name, Rc::new(backend), move |n| requests.send(&service, n))
}

/// A subscriber, and the lines that it wrote.
struct Logged {
    dispatch: Dispatch,
    lines: Lines,
}

impl Logged {
    fn new<L>(layer: L, lines: Lines) -> Self
    where
        L: tracing_subscriber::Layer<Registry> + Send + Sync,
    {
        let layer = layer.with_filter(LevelFilter::INFO);
        Self {
            dispatch: Dispatch::new(tracing_subscriber::registry().with(layer)),
            lines,
        }
    }
}

impl Backend for Logged {
    fn within(&self, work: &mut dyn FnMut()) {
        dispatcher::with_default(&self.dispatch, work);
    }

    fn recorded(&self) -> Option<u64> {
        Some(self.lines.0.load(Ordering::Relaxed))
    }
}

/// Counts lines, and throws them away.
#[derive(Clone, Default)]
struct Lines(Arc<AtomicU64>);

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
