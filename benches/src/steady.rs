//! What our own layers do, once for each request: whose instructions and allocations do not depend on what
//! else the machine does, and can be compared with those of another day.

use std::{convert::Infallible, hint::black_box, io, time::Duration};

use axum::Router;
use http::{Request, Response};
use metrics::{Key, Label, Level, Metadata, Recorder as _, with_local_recorder};
use tower::{Layer as _, Service};
use tower_json_logging::{JsonLayer, JsonLogging, JsonLoggingLayer};
use tower_metrics_exporter::{Exporter, Filter, Format, Matcher, MemorySink, Source as _};
use tower_observe::ObserveLayer;
use tower_request_metrics::{RequestMetrics, RouteTable};
use tower_scan_lifecycle::{HttpScans, ScanLayer, ScanMeta, ScanMetrics};
use tracing::{Dispatch, dispatcher};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{
    export::{Exports, Kind, To},
    route::{self, Requests},
};

/// Something that can be done any number of times.
pub type Work = Box<dyn FnMut(usize)>;

/// A piece of work, and what it is called.
pub struct Case {
    /// The group and the case, as in `request-metrics/inside`.
    pub name: &'static str,
    /// How often it is done between two readings.
    pub operations: usize,
    /// In how many processes: hash seeds differ, and with them how series lie, and threads meet by chance. The mean does
    /// not.
    pub processes: usize,
    /// Prepares it.
    pub make: fn() -> Work,
}

const fn case(name: &'static str, operations: usize, make: fn() -> Work) -> Case {
    Case {
        name,
        operations,
        processes: 1,
        make,
    }
}

const fn in_several(name: &'static str, operations: usize, make: fn() -> Work) -> Case {
    Case {
        processes: 3,
        ..case(name, operations, make)
    }
}

/// All of them.
pub const CASES: &[Case] = &[
    case("axum/bare", 2_000, || requests(route::router(1))),
    case("request-metrics/inside", 2_000, || {
        recorded(requests(route::router(1).layer(metrics(1, false))))
    }),
    case("request-metrics/inside, 100 routes", 2_000, || {
        let router = route::router(100).layer(metrics(100, false));
        recorded(all_of(100, route::service(router)))
    }),
    case("request-metrics/inside, 1,000 routes", 1_000, || {
        let router = route::router(1_000).layer(metrics(1_000, false));
        recorded(all_of(1_000, route::service(router)))
    }),
    case("request-metrics/outside, RouteTable", 2_000, || {
        let service = metrics(1, true).layer(route::service(route::router(1)));
        recorded(all_of(1, service))
    }),
    case(
        "request-metrics/outside, RouteTable of 1,000",
        1_000,
        || {
            let service = metrics(1_000, true).layer(route::service(route::router(1_000)));
            recorded(all_of(1_000, service))
        },
    ),
    case("request-metrics/hyper service, RouteTable", 2_000, || {
        let service = metrics(1, true).layer(tower::service_fn(route::plain));
        recorded(all_of(1, service))
    }),
    case("json-line/through tracing", 1_000, || {
        let lines = requests(route::router(1).layer(JsonLoggingLayer::new()));
        logged(lines)
    }),
    case("json-line/direct", 1_000, || {
        let layer = JsonLayer::new(io::sink);
        let logging = JsonLogging::new().direct(&layer);
        requests(route::router(1).layer(JsonLoggingLayer::from(logging)))
    }),
    case("json-line/span, late field, four lines", 500, || {
        logged(Box::new(|n| (0..n).for_each(|_| lines())))
    }),
    in_several("scan-lifecycle/a scan", 1_000, || {
        let layer = ScanLayer::new(scans(), |_: &()| Some(ScanMeta::new("mcp")));
        let mut service = layer.layer(tower::service_fn(|()| {
            std::future::ready(Ok::<_, Infallible>(()))
        }));
        recorded(Box::new(move |n| {
            (0..n).for_each(|_| route::now(service.call(())).expect("it cannot fail"));
        }))
    }),
    case("whole-stack/metrics, line, scan", 1_000, || {
        let observers = (
            RequestMetrics::builder()
                .build()
                .expect("the defaults can be built"),
            JsonLogging::new(),
            HttpScans::new(scans()).classify(|_| Some(ScanMeta::new("mcp"))),
        );
        let router = route::router(1).layer(ObserveLayer::new(observers));
        logged(recorded(requests(router)))
    }),
    case("recorder/held counter", 10_000, || {
        let exporter = exporter();
        let key = Key::from_static_name("held_total");
        let counter = exporter.recorder().register_counter(&key, &METADATA);
        Box::new(move |n| (0..n).for_each(|_| black_box(&counter).increment(1)))
    }),
    case("recorder/held histogram", 10_000, || {
        let exporter = exporter();
        let key = Key::from_static_name("held_seconds");
        let histogram = exporter.recorder().register_histogram(&key, &METADATA);
        Box::new(move |n| {
            (0..n).for_each(|at| black_box(&histogram).record((at % 1024) as f64 * 0.01));
        })
    }),
    in_several("recorder/counter with three labels", 2_000, || {
        recorded(Box::new(|n| {
            for at in 0..n {
                metrics::counter!(
                    "labelled_total",
                    "method" => ["GET", "PUT"][at % 2].to_owned(),
                    "endpoint" => ["/a", "/b", "/c", "/d"][at % 4].to_owned(),
                    "status" => "200".to_owned(),
                )
                .increment(1);
            }
        }))
    }),
    in_several("recorder/page in text", 10, || page(Format::Text)),
    in_several("recorder/page in OpenMetrics", 10, || {
        page(Format::OpenMetrics)
    }),
    in_several("recorder/page in protobuf", 10, || page(Format::Protobuf)),
    case("sinks/OTLP, counters", 20, || {
        export(Kind::Counters, To::Otlp)
    }),
    in_several("sinks/OTLP, histograms", 80, || {
        export(Kind::Histograms, To::Otlp)
    }),
    case("sinks/remote-write, counters", 3, || {
        export(Kind::Counters, To::RemoteWrite)
    }),
    case("sinks/remote-write, histograms", 3, || {
        export(Kind::Histograms, To::RemoteWrite)
    }),
    case("sinks/Pushgateway, counters", 40, || {
        export(Kind::Counters, To::Pushgateway)
    }),
    case("sinks/DogStatsD, counters", 5, || {
        export(Kind::Counters, To::DogStatsd)
    }),
    case("sinks/held counter beside a sink", 10_000, beside_a_sink),
];

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

fn requests(router: Router) -> Work {
    all_of(1, route::service(router))
}

fn all_of<S, B, R>(routes: usize, service: S) -> Work
where
    S: Service<Request<B>, Response = Response<R>> + Clone + 'static,
    S::Error: std::fmt::Debug,
    B: Default,
    R: http_body::Body,
    R::Error: std::fmt::Debug,
{
    let mut requests = Requests::new(routes);
    Box::new(move |n| requests.send(&service, n))
}

fn metrics(routes: usize, table: bool) -> tower_request_metrics::RequestMetricsLayer {
    let mut builder = RequestMetrics::builder().max_routes(routes);
    if table {
        let table = RouteTable::new(route::templates(routes));
        builder = builder.routes(table.expect("the templates are well-formed"));
    }
    builder.build().expect("the defaults can be built").into()
}

fn scans() -> ScanMetrics {
    let builder = ScanMetrics::builder().types(["mcp", "model"]);
    builder.build().expect("the types are values")
}

fn exporter() -> Exporter {
    Exporter::builder()
        .buckets(
            Matcher::Any,
            [
                0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
            ],
        )
        .build()
        .expect("the buckets can be used")
}

/// Into our recorder.
fn recorded(mut work: Work) -> Work {
    let recorder = exporter().recorder();
    Box::new(move |n| with_local_recorder(&recorder, || work(n)))
}

/// Through our formatter, to nowhere.
fn logged(mut work: Work) -> Work {
    let subscriber = tracing_subscriber::registry().with(JsonLayer::new(io::sink));
    let dispatch = Dispatch::new(subscriber);
    Box::new(move |n| dispatcher::with_default(&dispatch, || work(n)))
}

fn lines() {
    let span = tracing::error_span!(
        "request",
        request_id = "01HF8Z6W3KQ6N0T3X5Y7Z9ABCD",
        method = "POST",
        scan_id = tracing::field::Empty,
    );
    let _entered = span.enter();
    span.record("scan_id", "7d0f5a0e-4b8e-4a55-9d0c-2f6f3f9b8a11");
    tracing::info!(kind = "model", queued = true, "scan accepted");
    tracing::info!(files = 42_u64, bytes = 1_048_576_u64, "scan started");
    tracing::info!(findings = 3_u64, verdict = "blocked", "scan finished");
    tracing::info!(status = 202_u64, duration_ms = 12.345, "POST /scans 202");
}

/// Of a thousand histograms and as many counters.
fn page(format: Format) -> Work {
    let exporter = exporter();
    let recorder = exporter.recorder();
    for at in 0..1_000 {
        let labels = || {
            vec![
                Label::new("method", "GET"),
                Label::new("endpoint", format!("/api/v1/things/{at}")),
                Label::new("status", "200"),
            ]
        };
        let key = Key::from_parts("api_requests_total", labels());
        recorder.register_counter(&key, &METADATA).increment(at);
        let key = Key::from_parts("api_request_duration_seconds", labels());
        let histogram = recorder.register_histogram(&key, &METADATA);
        histogram.record(at as f64 * 0.01);
    }
    let mut page = Vec::new();
    Box::new(move |n| {
        for _ in 0..n {
            page.clear();
            exporter.encode(format, &Filter::default(), &mut page);
            black_box(&page);
        }
    })
}

/// Of a sink that runs.
fn export(kind: Kind, to: To) -> Work {
    let series = match kind {
        Kind::Counters => 1_000,
        Kind::Histograms => 200,
    };
    let exports = Exports::new(kind, series, to);
    Box::new(move |n| exports.run(n))
}

/// As without: nothing of a sink is on the path.
fn beside_a_sink() -> Work {
    let exporter = exporter();
    let key = Key::from_static_name("held_total");
    let counter = exporter.recorder().register_counter(&key, &METADATA);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("the runtime starts");
    let sinks = runtime.block_on(async {
        let sinks = exporter.sinks().interval(Duration::from_secs(3_600));
        sinks.sink(MemorySink::new()).start()
    });
    let sinks = sinks.expect("it can be started");
    Box::new(move |n| {
        let _running = (&runtime, &sinks);
        (0..n).for_each(|_| black_box(&counter).increment(1));
    })
}
