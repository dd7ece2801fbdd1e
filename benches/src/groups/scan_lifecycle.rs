//! One scan, from its start to its end: what a worker's layer adds to a task that does nothing.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use apalis::{
    layers::prometheus::PrometheusLayer,
    prelude::{Task, TaskBuilder, WorkerContext},
};
use tower::{Layer as _, Service, service_fn};
use tower_scan_lifecycle::{ScanLayer, ScanMeta, ScanMetrics};

use benches::report::Row;

use crate::{
    backend::{Backend, Ours, Prometheus},
    harness::{self, Effort, Rows, Side},
    versions,
};

const GROUP: &str = "scan-lifecycle";
const OURS: &str = "tower-scan-lifecycle";
const OURS_OWN: &str = "tower-scan-lifecycle, tower-metrics-exporter";
const OWN: &str = ", tower-metrics-exporter";

/// What is scanned.
#[derive(Clone, Copy, Debug, Default)]
struct Job;

/// Compares.
pub fn run(effort: Effort, rows: &mut Rows) {
    let apalis = versions::named("apalis");
    let ours = || ScanLayer::new(scans(), |_: &Task<Job>| Some(ScanMeta::new("mcp")));
    let nothing = ScanLayer::new(scans(), |_: &Task<Job>| None);
    let peers_counter = "tasks_total";
    let our_counter = "sentrascan_scans_total";
    let sides = vec![
        side("bare", (), service_fn(scan)),
        side(
            "tower-scan-lifecycle, a call that is no scan (the floor)",
            (),
            nothing.layer(service_fn(scan)),
        ),
        side(
            format!("{apalis} prometheus"),
            Prometheus::new(peers_counter),
            PrometheusLayer::default().layer(service_fn(scan)),
        ),
        side(
            OURS,
            Prometheus::new(our_counter),
            ours().layer(service_fn(scan)),
        ),
        side(
            format!("{apalis} prometheus{OWN}"),
            Ours::new(peers_counter),
            PrometheusLayer::default().layer(service_fn(scan)),
        ),
        side(
            OURS_OWN,
            Ours::new(our_counter),
            ours().layer(service_fn(scan)),
        ),
    ];
    let costs = harness::measure(
        "scan-lifecycle: nanoseconds and allocations a scan, one thread; the peer records 2 series, ours 6",
        sides,
        effort,
    );
    costs.print();
    let peer = format!("{apalis} prometheus");
    for (case, ours, peer) in [
        (
            "a scan that does nothing, each on its own recorder",
            OURS_OWN,
            peer.clone(),
        ),
        (
            "the same, both on tower-metrics-exporter",
            OURS_OWN,
            peer.clone() + OWN,
        ),
        ("the same, both on metrics-exporter-prometheus", OURS, peer),
    ] {
        let (row, counted) = costs.row(GROUP, case, ours, &costs, &peer);
        rows.add_counted((row.headline(), counted));
    }
    among_others(effort, rows);
}

/// How a start and an end depend on how many scans run.
fn among_others(effort: Effort, rows: &mut Rows) {
    let title =
        "scan-lifecycle: nanoseconds and allocations a start and an end, by how many scans run";
    if effort.skips(title) {
        return;
    }
    let side = |others: usize| {
        let scans = scans();
        let start = move || scans.start(ScanMeta::new("mcp"));
        let others: Vec<_> = (0..others).map(|_| start()).collect();
        let backend = Ours::new("sentrascan_scans_total");
        let name = format!("start and end among {} others", others.len());
        Side::new(name, Rc::new(backend), move |n| {
            let _running = &others;
            (0..n).for_each(|_| start().cancel());
        })
    };
    let mut sides = vec![Side::new("nothing", Rc::new(()), |n| {
        std::hint::black_box(n);
    })];
    sides.extend([0, 1_000, 1_000_000].map(side));
    let costs = harness::measure(title, sides, effort);
    costs.print();
    let name = |others: usize| format!("start and end among {others} others");
    for others in [1_000, 1_000_000] {
        let many = costs.nanos(&name(others));
        rows.add(
            Row::new(GROUP, name(others), many)
                .beside("ours among none", costs.nanos(&name(0)))
                .headline(),
        );
    }
}

fn scans() -> ScanMetrics {
    let builder = ScanMetrics::builder().types(["mcp", "model"]);
    builder.build().expect("the types are values")
}

fn scan(_: Task<Job>) -> Ready<Result<(), Infallible>> {
    ready(Ok(()))
}

fn side<S>(name: impl Into<String>, backend: impl Backend + 'static, mut service: S) -> Side
where
    S: Service<Task<Job>, Response = (), Error = Infallible> + 'static,
{
    let task = TaskBuilder::new(Job)
        .data(WorkerContext::new("worker-1"))
        .build();
    Side::new(name, Rc::new(backend), move |n| {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..n {
            let mut call = pin!(service.call(task.clone()));
            let Poll::Ready(Ok(())) = call.as_mut().poll(&mut context) else {
                unreachable!("the task does nothing");
            };
        }
    })
}
