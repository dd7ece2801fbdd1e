//! The recorder: what a handle, a look-up, a page and a series cost, beside the peers.

mod handles;
mod memory;
mod pages;

use std::time::Instant;

use metrics::{Key, Label, Level, Metadata};
use test_support::alloc;
use tower_metrics_exporter::{Exporter, Matcher};

pub use self::memory::{Resident, print_growth};
use benches::report::Row;

use crate::{
    harness::{Effort, Rows},
    versions,
};

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

const BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

fn mep() -> String {
    versions::named("metrics-exporter-prometheus")
}

fn client() -> String {
    versions::named("prometheus-client")
}

fn tikv() -> String {
    versions::named("prometheus")
}

/// Compares, and prints each ratio beside what it is to be at most.
pub fn run(effort: Effort, rows: &mut Rows) {
    println!("\nrecorder: the least of several rounds in which all sides take turns");
    handles::run(effort, rows);
    pages::run(effort, rows);
    memory::run(rows);
}

/// What one side costs.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// Nanoseconds of an operation, the least there was.
    nanos: f64,
    /// Allocations of an operation.
    allocations: f64,
}

/// One side: how many operations a round has, and what one does, given its number.
struct Side<'a> {
    operations: usize,
    work: Box<dyn FnMut(usize) + 'a>,
}

impl<'a> Side<'a> {
    fn new(operations: usize, work: impl FnMut(usize) + 'a) -> Self {
        // Each operation by itself would be a call.
        let mut work = work;
        Self {
            operations,
            work: Box::new(move |operations| (0..operations).for_each(&mut work)),
        }
    }
}

/// The sides in turn, so that what else the machine does falls on all of them.
fn turns<const N: usize>(effort: Effort, mut sides: [Side<'_>; N]) -> [Cost; N] {
    let mut costs = [Cost {
        nanos: f64::MAX,
        allocations: 0.0,
    }; N];
    for _ in 0..effort.rounds.min(15) {
        for (side, cost) in sides.iter_mut().zip(&mut costs) {
            let start = Instant::now();
            let counted = alloc::count(|| (side.work)(side.operations));
            let operations = side.operations as f64;
            let nanos = start.elapsed().as_nanos() as f64 / operations;
            cost.nanos = cost.nanos.min(nanos);
            cost.allocations = counted.allocations as f64 / operations;
        }
    }
    costs
}

fn compare(what: &str, ours: Cost, peer: &str, theirs: Cost) -> Row {
    Row::new("recorder", what, ours.nanos)
        .beside(peer, theirs.nanos)
        .allocations(ours.allocations, theirs.allocations)
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

/// Three labels, of which one tells the series apart.
fn key(name: &'static str, at: usize) -> Key {
    let labels = vec![
        Label::new("method", "GET"),
        Label::new("endpoint", format!("/api/v1/things/{at}")),
        Label::new("status", "200"),
    ];
    Key::from_parts(name, labels)
}
