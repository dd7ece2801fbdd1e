//! The recorder: what a handle, a look-up and a page cost, beside the peers.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use metrics::{Counter, Histogram, Key, Label, Level, Metadata, Recorder, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use prometheus_client::{
    encoding::text::encode,
    metrics::{family::Family, histogram::Histogram as ClientHistogram},
    registry::Registry,
};
use test_support::alloc;
use tower_metrics_exporter::{Exporter, Matcher};

use crate::{harness::Effort, versions};

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

const BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Compares, and prints each ratio beside what it is to be at most.
pub fn run(effort: Effort) {
    let mep = versions::named("metrics-exporter-prometheus");
    println!("\nrecorder: the least of several rounds, in nanoseconds an operation, one thread");
    println!("  peers: {mep}, {}", versions::named("prometheus-client"));
    handles(effort);
    threads(effort);
    pages(effort);
}

/// The least time of an operation, and its allocations.
fn least(effort: Effort, operations: usize, mut work: impl FnMut(usize)) -> (f64, f64) {
    let mut least = (f64::MAX, 0.0);
    for _ in 0..effort.rounds.min(9) {
        let start = Instant::now();
        let counted = alloc::count(|| (0..operations).for_each(&mut work));
        let nanos = start.elapsed().as_nanos() as f64 / operations as f64;
        least.0 = f64::min(least.0, nanos);
        least.1 = counted.allocations as f64 / operations as f64;
    }
    least
}

fn compare(what: &str, ours: (f64, f64), peer: (&str, (f64, f64)), contract: f64) {
    println!(
        "  {what:<44} {:>12.1} ns {:>9.1} allocs   {}: {:>12.1} ns {:>9.1} allocs   ratio {:.3}, contract <= {contract}",
        ours.0,
        ours.1,
        peer.0,
        peer.1.0,
        peer.1.1,
        ours.0 / peer.1.0,
    );
}

fn exporter() -> Exporter {
    Exporter::builder()
        .limit(Matcher::Any, 1_000_000)
        .buckets(Matcher::Any, BUCKETS)
        .build()
        .expect("the buckets can be used")
}

fn value(at: usize) -> f64 {
    (at % 1024) as f64 * 0.01
}

fn handles(effort: Effort) {
    let operations = effort.operations;
    let exporter = exporter();
    let recorder = exporter.recorder();
    let peer = PrometheusBuilder::new().set_buckets(&BUCKETS);
    let peer = peer.expect("the buckets can be used").build_recorder();
    let handle = peer.handle();

    let bare = AtomicU64::new(0);
    let atomic = least(effort, operations, |_| {
        black_box(&bare).fetch_add(1, Ordering::Relaxed);
    });
    let counter = |recorder: &dyn Recorder| -> Counter {
        recorder.register_counter(&Key::from_static_name("held_total"), &METADATA)
    };
    let ours = counter(&recorder);
    let ours = least(effort, operations, |_| black_box(&ours).increment(1));
    compare("held counter", ours, ("a bare atomic add", atomic), 1.4);

    let histogram = |recorder: &dyn Recorder| -> Histogram {
        recorder.register_histogram(&Key::from_static_name("held_seconds"), &METADATA)
    };
    let held = histogram(&recorder);
    let ours = least(effort, operations, |at| black_box(&held).record(value(at)));
    let held = histogram(&peer);
    let theirs = least(effort, operations / 4, |at| {
        black_box(&held).record(value(at));
    });
    handle.run_upkeep();
    compare(
        "held histogram",
        ours,
        ("metrics-exporter-prometheus", theirs),
        0.3,
    );

    let labels = |at: usize| {
        metrics::counter!(
            "labelled_total",
            "method" => ["GET", "PUT"][at % 2].to_owned(),
            "endpoint" => ["/a", "/b", "/c", "/d"][at % 4].to_owned(),
            "status" => "200".to_owned(),
        )
        .increment(1);
    };
    let ours = with_local_recorder(&recorder, || least(effort, operations / 4, labels));
    let theirs = with_local_recorder(&peer, || least(effort, operations / 4, labels));
    compare(
        "counter with three labels made at run time",
        ours,
        ("metrics-exporter-prometheus", theirs),
        0.55,
    );
}

fn threads(effort: Effort) {
    let recorder = exporter().recorder();
    let histogram = recorder.register_histogram(&Key::from_static_name("hot_seconds"), &METADATA);
    let on = |threads: usize| {
        let mut least = f64::MAX;
        for _ in 0..effort.rounds.min(9) {
            let start = Instant::now();
            thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        (0..effort.operations).for_each(|at| histogram.record(value(at)))
                    });
                }
            });
            least = least.min(start.elapsed().as_nanos() as f64 / effort.operations as f64);
        }
        least
    };
    let (one, two) = (on(1), on(2));
    println!(
        "  one histogram, an operation of each thread: {one:.1} ns on one, {two:.1} ns on two   ratio {:.3}, contract <= 1.3",
        two / one
    );
}

fn key(name: &'static str, at: usize) -> Key {
    let labels = vec![
        Label::new("method", "GET"),
        Label::new("endpoint", format!("/api/v1/things/{at}")),
        Label::new("status", "200"),
    ];
    Key::from_parts(name, labels)
}

fn pages(effort: Effort) {
    let ours = exporter();
    let recorder = ours.recorder();
    let client = Family::<Vec<(String, String)>, ClientHistogram, fn() -> ClientHistogram>::new_with_constructor(
        || ClientHistogram::new(BUCKETS),
    );
    for at in 0..10_000 {
        let key = key("api_request_duration_seconds", at);
        recorder
            .register_histogram(&key, &METADATA)
            .record(value(at));
        let labels = key
            .labels()
            .map(|label| (label.key().to_owned(), label.value().to_owned()));
        client.get_or_create(&labels.collect()).observe(value(at));
    }
    let mut registry = Registry::default();
    registry.register("api_request_duration_seconds", "Time.", client);
    let rendered = least(effort, 3, |_| drop(black_box(ours.render())));
    let theirs = least(effort, 3, |_| {
        let mut page = String::new();
        encode(&mut page, &registry).expect("a string takes all");
        drop(black_box(page));
    });
    compare(
        "page of 10,000 histograms of 11 buckets",
        rendered,
        ("prometheus-client", theirs),
        0.2,
    );

    let ours = exporter();
    let recorder = ours.recorder();
    let peer = PrometheusBuilder::new().build_recorder();
    let handle = peer.handle();
    let register = |recorder: &dyn Recorder| {
        let kept = alloc::count(|| {
            for at in 0..100_000 {
                recorder
                    .register_counter(&key("api_requests_total", at), &METADATA)
                    .increment(1);
            }
        });
        kept.allocations as f64 / 1e5
    };
    let registered = (register(&recorder), register(&peer));
    println!(
        "  allocations to register a series of three labels: {:.1}, metrics-exporter-prometheus {:.1}",
        registered.0, registered.1
    );
    let rendered = least(effort, 3, |_| drop(black_box(ours.render())));
    let theirs = least(effort, 1, |_| drop(black_box(handle.render())));
    compare(
        "page of 100,000 counters of three labels",
        rendered,
        ("metrics-exporter-prometheus", theirs),
        0.05,
    );
}
