use std::{borrow::Cow, fmt};

/// What one instrument records: plain data, by which a layer tells an exporter, documentation and
/// dashboards about its series.
///
/// ```
/// use tower_observe::{Kind, Spec, Unit};
///
/// let spec = Spec::histogram("api_request_duration_seconds", Unit::Seconds, "Duration of requests.")
///     .labels(["endpoint"])
///     .buckets([0.1, 0.5, 1.0]);
///
/// assert_eq!(spec.kind, Kind::Histogram);
/// assert_eq!(spec.labels, ["endpoint"]);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Spec {
    /// The full name of the series, prefix included.
    pub name: Cow<'static, str>,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// The unit of the values, where they have one. Always a base unit.
    pub unit: Option<Unit>,
    /// One sentence for people.
    pub help: Cow<'static, str>,
    /// The names of the labels that a series may have, in order.
    pub labels: Vec<Cow<'static, str>>,
    /// The upper bounds of a histogram's buckets, ascending, without `+Inf`. Empty otherwise.
    pub buckets: Vec<f64>,
    /// How many series there may be, if that is not for the exporter to say: for a layer whose own limits
    /// allow more than is usual.
    pub max_series: Option<usize>,
}

impl Spec {
    /// A counter, which only rises.
    pub fn counter(name: impl Into<Cow<'static, str>>, help: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name.into(), Kind::Counter, help.into())
    }

    /// A gauge, which rises and falls.
    pub fn gauge(name: impl Into<Cow<'static, str>>, help: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name.into(), Kind::Gauge, help.into())
    }

    /// A histogram of values in `unit`.
    pub fn histogram(
        name: impl Into<Cow<'static, str>>,
        unit: Unit,
        help: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(name.into(), Kind::Histogram, help.into()).unit(unit)
    }

    const fn new(name: Cow<'static, str>, kind: Kind, help: Cow<'static, str>) -> Self {
        Self {
            name,
            kind,
            unit: None,
            help,
            labels: Vec::new(),
            buckets: Vec::new(),
            max_series: None,
        }
    }

    /// Sets the unit.
    #[must_use]
    pub const fn unit(mut self, unit: Unit) -> Self {
        self.unit = Some(unit);
        self
    }

    /// Sets the names of the labels.
    #[must_use]
    pub fn labels<L: Into<Cow<'static, str>>>(
        mut self,
        labels: impl IntoIterator<Item = L>,
    ) -> Self {
        self.labels = labels.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the upper bounds of the buckets.
    #[must_use]
    pub fn buckets(mut self, buckets: impl Into<Vec<f64>>) -> Self {
        self.buckets = buckets.into();
        self
    }

    /// Sets how many series there may be.
    #[must_use]
    pub const fn max_series(mut self, series: usize) -> Self {
        self.max_series = Some(series);
        self
    }
}

/// What kind of instrument a [`Spec`] describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Only rises, until the process restarts.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts observations by size.
    Histogram,
}

impl Kind {
    /// The exposition formats' word: `counter`, `gauge`, `histogram`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The unit of a series' values. Base units only: OpenMetrics and Prometheus use no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// The name's suffix in the exposition formats: `seconds`, `bytes`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
