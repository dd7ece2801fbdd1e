//! One JSON line for each request, formatted and thrown away.

use std::rc::Rc;

use axum::Router;
use tower_http::{
    metrics::InFlightRequestsLayer,
    trace::{DefaultMakeSpan, DefaultOnResponse, TraceLayer},
};
use tower_json_logging::{JsonLogging, JsonLoggingLayer};
use tracing::{Level, field};
use tracing_bunyan_formatter::{BunyanFormattingLayer, JsonStorageLayer};
use tracing_ecs::ECSLayerBuilder;
use tracing_subscriber::{Layer as _, Registry, fmt::format::FmtSpan};

use benches::route::{self, Requests};

use crate::{
    backend::Backend,
    harness::{self, Effort, Rows, Side},
    lines::{Lines, Logged},
    versions,
};

const GROUP: &str = "json-line";

const OURS: &str = "tower-json-logging JsonLayer";

/// Compares.
pub fn run(effort: Effort, rows: &mut Rows) {
    one_line(effort, rows);
    whole_request(effort, rows);
}

/// The layer and the line of a request.
fn one_line(effort: Effort, rows: &mut Rows) {
    let (in_flight, _counter) = InFlightRequestsLayer::pair();
    let ours = Lines::default();
    let direct = Lines::default();
    let theirs = Lines::default();
    let json = tracing_subscriber::fmt::layer()
        .json()
        .with_writer(theirs.maker());
    let trace = TraceLayer::new_for_http()
        .make_span_with(DefaultMakeSpan::new().level(Level::INFO))
        .on_response(DefaultOnResponse::new().level(Level::INFO));
    let tower_http = versions::named("tower-http");
    let peer = format!(
        "{tower_http} Trace, {} json",
        versions::named("tracing-subscriber")
    );
    let sides = vec![
        side("bare", (), route::router(1)),
        side(
            format!("{tower_http} InFlightRequests (the floor)"),
            (),
            route::router(1).layer(in_flight),
        ),
        side(
            peer.clone(),
            Logged::new(json, theirs),
            route::router(1).layer(trace),
        ),
        side(
            "tower-json-logging, through tracing",
            Logged::new(ours.layer(), ours),
            route::router(1).layer(JsonLoggingLayer::new()),
        ),
        side(
            "tower-json-logging, direct",
            direct.clone(),
            route::router(1).layer(JsonLoggingLayer::from(
                JsonLogging::new().direct(&direct.layer()),
            )),
        ),
    ];
    let costs = harness::measure(
        "json-line: nanoseconds and allocations a request, one thread",
        sides,
        effort,
    );
    costs.print();
    for (case, ours, part) in [
        (
            "layer and line, through tracing",
            "tower-json-logging, through tracing",
            6.0,
        ),
        (
            "layer and line, directly",
            "tower-json-logging, direct",
            11.0,
        ),
    ] {
        let (row, counted) = costs.row(GROUP, case, ours, &costs, &peer);
        rows.add_counted((row.at_most(1.0 / part).allocates_at_most(1.0), counted));
    }
}

/// What a service logs in a request, through `tracing` and no layer of tower's: a span, an id found late,
/// three events, and a line at the end.
fn whole_request(effort: Effort, rows: &mut Rows) {
    fn request() {
        let span = tracing::error_span!(
            "request",
            request_id = "01HF8Z6W3KQ6N0T3X5Y7Z9ABCD",
            method = "POST",
            path = "/api/v1/scans",
            tenant = "acme",
            scan_id = field::Empty,
        );
        let _entered = span.enter();
        span.record("scan_id", "7d0f5a0e-4b8e-4a55-9d0c-2f6f3f9b8a11");
        tracing::info!(kind = "model", queued = true, "scan accepted");
        tracing::info!(files = 42_u64, bytes = 1_048_576_u64, "scan started");
        tracing::info!(findings = 3_u64, verdict = "blocked", "scan finished");
        tracing::info!(
            route = "/api/v1/scans",
            status = 202_u64,
            outcome = "complete",
            duration_ms = 12.345,
            bytes_out = 5321_u64,
            protocol = "HTTP/1.1",
            client_ip = "10.0.0.1",
            user_agent = "curl/8.4.0",
            "POST /api/v1/scans 202",
        );
    }

    let side = |name: String, backend: Rc<dyn Backend>| {
        Side::new(name, backend, |n| (0..n).for_each(|_| request()))
    };
    let logged = |name: String, layer: BoxedLayer, lines: Lines, written: u64| {
        side(name, Rc::new(Logged::some(layer, lines, written)))
    };
    let [json, flat, nested, bunyan, ecs, ours] = [(); 6].map(|()| Lines::default());
    let subscriber = versions::named("tracing-subscriber");
    let json_subscriber = versions::named("json-subscriber");
    let sides = vec![
        side(String::from("no subscriber"), Rc::new(())),
        logged(
            format!("{subscriber} Registry (the floor)"),
            tracing_subscriber::layer::Identity::new().boxed(),
            Lines::default(),
            0,
        ),
        logged(
            format!("{subscriber} json"),
            tracing_subscriber::fmt::layer()
                .json()
                .with_span_events(FmtSpan::NONE)
                .with_writer(json.maker())
                .boxed(),
            json,
            4,
        ),
        logged(
            format!("{json_subscriber} default"),
            json_subscriber::fmt::layer()
                .with_writer(nested.maker())
                .boxed(),
            nested,
            4,
        ),
        logged(
            format!("{json_subscriber} flat"),
            json_subscriber::fmt::layer()
                .flatten_event(true)
                .with_flat_span_list(true)
                .with_writer(flat.maker())
                .boxed(),
            flat,
            4,
        ),
        logged(
            versions::named("tracing-bunyan-formatter"),
            JsonStorageLayer
                .and_then(BunyanFormattingLayer::new("bench".into(), bunyan.maker()))
                .boxed(),
            bunyan,
            // A line for the span's start, and one for its end.
            6,
        ),
        logged(
            versions::named("tracing-ecs"),
            ECSLayerBuilder::default()
                .build_with_writer(ecs.maker())
                .boxed(),
            ecs,
            4,
        ),
        logged(String::from(OURS), ours.layer().boxed(), ours, 4),
    ];
    let costs = harness::measure(
        "json-line: all lines of a request, nanoseconds and allocations, one thread",
        sides,
        effort,
    );
    costs.print();
    for (peer, most) in [
        (format!("{subscriber} json"), 1.0 / 8.0),
        (format!("{json_subscriber} default"), 1.0 / 3.0),
        (format!("{json_subscriber} flat"), 0.0),
        (versions::named("tracing-bunyan-formatter"), 0.0),
        (versions::named("tracing-ecs"), 0.0),
    ] {
        let case = "a span, a late field, three events and the request's line";
        let (row, counted) = costs.row(GROUP, case, OURS, &costs, &peer);
        let row = row.allocates_at_most(6.0);
        let row = if most > 0.0 { row.at_most(most) } else { row };
        rows.add_counted((row, counted));
    }
}

type BoxedLayer = Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync>;

fn side(name: impl Into<String>, backend: impl Backend + 'static, router: Router) -> Side {
    let service = route::service(router);
    let mut requests = Requests::new(1);
    Side::new(name, Rc::new(backend), move |n| requests.send(&service, n))
}
