//! Threads record while pages are made, and series are removed and expire: nothing is lost, in every page a
//! histogram's count is its last bucket, and no counter ever falls.

use std::{
    collections::HashMap,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram, with_local_recorder};
use tower_metrics_exporter::{Exporter, Format, Matcher, Value};

use crate::common::{build, held_counter, held_gauge, held_histogram, page};

const THREADS: usize = 3;
const ROUNDS: u32 = 4_000;
const SERIES: [&str; 4] = ["0", "1", "2", "3"];
const FAMILIES: [&str; 4] = ["c_total", "g", "h_seconds", "n_seconds"];

fn exporter() -> Exporter {
    let builder = Exporter::builder()
        .native_histograms(Matcher::full("n_seconds"), 1.1)
        .buckets(Matcher::Any, [1.0, 2.0]);
    // The thread that looks for unused series is at it all the time.
    let short = Duration::from_millis(1);
    build(FAMILIES.into_iter().fold(builder, |builder, family| {
        builder.expire(Matcher::full(family), short)
    }))
}

/// Handles of the series of one label.
struct Held {
    counter: Counter,
    gauge: Gauge,
    classic: Histogram,
    native: Histogram,
}

impl Held {
    fn of(exporter: &Exporter, value: &str) -> Self {
        Self {
            counter: held_counter(exporter, "c_total", value),
            gauge: held_gauge(exporter, "g", value),
            classic: held_histogram(exporter, "h_seconds", value),
            native: held_histogram(exporter, "n_seconds", value),
        }
    }

    /// Whatever is gone comes back with what it has.
    fn come_back(&self) {
        self.counter.increment(0);
        self.gauge.increment(0.0);
        self.classic.record_many(0.0, 0);
        self.native.record_many(0.0, 0);
    }
}

/// What each thread records: of each series, by a handle that is held and by its name.
fn record(exporter: &Exporter) {
    let all = SERIES.map(|value| (value, Held::of(exporter, value)));
    with_local_recorder(&exporter.recorder(), || {
        for round in 0..ROUNDS {
            let small = f64::from(round % 4);
            for (value, held) in &all {
                held.counter.increment(1);
                held.gauge.increment(1.0);
                held.classic.record(small);
                held.native.record(small);
                counter!("c_total", "v" => *value).increment(1);
                gauge!("g", "v" => *value).increment(1.0);
                histogram!("h_seconds", "v" => *value).record(small);
                histogram!("n_seconds", "v" => *value).record_many(small, 1);
            }
        }
    });
}

/// Makes pages in every format, and looks at the values of a snapshot.
fn scrape(exporter: &Exporter, seen: &mut HashMap<String, f64>) {
    for series in &exporter.snapshot() {
        let value = match &series.value {
            Value::Counter(value) => *value,
            Value::Histogram { buckets, count, .. } => {
                assert_eq!(buckets.last().unwrap().1, *count);
                assert!(buckets.is_sorted_by_key(|(_, count)| *count));
                *count as f64
            }
            _ => continue,
        };
        let last = seen
            .entry(format!("{} {:?}", series.name, series.labels))
            .or_default();
        assert!(*last <= value, "{series:?} after {last}");
        *last = value;
    }
    for format in Format::ALL {
        let page = page(exporter, format);
        if format != Format::Protobuf {
            counts_are_last_buckets(std::str::from_utf8(&page).unwrap());
        }
    }
}

fn counts_are_last_buckets(page: &str) {
    let mut infinite = HashMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        if let Some(series) = series.strip_suffix(",le=\"+Inf\"}") {
            infinite.insert(series.replace("_bucket", "_count") + "}", value.to_owned());
        } else if series.contains("_count{") {
            assert_eq!(
                infinite.get(series).map(String::as_str),
                Some(value),
                "{line}"
            );
        }
    }
}

#[test]
fn nothing_is_lost_while_pages_are_made_and_series_come_and_go() {
    let exporter = exporter();
    // Somebody holds every series to the end; those that nobody holds are gone for good.
    let held = SERIES.map(|value| Held::of(&exporter, value));
    let is_done = Arc::new(AtomicBool::new(false));
    let start = Barrier::new(THREADS + 2);
    thread::scope(|scope| {
        let recorders: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    record(&exporter);
                })
            })
            .collect();
        let (exporter, is_done, start) = (&exporter, &*is_done, &start);
        let goes_on = || !is_done.load(Ordering::Relaxed);
        scope.spawn(move || {
            start.wait();
            while goes_on() {
                for family in FAMILIES {
                    exporter.remove(family, &[("v", "1")]);
                    drop(exporter.lease(family, &[("v", "2")]));
                }
                thread::yield_now();
            }
        });
        let scraper = scope.spawn(move || {
            let (mut pages, mut seen) = (0, HashMap::new());
            start.wait();
            while goes_on() {
                scrape(exporter, &mut seen);
                pages += 1;
            }
            pages
        });
        let recorded: Vec<_> = recorders.into_iter().map(ScopedJoinHandle::join).collect();
        is_done.store(true, Ordering::Relaxed);
        assert!(recorded.iter().all(Result::is_ok));
        assert!(scraper.join().unwrap() > 0);
    });
    held.iter().for_each(Held::come_back);
    let each = THREADS as f64 * f64::from(ROUNDS) * 2.0;
    for value in SERIES {
        let labels = [("v", value)];
        let total = |name: &str| exporter.value(name, &labels);
        assert_eq!(total("c_total"), Some(each));
        assert_eq!(total("g"), Some(each));
        for name in ["h_seconds", "n_seconds"] {
            assert_eq!(total(&format!("{name}_count")), Some(each));
            // 0, 1, 2 and 3 in turn.
            assert_eq!(total(&format!("{name}_sum")), Some(each * 1.5));
        }
    }
    let mut seen = HashMap::new();
    scrape(&exporter, &mut seen);
    assert_eq!(seen.values().filter(|value| **value == each).count(), 12);
}
