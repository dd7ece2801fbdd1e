//! Handles that are held, series that are looked up, and two threads at one series.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use metrics::{Counter, Histogram, Key, Recorder, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use prometheus_client::metrics::{
    counter::Counter as ClientCounter, histogram::Histogram as ClientHistogram,
};

use super::{BUCKETS, MEP, METADATA, Side, compare, exporter, turns, value};
use crate::harness::Effort;

pub fn run(effort: Effort) {
    counters(effort);
    histograms(effort);
    labels(effort);
    threads(effort);
}

fn counter(recorder: &dyn Recorder) -> Counter {
    recorder.register_counter(&Key::from_static_name("held_total"), &METADATA)
}

fn histogram(recorder: &dyn Recorder, name: &'static str) -> Histogram {
    recorder.register_histogram(&Key::from_static_name(name), &METADATA)
}

fn counters(effort: Effort) {
    let operations = effort.operations;
    let ours = counter(&exporter().recorder());
    let bare = AtomicU64::new(0);
    let mep = counter(&PrometheusBuilder::new().build_recorder());
    let tikv = prometheus::IntCounter::new("held_total", "Held.").expect("it is a name");
    let client = <ClientCounter>::default();
    let [ours, bare, mep, tikv, client] = turns(
        effort,
        [
            Side::new(operations, |_| black_box(&ours).increment(1)),
            Side::new(operations, |_| {
                black_box(&bare).fetch_add(1, Ordering::Relaxed);
            }),
            Side::new(operations, |_| black_box(&mep).increment(1)),
            Side::new(operations, |_| black_box(&tikv).inc()),
            Side::new(operations, |_| {
                black_box(&client).inc();
            }),
        ],
    );
    compare("held counter", ours, "a bare atomic add", bare, Some(1.4));
    compare("held counter", ours, MEP, mep, None);
    compare("held counter", ours, "prometheus", tikv, None);
    compare("held counter", ours, "prometheus-client", client, None);
}

fn histograms(effort: Effort) {
    let operations = effort.operations / 4;
    let ours = histogram(&exporter().recorder(), "held_seconds");
    let peer = PrometheusBuilder::new().set_buckets(&BUCKETS);
    let peer = peer.expect("the buckets can be used").build_recorder();
    let mep = histogram(&peer, "held_seconds");
    let handle = peer.handle();
    let options = prometheus::HistogramOpts::new("held_seconds", "Held.").buckets(BUCKETS.into());
    let tikv = prometheus::Histogram::with_opts(options).expect("the buckets can be used");
    let client = ClientHistogram::new(BUCKETS);
    let [mine, mep, tikv, client] = turns(
        effort,
        [
            Side::new(operations, |at| black_box(&ours).record(value(at))),
            Side::new(operations, |at| {
                // Without it each sample would be kept, for each round.
                if at == 0 {
                    handle.run_upkeep();
                }
                black_box(&mep).record(value(at));
            }),
            Side::new(operations, |at| black_box(&tikv).observe(value(at))),
            Side::new(operations, |at| black_box(&client).observe(value(at))),
        ],
    );
    compare("held histogram", mine, MEP, mep, Some(0.3));
    compare("held histogram", mine, "prometheus", tikv, None);
    compare("held histogram", mine, "prometheus-client", client, None);
}

fn labels(effort: Effort) {
    let count = |at: usize| {
        metrics::counter!(
            "labelled_total",
            "method" => ["GET", "PUT"][at % 2].to_owned(),
            "endpoint" => ["/a", "/b", "/c", "/d"][at % 4].to_owned(),
            "status" => "200".to_owned(),
        )
        .increment(1);
    };
    let operations = effort.operations / 4;
    let ours = exporter().recorder();
    let mep = PrometheusBuilder::new().build_recorder();
    let within = |recorder: &dyn Recorder, operations| {
        with_local_recorder(&recorder, || (0..operations).for_each(count));
    };
    // A recorder is put in place once a round.
    let [ours, mep] = turns(
        effort,
        [
            Side {
                operations,
                work: Box::new(|operations| within(&ours, operations)),
            },
            Side {
                operations,
                work: Box::new(|operations| within(&mep, operations)),
            },
        ],
    );
    let what = "counter with three labels made at run time";
    compare(what, ours, MEP, mep, Some(0.55));
}

fn threads(effort: Effort) {
    let ours = histogram(&exporter().recorder(), "hot_seconds");
    let peer = PrometheusBuilder::new().set_buckets(&BUCKETS);
    let peer = peer.expect("the buckets can be used").build_recorder();
    let mep = histogram(&peer, "hot_seconds");
    let handle = peer.handle();
    println!(
        "  one histogram, an operation of each thread: {}, contract <= 1.3; {MEP}: {}",
        one_and_two(effort, &ours, || {}),
        // Without it each sample would be kept.
        one_and_two(effort, &mep, || handle.run_upkeep()),
    );
}

/// The times on one thread and on two, and their ratio.
fn one_and_two(effort: Effort, held: &Histogram, upkeep: impl Fn()) -> String {
    let operations = effort.operations / 4;
    let on = |threads: usize| {
        let start = Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..operations).for_each(|at| held.record(value(at))));
            }
        });
        let nanos = start.elapsed().as_nanos() as f64 / operations as f64;
        upkeep();
        nanos
    };
    let (mut one, mut two) = (f64::MAX, f64::MAX);
    // Short and many, so that both processors are free in some of them.
    for _ in 0..effort.rounds * 8 {
        one = one.min(on(1));
        two = two.min(on(2));
    }
    let ratio = two / one;
    format!("{one:.1} ns on one, {two:.1} ns on two, ratio {ratio:.3}")
}
