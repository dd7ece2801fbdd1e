//! Names, labels and numbers of any kind, and what is to be found of them on every page.

use std::collections::BTreeMap;

use metrics::{Key, Label, Level, Metadata, Recorder as _};
use proptest::{collection::vec, num, prelude::*, sample::select};
use tower_metrics_exporter::{Exporter, Value};

/// Something that a program records.
#[derive(Clone, Debug)]
pub struct Recorded {
    kind: Kind,
    name: String,
    help: Option<String>,
    labels: Vec<(String, String)>,
    value: f64,
    count: u64,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

pub fn any_recorded() -> impl Strategy<Value = Recorded> {
    let kind = select(vec![Kind::Counter, Kind::Gauge, Kind::Histogram]);
    let labels = vec((label_name(), text()), 0..4);
    let help = proptest::option::of(text());
    (kind, name(), help, labels, num::f64::ANY, any::<u64>()).prop_map(
        |(kind, name, help, labels, value, count)| Recorded {
            kind,
            name,
            help,
            labels,
            value,
            count,
        },
    )
}

/// Any, and often one that gets in the way of another.
fn name() -> impl Strategy<Value = String> {
    let suffixes = [
        "",
        "_total",
        "_created",
        "_created_total",
        "_count",
        "_sum",
        "_bucket",
        "_info",
        "_seconds",
        "_milliseconds",
        "_kibibytes_total",
        ".x",
        "-x",
    ];
    let close = (select(vec!["a", "b", "c:d"]), select(suffixes.to_vec()));
    prop_oneof![
        8 => close.prop_map(|(stem, suffix)| format!("{stem}{suffix}")),
        1 => any::<String>(),
    ]
}

fn label_name() -> impl Strategy<Value = String> {
    let names = [
        "a", "b", "a.b", "a-b", "le", "quantile", "__name__", "__x", "1",
    ];
    prop_oneof![
        8 => select(names.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

/// Any, and often one of what the formats are made of.
fn text() -> impl Strategy<Value = String> {
    let special: Vec<char> = "\\\"\n\r\t\0 {}=,#1ana\u{85}\u{2028}\u{feff}\u{10ffff}"
        .chars()
        .collect();
    prop_oneof![
        vec(select(special), 0..8).prop_map(|chars| chars.into_iter().collect()),
        any::<String>(),
    ]
}

impl Recorded {
    /// As a name of the program's choice that is not like any other.
    pub fn numbered(mut self, number: usize) -> Self {
        self.name = format!("n{number}_{}", self.name);
        self
    }

    /// Without observations below zero: OpenMetrics' sums never fall.
    pub fn not_negative(mut self) -> Self {
        if matches!(self.kind, Kind::Histogram) {
            self.value = self.value.abs();
        }
        self
    }

    pub fn record(&self, exporter: &Exporter) {
        const METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);
        let labels = self.labels.iter();
        let labels = labels.map(|(name, value)| Label::new(name.clone(), value.clone()));
        let key = Key::from_parts(self.name.clone(), labels.collect::<Vec<_>>());
        let recorder = exporter.recorder();
        if let Some(help) = &self.help {
            recorder.describe_gauge(self.name.clone().into(), None, help.clone().into());
        }
        match self.kind {
            Kind::Counter => recorder
                .register_counter(&key, &METADATA)
                .absolute(self.count),
            Kind::Gauge => recorder.register_gauge(&key, &METADATA).set(self.value),
            Kind::Histogram => recorder
                .register_histogram(&key, &METADATA)
                .record(self.value),
        }
    }
}

/// Samples by what identifies them: name and labels, with a bucket's bound as a number.
pub type Samples = BTreeMap<String, String>;

/// What identifies a sample, and its value, as texts: `NaN` is not equal to itself.
pub fn sample(name: &str, mut labels: BTreeMap<String, String>, value: f64) -> (String, String) {
    if name.ends_with("_bucket")
        && let Some(bound) = labels.get_mut("le")
    {
        let number: f64 = bound.parse().expect("a bound is a number");
        *bound = number.to_string();
    }
    // Zero has a sign that not every parser keeps.
    (format!("{name} {labels:?}"), (value + 0.0).to_string())
}

/// What the exporter has, but for what it says of itself.
pub fn samples(exporter: &Exporter) -> Samples {
    let mut samples = Samples::new();
    for series in &exporter.snapshot() {
        let name = &series.name;
        if name.starts_with("exporter_") {
            continue;
        }
        let labels: BTreeMap<_, _> = series.labels.iter().cloned().collect();
        match &series.value {
            Value::Counter(value) | Value::Gauge(value) => {
                samples.extend([sample(name, labels, *value)]);
            }
            Value::Histogram {
                buckets,
                sum,
                count,
            } => {
                for (bound, cumulative) in buckets {
                    let mut labels = labels.clone();
                    labels.insert("le".to_owned(), bound.to_string());
                    let bucket = format!("{name}_bucket");
                    samples.extend([sample(&bucket, labels, *cumulative as f64)]);
                }
                samples.extend([
                    sample(&format!("{name}_sum"), labels.clone(), *sum),
                    sample(&format!("{name}_count"), labels, *count as f64),
                ]);
            }
            other => panic!("{other:?}"),
        }
    }
    samples
}
