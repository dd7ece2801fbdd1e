//! Metrics, a line and a scan of each request, all at once, beside what one would put together of the peers.

use std::rc::Rc;

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

use benches::route::{self, Requests};

use crate::{
    backend::{Backend, Ours, Prometheus},
    harness::{self, Effort, Rows, Side},
    lines::{Lines, Logged},
    versions,
};

const GROUP: &str = "whole-stack";

/// Compares.
pub fn run(effort: Effort, rows: &mut Rows) {
    let title = "whole-stack: nanoseconds and allocations a request, one thread";
    if effort.skips(title) {
        return;
    }
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
    let floor = versions::named("tower-http") + " InFlightRequests (the floor)";
    let peer = format!(
        "{}, Trace and json of {}",
        versions::named("axum-prometheus"),
        versions::named("tracing-subscriber")
    );
    let cases = [
        "metrics and a line, directly",
        "metrics and a line, through tracing",
        "metrics, a line through tracing, a scan and request bodies",
    ];
    let router = || route::router(1);
    let sides = vec![
        side("bare", (), router()),
        side(&floor, (), router().layer(in_flight)),
        side(
            &peer,
            (
                Prometheus::new("axum_http_requests_total"),
                Logged::new(json, theirs),
            ),
            router().layer(trace()).layer(prometheus.build()),
        ),
        side(
            cases[0],
            (recorder(), directly),
            router().layer(ObserveLayer::new((metrics(), direct))),
        ),
        side(
            cases[1],
            (recorder(), Logged::new(tracing.layer(), tracing)),
            router().layer(ObserveLayer::new((metrics(), JsonLogging::new()))),
        ),
        side(
            cases[2],
            // The scan has a line of its own.
            (recorder(), Logged::some(everything.layer(), everything, 2)),
            router()
                .layer(CountRequestBodyLayer::default())
                .layer(ObserveLayer::new((metrics(), JsonLogging::new(), scans))),
        ),
    ];
    let costs = harness::measure(title, sides, effort);
    costs.print();
    for case in cases {
        let (row, counted) = costs.row(GROUP, case, case, &costs, &peer);
        rows.add_counted((row.headline(), counted));
    }
}

fn side(name: &str, backend: impl Backend + 'static, router: Router) -> Side {
    let service = route::service(router);
    let mut requests = Requests::new(1);
    Side::new(name, Rc::new(backend), move |n| requests.send(&service, n))
}
