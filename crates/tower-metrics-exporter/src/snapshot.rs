use crate::{
    cell::Reading,
    format::{Encode, Exemplar, Head, HistogramView, Labels, Number, UnixMillis},
    registry::{self, Registry},
};

/// All series at one moment, in the order of the page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    name: String,
    series: Vec<SeriesSnapshot>,
}

/// One series at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SeriesSnapshot {
    /// The name of its family, as in the text format.
    pub name: String,
    /// Names and values of its labels, sorted by name.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: Value,
}

/// The value of a series at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A counter's.
    Counter(f64),
    /// A gauge's.
    Gauge(f64),
    /// A histogram's.
    Histogram {
        /// Upper bounds, `+Inf` last, and how many observations were not above them.
        buckets: Vec<(f64, u64)>,
        /// The sum of all observations.
        sum: f64,
        /// The number of all observations.
        count: u64,
    },
}

impl Snapshot {
    /// The series, in the order of the page: by name, then by labels.
    pub fn iter(&self) -> std::slice::Iter<'_, SeriesSnapshot> {
        self.series.iter()
    }

    /// The value of one series, by its name and its labels as they are on the page, in any order.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<&Value> {
        let has = |series: &SeriesSnapshot| {
            let mut own = series.labels.iter();
            series.name == name
                && series.labels.len() == labels.len()
                && own.all(|(name, value)| labels.contains(&(name, value)))
        };
        let found = self.series.iter().find(|series| has(series))?;
        Some(&found.value)
    }

    fn push(&mut self, labels: &Labels, value: Value) {
        let labels = labels.pairs();
        let labels = labels.map(|(name, value)| (name.to_owned(), value.into_owned()));
        self.series.push(SeriesSnapshot {
            name: self.name.clone(),
            labels: labels.collect(),
            value,
        });
    }

    /// One value, without all others.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count as a float, as on the page"
    )]
    pub(crate) fn value(registry: &Registry, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let (family, part) = match registry.find(name) {
            Some(family) => (family, ""),
            None => ["_count", "_sum"].into_iter().find_map(|part| {
                let family = registry.find(name.strip_suffix(part)?)?;
                Some((family, part))
            })?,
        };
        let series = family.find(&registry.labels_of(family.name(), labels))?;
        let scale = family.scale();
        match (&series.value, part) {
            (registry::Value::Counter(counter), "") => {
                let whole = Number::Whole(counter.load());
                Some(whole.as_f64() * scale)
            }
            (registry::Value::Gauge(gauge), "") => Some(gauge.load() * scale),
            (registry::Value::Histogram(histogram), _) => {
                let mut reading = Reading::default();
                histogram.read(&mut reading);
                let count = reading.cumulative.last().copied()? as f64;
                Some(if part == "_sum" { reading.sum } else { count })
            }
            _ => None,
        }
    }
}

impl<'a> IntoIterator for &'a Snapshot {
    type Item = &'a SeriesSnapshot;
    type IntoIter = std::slice::Iter<'a, SeriesSnapshot>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Encode for Snapshot {
    fn family(&mut self, head: &Head<'_>) {
        head.name.clone_into(&mut self.name);
    }

    fn counter(
        &mut self,
        labels: &Labels,
        value: Number,
        _: Option<UnixMillis>,
        _: Option<&Exemplar>,
    ) {
        self.push(labels, Value::Counter(value.as_f64()));
    }

    fn gauge(&mut self, labels: &Labels, value: f64) {
        self.push(labels, Value::Gauge(value));
    }

    fn histogram(&mut self, labels: &Labels, histogram: &HistogramView<'_>) {
        let bounds = histogram.bounds.values().iter().chain([&f64::INFINITY]);
        let buckets = bounds.copied().zip(histogram.cumulative.iter().copied());
        let value = Value::Histogram {
            buckets: buckets.collect(),
            sum: histogram.sum,
            count: histogram.cumulative.last().copied().unwrap_or_default(),
        };
        self.push(labels, value);
    }

    fn finish(&mut self) {}
}
