//! Metrics, a line and a scan of each request, all at once, beside what one would put together of the peers.

use std::{cell::RefCell, rc::Rc};

use axum::Router;
use axum_prometheus::PrometheusMetricLayerBuilder;
use tower_http::{
    metrics::InFlightRequestsLayer,
    trace::{DefaultMakeSpan, DefaultOnResponse, TraceLayer},
};
use tower_json_logging::JsonLogging;
use tower_observe::ObserveLayer;
use tower_request_metrics::{CountRequestBodyLayer, RequestMetrics};
use tower_scan_lifecycle::{HttpScans, ScanMeta, ScanMetrics};
use tracing::Level;

use benches::{
    report::Row,
    route::{self, Requests},
};

use crate::{
    backend::{Backend, Ours, Prometheus},
    harness::{self, Effort, Rows, Side},
    kernel::Kernel,
    least::{self, LeastLayer},
    lines::{Lines, Logged},
    versions,
};

const GROUP: &str = "whole-stack";

const DIRECTLY: &str = "metrics and a line, directly";
const THROUGH_TRACING: &str = "metrics and a line, through tracing";
const ALL: &str = "metrics, a line through tracing, a scan and request bodies";
const METRICS: &str = "metrics";
const LEAST: &str = "the recordings alone, which count wrongly";

/// Compares, by itself and as servers have it.
pub fn run(effort: Effort, rows: &mut Rows) {
    let title = "whole-stack: nanoseconds and allocations a request, one thread";
    if !effort.skips(title) {
        let costs = harness::measure(title, sides(), effort);
        costs.print();
        for case in [DIRECTLY, THROUGH_TRACING, ALL] {
            let (row, counted) = costs.row(GROUP, case, case, &costs, &peer());
            rows.add_counted((row.headline(), counted));
        }
    }
    let title = "whole-stack: the same after a request and a response through the kernel";
    if !effort.skips(title) {
        let kernel = Kernel::new().expect("loopback can be connected to");
        let kernel = Rc::new(RefCell::new(kernel));
        let after = sides().into_iter().map(|side| {
            let kernel = Rc::clone(&kernel);
            side.after(move || kernel.borrow_mut().pass().expect("both ends are there"))
        });
        let costs = harness::measure(title, after.collect(), effort);
        costs.print();
        for case in [&*floor(), LEAST, METRICS, DIRECTLY, THROUGH_TRACING] {
            let [bare, ours] = costs.beside_bare(case);
            let case = format!("{case}: all of a request, the kernel before it");
            rows.add(Row::new(GROUP, case, ours).beside("the bare route", bare));
        }
    }
}

fn floor() -> String {
    versions::named("tower-http") + " InFlightRequests (the floor)"
}

fn peer() -> String {
    format!(
        "{}, Trace and json of {}",
        versions::named("axum-prometheus"),
        versions::named("tracing-subscriber")
    )
}

fn sides() -> Vec<Side> {
    let (in_flight, _counter) = InFlightRequestsLayer::pair();
    let trace = || {
        TraceLayer::new_for_http()
            .make_span_with(DefaultMakeSpan::new().level(Level::INFO))
            .on_response(DefaultOnResponse::new().level(Level::INFO))
    };
    let prometheus = PrometheusMetricLayerBuilder::new().no_initialize_metrics();
    let metrics = || {
        let builder = RequestMetrics::builder();
        builder.build().expect("the defaults can be built")
    };
    let scans = ScanMetrics::builder().types(["mcp"]).build();
    let scans = HttpScans::new(scans.expect("it is a value"));
    let scans = scans.classify(|_| Some(ScanMeta::new("mcp")));
    let recorder = || Ours::new("api_requests_total");
    let [theirs, tracing, directly, everything] = [(); 4].map(|()| Lines::default());
    let json = tracing_subscriber::fmt::layer()
        .json()
        .with_writer(theirs.maker());
    let direct = JsonLogging::new().direct(&directly.layer());
    let router = || route::router(1);
    vec![
        side("bare", (), router()),
        side(&floor(), (), router().layer(in_flight)),
        side(
            &peer(),
            (
                Prometheus::new("axum_http_requests_total"),
                Logged::new(json, theirs),
            ),
            router().layer(trace()).layer(prometheus.build()),
        ),
        side(
            DIRECTLY,
            (recorder(), directly),
            router().layer(ObserveLayer::new((metrics(), direct))),
        ),
        side(
            THROUGH_TRACING,
            (recorder(), Logged::new(tracing.layer(), tracing)),
            router().layer(ObserveLayer::new((metrics(), JsonLogging::new()))),
        ),
        side(
            ALL,
            // The scan has a line of its own.
            (recorder(), Logged::some(everything.layer(), everything, 2)),
            router()
                .layer(CountRequestBodyLayer::default())
                .layer(ObserveLayer::new((metrics(), JsonLogging::new(), scans))),
        ),
        side(
            METRICS,
            recorder(),
            router().layer(ObserveLayer::new(metrics())),
        ),
        side(
            LEAST,
            Ours::new(least::COUNTER),
            router().layer(LeastLayer::default()),
        ),
    ]
}

fn side(name: &str, backend: impl Backend + 'static, router: Router) -> Side {
    let service = route::service(router);
    let mut requests = Requests::new(1);
    Side::new(name, Rc::new(backend), move |n| requests.send(&service, n))
}
