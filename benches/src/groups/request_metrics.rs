//! Request metrics inside an axum router, outside of it, and around a plain hyper service.

use std::{fmt::Debug, rc::Rc};

use anyhow::Result;
use axum_prometheus::{PrometheusMetricLayer, PrometheusMetricLayerBuilder};
use http::{Request, Response};
use opentelemetry::{global, metrics::MeterProvider as _};
use tower::{Layer as _, Service, service_fn};
use tower_http::metrics::InFlightRequestsLayer;
use tower_observe::ObserveLayer;
use tower_request_metrics::{
    Names, RequestMetrics, RequestMetricsLayer, RouteTable, RouteTagLayer,
};

use benches::{
    report::Row,
    route::{self, Requests},
};

use crate::{
    backend::{Backend, OpenTelemetry, Ours, Prometheus},
    bare::Bare,
    by_hand::{self, HandLayer},
    harness::{self, Costs, Effort, Rows, Side},
    least::{self, LeastLayer},
    versions,
};

const GROUP: &str = "request-metrics";

const OURS: &str = "tower-request-metrics";
const LEAST: &str = "the recordings alone (counts wrongly)";
const OURS_BARE: &str = "tower-request-metrics, bare atomics";
const OURS_WITH_TABLE: &str = "tower-request-metrics, RouteTable";
const OURS_WITH_TABLE_BARE: &str = "tower-request-metrics, RouteTable, bare atomics";
/// With the series of the peer, which are three and not four.
const AS_PEER: &str = "tower-request-metrics, axum-prometheus's series";
const AS_PEER_WITH_TABLE: &str = "tower-request-metrics, RouteTable, axum-prometheus's series";
const BY_HAND: &str = "by hand, for this service alone";
const BY_HAND_WITH_TABLE: &str = "by hand, for this service alone, matchit";

// The counters that tell the requests.
const COUNTER: &str = "api_requests_total";
const PEER_COUNTER: &str = "axum_http_requests_total";

const COMPILED: [&str; 10] = [
    "axum",
    "axum-metrics",
    "axum-prometheus",
    "metrics",
    "metrics-exporter-prometheus",
    "opentelemetry",
    "opentelemetry-instrumentation-tower",
    "opentelemetry_sdk",
    "tower-http",
    "tower-otel",
];

/// Where the layers are, on how many routes, and what they record into.
type Case = (
    &'static str,
    usize,
    Recorder,
    fn(usize, Recorder) -> Vec<Side>,
);

/// Makes what a side records into, for this many routes, and with a counter of this name.
type Recorder = fn(usize, &'static str) -> Rc<dyn Backend>;

/// Each on its own recorder, ours and the peer, inside of the router and outside: what the budgets compare
/// is measured in the same rounds.
const TOGETHER: &str = "each on its own recorder";

const CASES: [Case; 6] = [
    (TOGETHER, 1, own, together),
    ("inside an axum router, bare atomics", 1, bare, inside),
    ("outside of the router, bare atomics", 1, bare, outside),
    ("around a hyper service, bare atomics", 1, bare, plain),
    (
        "inside an axum router, metrics-exporter-prometheus",
        1,
        exporter,
        inside,
    ),
    (
        "outside of the router, metrics-exporter-prometheus",
        1,
        exporter,
        outside,
    ),
];

/// Of how many routes how many are asked for.
const MANY: [(usize, usize, &str); 6] = [
    (1, 1, "1 route"),
    (100, 1, "one of 100 routes"),
    (10_000, 1, "one of 10,000 routes"),
    (100, 100, "100 routes in turn"),
    (10_000, 100, "100 of 10,000 routes in turn"),
    (10_000, 10_000, "10,000 routes in turn"),
];

/// Compares. Whether nothing of ours allocated that must not.
///
/// # Errors
///
/// If another process of this program cannot be asked.
pub fn run(effort: Effort, rows: &mut Rows) -> Result<bool> {
    println!("request-metrics: nanoseconds and allocations a request, one thread");
    for package in COMPILED {
        println!("  {}", versions::named(package));
    }
    let mut costs = Vec::new();
    for (place, routes, recorder, sides) in CASES {
        let title = format!("{place}, {routes} route");
        costs.push(if effort.skips(&title) {
            Costs::none(title)
        } else if place == TOGETHER && !effort.is_of_one() && effort.processes > 1 {
            harness::measure_apart(GROUP, &title, effort.processes)?
        } else {
            harness::measure(title, sides(routes, recorder), effort)
        });
    }
    costs.extend([Place::Inside, Place::Outside].map(|place| {
        let title = format!("{}, bare atomics, by routes", place.says());
        if effort.skips(&title) {
            return Costs::none(title);
        }
        // As many as there are routes: all are known when it begins, and what the other sides took from the caches is
        // soon there again.
        let effort = effort.in_batches_of(20_000);
        harness::measure(title, by_routes(place, effort.only), effort)
    }));
    costs.iter().for_each(Costs::print);
    let [
        together,
        in_1,
        _,
        _,
        in_exporter,
        out_exporter,
        in_many,
        out_many,
    ] = &costs[..]
    else {
        unreachable!("there are as many as comparisons");
    };

    println!("\nabove the floor:");
    let peer = &axum_prometheus();
    let mut row = |case: &str, costs: &Costs, ours: &str, peer: &str, change: fn(Row) -> Row| {
        let (row, counted) = costs.row(GROUP, case, ours, costs, peer);
        rows.add_counted((change(row), counted));
    };
    let seventh = |row: Row| row.at_most(1.0 / 7.0).allocates_at_most(0.0);
    let ninth = |row: Row| row.at_most(1.0 / 9.0).allocates_at_most(0.0);
    let told = |row: Row| row.headline().allocates_at_most(0.0);
    let case = "inside a router, each on its own recorder";
    row(case, together, OURS, peer, seventh);
    let case = "inside a router, ours on bare atomics";
    row(case, together, OURS_BARE, peer, seventh);
    let case = "outside of it with a route table, each on its own recorder";
    row(case, together, OURS_WITH_TABLE, peer, ninth);
    let case = "outside of it with a route table, ours on bare atomics";
    row(case, together, OURS_WITH_TABLE_BARE, peer, ninth);
    let case = "inside a router, each on its own recorder, the same three series";
    row(case, together, AS_PEER, peer, told);
    let case = "outside of it with a route table, each on its own recorder, the same three series";
    row(case, together, AS_PEER_WITH_TABLE, peer, told);
    let case = "inside a router, a layer by hand for one service, each on its own recorder";
    row(case, together, BY_HAND, peer, Row::headline);
    let case = "outside of it, a layer by hand for one service, each on its own recorder";
    row(case, together, BY_HAND_WITH_TABLE, peer, Row::headline);
    let case = "the recordings alone, which count wrongly, each on its own recorder";
    row(case, together, LEAST, peer, Row::headline);
    let case = "inside a router, both on bare atomics";
    row(case, in_1, OURS, peer, told);
    let case = "inside a router, both on metrics-exporter-prometheus";
    row(case, in_exporter, OURS, peer, |row| row);
    let case = "outside of it with a route table, both on metrics-exporter-prometheus";
    row(case, out_exporter, OURS_WITH_TABLE, peer, |row| row);
    let case = "inside a router, each on its own recorder";
    for other in [
        "axum-metrics",
        "opentelemetry-instrumentation-tower",
        "tower-otel",
    ] {
        row(case, together, OURS, &versions::named(other), told);
    }
    for (place, costs) in [(Place::Inside, in_many), (Place::Outside, out_many)] {
        let [name, peer] = [place.ours(), &axum_prometheus()];
        let [one, ..] = MANY.map(|(_, _, says)| format!("{name}, {says}"));
        for (_, _, says) in &MANY[1..] {
            let [case, ours] = [place.says(), name].map(|what| format!("{what}, {says}"));
            if let Place::Inside = place {
                let least = format!("{LEAST}, {says}");
                let (row, _) = costs.row(GROUP, &case, &ours, costs, &least);
                rows.add(row.beside("the recordings alone, in each route", costs.added(&least)));
            }
            let (row, counted) = costs.row(GROUP, &case, &ours, costs, &one);
            let row = row.beside("ours with 1 route", costs.added(&one));
            rows.add_counted((row.allocates_at_most(0.0), counted));
            let peer = format!("{peer}, {says}");
            let (row, counted) = costs.row(GROUP, &case, &ours, costs, &peer);
            let row = row.beside(&axum_prometheus(), costs.added(&peer));
            rows.add_counted((row, counted));
        }
    }
    let allocating: Vec<_> = costs.iter().flat_map(Costs::allocating).collect();
    match &allocating[..] {
        [] => println!("contract: no allocation: kept"),
        sides => println!("contract: no allocation: BROKEN\n  {}", sides.join("\n  ")),
    }
    Ok(allocating.is_empty())
}

fn bare(routes: usize, _: &'static str) -> Rc<dyn Backend> {
    Rc::new(Bare::new(routes))
}

fn exporter(_: usize, requests: &'static str) -> Rc<dyn Backend> {
    Rc::new(Prometheus::new(requests))
}

fn own(_: usize, requests: &'static str) -> Rc<dyn Backend> {
    Rc::new(Ours::new(requests))
}

/// Inside and outside, each side on `recorder` but the peers, which are on their own.
fn together(routes: usize, recorder: Recorder) -> Vec<Side> {
    let service = |router| route::service(router);
    let router = || route::router(routes);
    let inside = |name: &str, backend, router| side(name, backend, routes, service(router));
    let table = || Some(RouteTable::new(route::templates(routes)).expect("they are well-formed"));
    let mut sides = first_inside(routes, exporter);
    let of_ours = |name, recorder: Recorder, counter, router| {
        inside(name, recorder(routes, counter), router).allocates_nothing()
    };
    let all = || router().layer(ours(routes, Names::Api, None));
    let as_peer = router().layer(ours(routes, Names::AxumPrometheus, None));
    sides.extend([
        of_ours(OURS, recorder, COUNTER, all()),
        of_ours(OURS_BARE, bare, COUNTER, all()),
        of_ours(AS_PEER, recorder, PEER_COUNTER, as_peer),
        of_ours(
            BY_HAND,
            recorder,
            by_hand::COUNTER,
            router().layer(HandLayer::new(None)),
        ),
        of_ours(
            LEAST,
            recorder,
            least::COUNTER,
            router().layer(LeastLayer::default()),
        ),
    ]);

    let metrics = axum_metrics::MetricLayer::default();
    let instrumentation = Rc::new(OpenTelemetry::new());
    global::set_meter_provider(instrumentation.provider().clone());
    let instrumentation_layer =
        opentelemetry_instrumentation_tower::http::server::LayerBuilder::builder()
            .with_tracing(false)
            .build();
    let instrumentation_layer = instrumentation_layer.expect("the defaults can be built");
    let otel = Rc::new(OpenTelemetry::new());
    let otel_layer = tower_otel::metrics::HttpLayer::server(&otel.provider().meter("benches"));
    sides.extend([
        inside(
            &versions::named("axum-metrics"),
            exporter(routes, "http_requests_total"),
            router().layer(metrics),
        ),
        inside(
            &versions::named("opentelemetry-instrumentation-tower"),
            instrumentation,
            router().layer(instrumentation_layer),
        ),
        inside(
            &versions::named("tower-otel"),
            otel,
            router().layer(otel_layer),
        ),
    ]);

    let outside = sides.len();
    sides.push(side(
        &(floor() + ", outside"),
        Rc::new(()),
        routes,
        in_flight().layer(service(router())),
    ));
    let all = || ours(routes, Names::Api, table()).layer(service(router()));
    let as_peer = ours(routes, Names::AxumPrometheus, table()).layer(service(router()));
    let by_hand = HandLayer::new(Some(&mut route::templates(routes))).layer(service(router()));
    let with_table = [
        side(OURS_WITH_TABLE, recorder(routes, COUNTER), routes, all()),
        side(OURS_WITH_TABLE_BARE, bare(routes, COUNTER), routes, all()),
        side(
            AS_PEER_WITH_TABLE,
            recorder(routes, PEER_COUNTER),
            routes,
            as_peer,
        ),
        side(
            BY_HAND_WITH_TABLE,
            recorder(routes, by_hand::COUNTER),
            routes,
            by_hand,
        ),
    ];
    sides.extend(with_table.map(|side| side.allocates_nothing().above(outside)));
    sides
}

fn inside(routes: usize, recorder: Recorder) -> Vec<Side> {
    let router = || route::router(routes);
    let side = |name: &str, backend, router| side(name, backend, routes, route::service(router));
    let mut sides = first_inside(routes, recorder);
    sides.extend([
        side(
            "tower-observe, observing nothing",
            Rc::new(()),
            router().layer(ObserveLayer::new(())),
        )
        .allocates_nothing(),
        side(
            LEAST,
            recorder(routes, least::COUNTER),
            router().layer(LeastLayer::default()),
        )
        .allocates_nothing(),
        side(
            OURS,
            recorder(routes, COUNTER),
            router().layer(ours(routes, Names::Api, None)),
        )
        .allocates_nothing(),
    ]);
    sides
}

/// The bare router, the floor, and the peer on this recorder.
fn first_inside(routes: usize, recorder: Recorder) -> Vec<Side> {
    let router = || route::router(routes);
    let side = |name: &str, backend, router| side(name, backend, routes, route::service(router));
    vec![
        side("bare", Rc::new(()), router()),
        side(&floor(), Rc::new(()), router().layer(in_flight())),
        side(
            &axum_prometheus(),
            recorder(routes, PEER_COUNTER),
            router().layer(prometheus()),
        ),
    ]
}

fn outside(routes: usize, recorder: Recorder) -> Vec<Side> {
    let router = || route::service(route::router(routes));
    let tagged = || route::service(route::router(routes).route_layer(RouteTagLayer::new()));
    let table = RouteTable::new(route::templates(routes)).expect("they are well-formed");
    vec![
        side("bare", Rc::new(()), routes, router()),
        side(&floor(), Rc::new(()), routes, in_flight().layer(router())),
        // Which has no other label here than the path.
        side(
            &axum_prometheus(),
            recorder(routes, PEER_COUNTER),
            routes,
            prometheus().layer(router()),
        ),
        side(
            LEAST,
            recorder(routes, least::COUNTER),
            routes,
            LeastLayer::default().layer(router()),
        )
        .allocates_nothing(),
        side(
            OURS_WITH_TABLE,
            recorder(routes, COUNTER),
            routes,
            ours(routes, Names::Api, Some(table)).layer(router()),
        )
        .allocates_nothing(),
        side(
            "tower-request-metrics, RouteTagLayer",
            recorder(routes, COUNTER),
            routes,
            ours(routes, Names::Api, None).layer(tagged()),
        ),
    ]
}

#[derive(Clone, Copy)]
enum Place {
    Inside,
    Outside,
}

impl Place {
    const fn says(self) -> &'static str {
        match self {
            Self::Inside => "inside an axum router",
            Self::Outside => "outside of the router",
        }
    }

    const fn ours(self) -> &'static str {
        match self {
            Self::Inside => OURS,
            Self::Outside => OURS_WITH_TABLE,
        }
    }
}

/// The floor, the peer and ours on few routes and on many, all in the same rounds. Only that of the name, if one is
/// given: many routes take long to make.
fn by_routes(place: Place, only: Option<&str>) -> Vec<Side> {
    let mut sides = Vec::new();
    let mut add = |name: &str, of: &str, make: &dyn Fn(&str) -> Side| {
        let name = format!("{name}, {of}");
        if only.is_none_or(|only| only == name) {
            sides.push(make(&name));
        }
        sides.len()
    };
    for (routes, asked, says) in MANY {
        let router = || route::router(routes);
        let requests = || Requests::to_some(routes, asked);
        let made = |name: &str, backend, service| side(name, backend, requests(), service);
        if routes == 1 {
            add("bare", says, &|name| {
                made(name, Rc::new(()), route::service(router()))
            });
        }
        let floor = add(&floor(), says, &|name| match place {
            Place::Inside => made(
                name,
                Rc::new(()),
                route::service(router().layer(in_flight())),
            ),
            Place::Outside => {
                let service = in_flight().layer(route::service(router()));
                side(name, Rc::new(()), requests(), service)
            }
        });
        // It is the one that was added last.
        let floor = floor.saturating_sub(1);
        add(&axum_prometheus(), says, &|name| {
            let backend = bare(routes, PEER_COUNTER);
            let side = match place {
                Place::Inside => made(name, backend, route::service(router().layer(prometheus()))),
                Place::Outside => {
                    let service = prometheus().layer(route::service(router()));
                    side(name, backend, requests(), service)
                }
            };
            side.above(floor)
        });
        add(place.ours(), says, &|name| {
            let backend = bare(routes, COUNTER);
            let side = match place {
                Place::Inside => {
                    let router = router().layer(ours(routes, Names::Api, None));
                    made(name, backend, route::service(router))
                }
                Place::Outside => {
                    let table = RouteTable::new(route::templates(routes));
                    let table = table.expect("they are well-formed");
                    let ours = ours(routes, Names::Api, Some(table));
                    let service = ours.layer(route::service(router()));
                    side(name, backend, requests(), service)
                }
            };
            side.allocates_nothing().above(floor)
        });
        if let Place::Inside = place {
            add(LEAST, says, &|name| {
                let router = route::router_of(routes, |template| {
                    route::answering().layer(LeastLayer::of_route(template))
                });
                made(name, bare(routes, least::COUNTER), route::service(router)).above(floor)
            });
        }
    }
    sides
}

fn plain(routes: usize, recorder: Recorder) -> Vec<Side> {
    let service = || service_fn(route::plain);
    let table = RouteTable::new(route::templates(routes)).expect("the templates are well-formed");
    vec![
        side("bare", Rc::new(()), routes, service()),
        side(&floor(), Rc::new(()), routes, in_flight().layer(service())),
        side(
            &axum_prometheus(),
            recorder(routes, PEER_COUNTER),
            routes,
            prometheus().layer(service()),
        ),
        side(
            OURS_WITH_TABLE,
            recorder(routes, COUNTER),
            routes,
            ours(routes, Names::Api, Some(table)).layer(service()),
        )
        .allocates_nothing(),
    ]
}

/// To all of so many routes, or with the requests given.
fn side<S, B, R>(
    name: &str,
    backend: Rc<dyn Backend>,
    requests: impl Into<Requests>,
    service: S,
) -> Side
where
    S: Service<Request<B>, Response = Response<R>> + Clone + 'static,
    S::Error: Debug,
    B: Default,
    R: http_body::Body,
    R::Error: Debug,
{
    let mut requests = requests.into();
    Side::new(name, backend, move |n| requests.send(&service, n))
}

fn floor() -> String {
    versions::named("tower-http") + " InFlightRequests (the floor)"
}

fn in_flight() -> InFlightRequestsLayer {
    InFlightRequestsLayer::pair().0
}

fn axum_prometheus() -> String {
    versions::named("axum-prometheus")
}

fn prometheus() -> PrometheusMetricLayer<'static> {
    PrometheusMetricLayerBuilder::new()
        .no_initialize_metrics()
        .build()
}

fn ours(routes: usize, names: Names, table: Option<RouteTable>) -> RequestMetricsLayer {
    let mut builder = RequestMetrics::builder().names(names).max_routes(routes);
    if let Some(table) = table {
        builder = builder.routes(table);
    }
    builder.build().expect("the defaults can be built").into()
}
