//! The cheapest recorder there can be: a series is found by the hash of its key, and an instrument is one
//! atomic operation. What a layer costs above it is the layer's own.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use metrics::{
    Counter, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

/// Keeps nothing but numbers, and nothing of a key: two series may share a number.
#[derive(Debug)]
pub struct Bare {
    counters: Box<[Arc<AtomicU64>]>,
    others: Box<[Arc<Cell>]>,
}

impl Bare {
    /// Room for the series of this many routes. All of it is allocated now, none when a series is
    /// registered.
    pub fn new(routes: usize) -> Self {
        let numbers = (routes * 16).next_power_of_two();
        Self {
            counters: (0..numbers).map(|_| Arc::default()).collect(),
            others: (0..numbers).map(|_| Arc::default()).collect(),
        }
    }

    /// The sum of all counters.
    pub fn counted(&self) -> u64 {
        let counts = self.counters.iter();
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

fn of<'a, T>(numbers: &'a [T], key: &Key) -> &'a T {
    &numbers[key.get_hash() as usize & (numbers.len() - 1)]
}

#[derive(Debug, Default)]
struct Cell(AtomicU64);

impl GaugeFn for Cell {
    fn increment(&self, _: f64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn decrement(&self, _: f64) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

impl HistogramFn for Cell {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Recorder for Bare {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::clone(of(&self.counters, key)))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::clone(of(&self.others, key)))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::clone(of(&self.others, key)))
    }
}
