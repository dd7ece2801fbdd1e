//! Handles that are held, series that are looked up, and two threads at one series.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use benches::report::Row;
use metrics::{Counter, Histogram, Key, Recorder, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use prometheus_client::metrics::{
    counter::Counter as ClientCounter, histogram::Histogram as ClientHistogram,
};

use super::{BUCKETS, METADATA, OURS, Side, compare, exporter, turns, value};
use crate::harness::{Effort, Rows};

pub fn run(effort: Effort, rows: &mut Rows) {
    counters(effort, rows);
    histograms(effort, rows);
    labels(effort, rows);
}

fn counter(recorder: &dyn Recorder) -> Counter {
    recorder.register_counter(&Key::from_static_name("held_total"), &METADATA)
}

fn histogram(recorder: &dyn Recorder, name: &'static str) -> Histogram {
    recorder.register_histogram(&Key::from_static_name(name), &METADATA)
}

fn counters(effort: Effort, rows: &mut Rows) {
    let title = "a held counter";
    if effort.skips(title) {
        return;
    }
    let operations = effort.operations;
    let ours = counter(&exporter().recorder());
    let bare = AtomicU64::new(0);
    let mep = counter(&PrometheusBuilder::new().build_recorder());
    let tikv = prometheus::IntCounter::new("held_total", "Held.").expect("it is a name");
    let client = <ClientCounter>::default();
    let sides = [
        Side::new(OURS, operations, |_| black_box(&ours).increment(1)),
        Side::new("a bare atomic add", operations, |_| {
            black_box(&bare).fetch_add(1, Ordering::Relaxed);
        }),
        Side::new(super::mep(), operations, |_| black_box(&mep).increment(1)),
        Side::new(super::tikv(), operations, |_| black_box(&tikv).inc()),
        Side::new(super::client(), operations, |_| {
            black_box(&client).inc();
        }),
    ];
    let [ours, bare, peers @ ..] = turns(effort, title, sides);
    let (row, counted) = compare(title, &ours, &bare);
    rows.add_counted((row.at_most(1.4), counted));
    for peer in &peers {
        rows.add_counted(compare(title, &ours, peer));
    }
}

fn histograms(effort: Effort, rows: &mut Rows) {
    let title = "a held histogram";
    if effort.skips(title) {
        return;
    }
    let operations = effort.operations / 4;
    let ours = histogram(&exporter().recorder(), "held_seconds");
    let peer = PrometheusBuilder::new().set_buckets(&BUCKETS);
    let peer = peer.expect("the buckets can be used").build_recorder();
    let mep = histogram(&peer, "held_seconds");
    let handle = peer.handle();
    let options = prometheus::HistogramOpts::new("held_seconds", "Held.").buckets(BUCKETS.into());
    let tikv = prometheus::Histogram::with_opts(options).expect("the buckets can be used");
    let client = ClientHistogram::new(BUCKETS);
    let sides = [
        Side::new(OURS, operations, |at| black_box(&ours).record(value(at))),
        Side::new(super::mep(), operations, |at| {
            // Without it each sample would be kept, for each round.
            if at == 0 {
                handle.run_upkeep();
            }
            black_box(&mep).record(value(at));
        }),
        Side::new(super::tikv(), operations, |at| {
            black_box(&tikv).observe(value(at))
        }),
        Side::new(super::client(), operations, |at| {
            black_box(&client).observe(value(at))
        }),
    ];
    let [ours, mep, tikv, client] = turns(effort, title, sides);
    let (row, counted) = compare(title, &ours, &mep);
    rows.add_counted((row.at_most(0.3), counted));
    rows.add_counted(compare(title, &ours, &tikv));
    rows.add_counted(compare(title, &ours, &client));
}

fn labels(effort: Effort, rows: &mut Rows) {
    let title = "a counter with three labels made at run time";
    if effort.skips(title) {
        return;
    }
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
    let sides = [
        Side::whole(OURS, operations, |operations| within(&ours, operations)),
        Side::whole(super::mep(), operations, |operations| {
            within(&mep, operations)
        }),
    ];
    let [ours, mep] = turns(effort, title, sides);
    let (row, counted) = compare(title, &ours, &mep);
    rows.add_counted((row.at_most(0.55).allocates_at_most(4.0), counted));
}

pub fn threads(effort: Effort, rows: &mut Rows) {
    let ours = histogram(&exporter().recorder(), "hot_seconds");
    let peer = PrometheusBuilder::new().set_buckets(&BUCKETS);
    let peer = peer.expect("the buckets can be used").build_recorder();
    let mep = histogram(&peer, "hot_seconds");
    let handle = peer.handle();
    let ours = by_threads(effort, &ours, || {});
    // Without it each sample would be kept.
    let theirs = by_threads(effort, &mep, || handle.run_upkeep());
    let [one, two, four] = ours;
    let row = |case: &str, ours, peer: &str, theirs| {
        Row::new("recorder", case, ours).beside(peer, theirs)
    };
    let what = "a histogram that two threads share, an operation of each";
    rows.add(row(what, two, "ours on one thread", one).at_most(1.3));
    rows.add(row(what, two, &super::mep(), theirs[1]));
    let what = "a histogram that four threads share on two processors";
    rows.add(row(what, four, &super::mep(), theirs[2]));
}

/// The times of an operation of each thread, on one, two and four.
fn by_threads(effort: Effort, held: &Histogram, upkeep: impl Fn()) -> [f64; 3] {
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
    let mut least = [f64::MAX; 3];
    // Short and many, so that all processors are free in some of them.
    for _ in 0..effort.rounds * 8 {
        for (least, threads) in least.iter_mut().zip([1, 2, 4]) {
            *least = least.min(on(threads));
        }
    }
    least
}
