//! By how much a process grows, each in one of its own: what was freed by another would be used again.

use std::{env, fs, hint::black_box, process::Command};

use clap::ValueEnum;
use metrics::{Key, Label, Recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use tower_metrics_exporter::Exporter;

use benches::report::Row;

use super::{BUCKETS, METADATA, exporter, key, value};
use crate::{
    groups::scale::MILLION,
    harness::Rows,
    scale::{self, fill},
};

/// What a process does whose memory is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Resident {
    OurCounters,
    OurHistograms,
    OurObservations,
    OurLabels,
    OurMillion,
    MepMillion,
    MepCounters,
    MepHistograms,
    MepObservations,
}

const COUNTERS: usize = 100_000;
const HISTOGRAMS: usize = 10_000;
const LABELS: usize = 1_000_000;
const OBSERVATIONS: usize = 100_000_000;
/// They keep 16 bytes of each.
const THEIR_OBSERVATIONS: usize = 10_000_000;

pub fn run(rows: &mut Rows) {
    let per = |what, count: usize| grown(what) as f64 / count as f64;
    let mut row = |what: &str, ours: f64, theirs: f64| {
        let row = Row::new("recorder", what, ours).beside(&super::mep(), theirs);
        rows.add(row.in_bytes().headline());
    };
    row(
        "memory of a counter of three labels",
        per(Resident::OurCounters, COUNTERS),
        per(Resident::MepCounters, COUNTERS),
    );
    row(
        "memory of a histogram of 11 buckets and three labels, theirs before it has samples",
        per(Resident::OurHistograms, HISTOGRAMS),
        per(Resident::MepHistograms, HISTOGRAMS),
    );
    row(
        "memory after 100,000,000 observations without a scrape, theirs after 10,000,000",
        grown(Resident::OurObservations) as f64,
        grown(Resident::MepObservations) as f64,
    );
    let labels = grown(Resident::OurLabels) as f64;
    let row = Row::new(
        "recorder",
        "memory after 1,000,000 values of one label",
        labels,
    );
    rows.add(row.in_bytes().headline());
}

/// In bytes.
pub fn grown(what: Resident) -> u64 {
    let name = what
        .to_possible_value()
        .expect("all of them can be asked for");
    let program = env::current_exe().expect("the program knows its name");
    let said = Command::new(program)
        .args(["--resident", name.get_name()])
        .output()
        .expect("the program starts");
    assert!(said.status.success(), "{said:?}");
    let said = String::from_utf8(said.stdout).expect("a number");
    said.trim().parse().expect("a number")
}

/// Does it, and prints the growth.
pub fn print_growth(what: Resident) {
    let peer = || {
        let builder = PrometheusBuilder::new().set_buckets(&BUCKETS);
        builder.expect("the buckets can be used").build_recorder()
    };
    let grown = match what {
        Resident::OurCounters => growth(exporter().recorder(), counters),
        Resident::MepCounters => growth(peer(), counters),
        Resident::OurHistograms => growth(exporter().recorder(), histograms),
        Resident::MepHistograms => growth(peer(), histograms),
        Resident::OurObservations => growth(exporter().recorder(), |recorder| {
            observe(recorder, OBSERVATIONS);
        }),
        Resident::MepObservations => growth(peer(), |recorder| {
            observe(recorder, THEIR_OBSERVATIONS);
        }),
        Resident::OurMillion => growth(scale::exporter(MILLION).recorder(), |recorder| {
            fill(recorder, MILLION);
        }),
        Resident::MepMillion => growth(crate::groups::scale::peer(MILLION), |recorder| {
            fill(recorder, MILLION)
        }),
        Resident::OurLabels => {
            let exporter = Exporter::builder()
                .build()
                .expect("the defaults can be built");
            growth(exporter.recorder(), labels)
        }
    };
    println!("{grown}");
}

fn growth<R: Recorder>(recorder: R, work: impl FnOnce(&R)) -> u64 {
    // What a first series brings with it is not a series'.
    recorder
        .register_histogram(&Key::from_static_name("first_seconds"), &METADATA)
        .record(1.0);
    let before = resident();
    work(&recorder);
    let grown = resident().saturating_sub(before);
    drop(black_box(recorder));
    grown
}

fn counters(recorder: &impl Recorder) {
    for at in 0..COUNTERS {
        let key = key("api_requests_total", at);
        recorder.register_counter(&key, &METADATA).increment(1);
    }
}

fn histograms(recorder: &impl Recorder) {
    for at in 0..HISTOGRAMS {
        let key = key("api_request_duration_seconds", at);
        recorder
            .register_histogram(&key, &METADATA)
            .record(value(at));
    }
}

fn observe(recorder: &impl Recorder, count: usize) {
    let held = recorder.register_histogram(&Key::from_static_name("held_seconds"), &METADATA);
    (0..count).for_each(|at| held.record(value(at)));
}

fn labels(recorder: &impl Recorder) {
    for at in 0..LABELS {
        let label = Label::new("user", at.to_string());
        let key = Key::from_parts("logins_total", vec![label]);
        recorder.register_counter(&key, &METADATA).increment(1);
    }
}

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("it is measured on Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("the kernel tells it") * 1024
}
