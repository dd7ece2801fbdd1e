use metrics::{Key, Label, Level, Metadata, SharedString};
use tower_observe::{Kind, Spec, Unit};

use crate::recorder::Target;

static METADATA: Metadata<'static> = Metadata::new("tower_scan_lifecycle", Level::INFO, None);

/// The values that one dimension of a family can have, each with the labels that it stands for.
///
/// A dimension of one value takes no part: whatever place is asked for, it is that one.
#[derive(Clone, Debug)]
pub(crate) struct Axis(Vec<Vec<Label>>);

impl Axis {
    /// A dimension without labels.
    pub(crate) fn none() -> Self {
        Self(vec![Vec::new()])
    }

    /// One label, of these values.
    pub(crate) fn new(
        label: &'static str,
        values: impl IntoIterator<Item = impl Into<SharedString>>,
    ) -> Self {
        let labels = |value: _| vec![Label::new(label, value)];
        Self(values.into_iter().map(labels).collect())
    }

    /// Any labels.
    pub(crate) fn of(values: impl IntoIterator<Item = Vec<Label>>) -> Self {
        Self(values.into_iter().collect())
    }

    fn place(&self, place: usize) -> usize {
        if self.0.len() == 1 { 0 } else { place }
    }
}

/// One instrument's series: all there can ever be, so that none is made of what somebody sends, and a
/// recording makes no key.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    spec: Spec,
    rows: Axis,
    columns: Axis,
    keys: Box<[Key]>,
}

impl Series {
    pub(crate) fn counter(name: String, help: &'static str, rows: Axis, columns: Axis) -> Self {
        Self::new(Spec::counter(name, help), rows, columns)
    }

    pub(crate) fn gauge(name: String, help: &'static str, rows: Axis) -> Self {
        Self::new(Spec::gauge(name, help), rows, Axis::none())
    }

    pub(crate) fn seconds(name: String, help: &'static str, rows: Axis) -> Self {
        let spec = Spec::gauge(name, help).unit(Unit::Seconds);
        Self::new(spec, rows, Axis::none())
    }

    pub(crate) fn histogram(
        name: String,
        help: &'static str,
        buckets: &[f64],
        rows: Axis,
        columns: Axis,
    ) -> Self {
        let spec = Spec::histogram(name, Unit::Seconds, help).buckets(buckets);
        Self::new(spec, rows, columns)
    }

    fn new(spec: Spec, rows: Axis, columns: Axis) -> Self {
        let name = SharedString::from_owned(spec.name.to_string());
        let mut labels: Vec<String> = Vec::new();
        let mut keys = Vec::with_capacity(rows.0.len() * columns.0.len());
        for row in &rows.0 {
            for column in &columns.0 {
                let both: Vec<_> = row.iter().chain(column).cloned().collect();
                for label in &both {
                    if !labels.iter().any(|known| known == label.key()) {
                        labels.push(label.key().to_owned());
                    }
                }
                keys.push(Key::from_parts(name.clone(), both));
            }
        }
        Self {
            spec: spec.labels(labels),
            rows,
            columns,
            keys: keys.into(),
        }
    }

    /// What there is to be known of the family.
    pub(crate) const fn spec(&self) -> &Spec {
        &self.spec
    }

    pub(crate) fn add(&self, target: &Target, row: usize, column: usize, count: u64) {
        if let Some(key) = self.key(row, column) {
            target.with(|recorder| recorder.register_counter(key, &METADATA).increment(count));
        }
    }

    pub(crate) fn set(&self, target: &Target, row: usize, value: f64) {
        if let Some(key) = self.key(row, 0) {
            target.with(|recorder| recorder.register_gauge(key, &METADATA).set(value));
        }
    }

    pub(crate) fn record(&self, target: &Target, row: usize, column: usize, seconds: f64) {
        if let Some(key) = self.key(row, column) {
            target.with(|recorder| recorder.register_histogram(key, &METADATA).record(seconds));
        }
    }

    /// Makes every counter and histogram known to the recorder, at zero. Gauges are not: no value is not 0.
    pub(crate) fn register(&self, target: &Target) {
        target.with(|recorder| {
            for key in &self.keys {
                match self.spec.kind {
                    Kind::Counter => recorder.register_counter(key, &METADATA).increment(0),
                    Kind::Histogram => drop(recorder.register_histogram(key, &METADATA)),
                    _ => {}
                }
            }
        });
    }

    fn key(&self, row: usize, column: usize) -> Option<&Key> {
        let (row, column) = (self.rows.place(row), self.columns.place(column));
        let width = self.columns.0.len();
        (column < width)
            .then(|| self.keys.get(row.checked_mul(width)?.checked_add(column)?))
            .flatten()
    }
}
