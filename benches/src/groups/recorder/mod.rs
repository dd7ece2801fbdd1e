//! The recorder: what a handle, a look-up, a page and a series cost, beside the peers.

mod handles;
mod memory;
mod pages;

use std::time::Instant;

use metrics::{Key, Label, Level, Metadata};
use test_support::alloc;
use tower_metrics_exporter::{Exporter, Matcher};

pub use self::memory::{Resident, grown, print_growth};
use benches::report::Row;

use crate::{
    harness::{Counted, Counting, Effort, Rows, profiled},
    versions,
};

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

const BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

pub const OURS: &str = "tower-metrics-exporter";

pub fn mep() -> String {
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
    if !effort.is_of_one() {
        handles::threads(effort, rows);
        memory::run(rows);
    }
}

/// What one side costs.
#[derive(Clone)]
pub struct Cost {
    counting: Counting,
    /// Nanoseconds of an operation, the least there was.
    nanos: f64,
    /// Allocations of an operation.
    allocations: f64,
}

/// One side: how many operations a round has, and what does so many.
pub struct Side<'a> {
    name: String,
    operations: usize,
    work: Box<dyn FnMut(usize) + 'a>,
}

impl<'a> Side<'a> {
    /// One operation, given its number.
    pub fn new(
        name: impl Into<String>,
        operations: usize,
        mut work: impl FnMut(usize) + 'a,
    ) -> Self {
        // Each operation by itself would be a call.
        Self::whole(name, operations, move |operations| {
            (0..operations).for_each(&mut work);
        })
    }

    /// All of a round.
    pub fn whole(name: impl Into<String>, operations: usize, work: impl FnMut(usize) + 'a) -> Self {
        Self {
            name: name.into(),
            operations,
            work: Box::new(work),
        }
    }
}

/// The sides in turn, so that what else the machine does falls on all of them.
pub fn turns<const N: usize>(effort: Effort, title: &str, mut sides: [Side<'_>; N]) -> [Cost; N] {
    let mut costs = sides.each_ref().map(|side| Cost {
        counting: Counting {
            title: title.to_owned(),
            side: side.name.clone(),
            floor: None,
        },
        nanos: f64::MAX,
        allocations: 0.0,
    });
    if let Some(only) = effort.only {
        let wanted = |side: &&mut Side<'_>| side.name == only && !effort.skips(title);
        for side in sides.iter_mut().filter(wanted) {
            let operations = side.operations.min(effort.batch);
            (side.work)(operations);
            profiled(&mut side.work, operations);
        }
        return costs;
    }
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

fn compare(what: &str, ours: &Cost, theirs: &Cost) -> (Row, Counted) {
    row_of("recorder", what, ours, theirs)
}

/// The peer's side has the peer's name.
pub fn row_of(group: &str, what: &str, ours: &Cost, theirs: &Cost) -> (Row, Counted) {
    let row = Row::new(group, what, ours.nanos)
        .beside(&theirs.counting.side, theirs.nanos)
        .allocations(ours.allocations, theirs.allocations);
    let sides = [ours, theirs].map(|cost| cost.counting.clone());
    (row, Counted { sides })
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
