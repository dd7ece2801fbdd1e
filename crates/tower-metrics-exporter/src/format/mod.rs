//! The exposition formats, and what they are given to write.

mod bounds;
mod labels;
mod number;
mod protobuf;
mod text;

use std::fmt;

pub(crate) use bounds::Bounds;
use http::HeaderValue;
pub(crate) use labels::{LabelError, Labels, MAX_LABEL_VALUE, valid_name};
pub(crate) use number::Number;
#[cfg(feature = "statsd")]
pub(crate) use number::push_float;
pub(crate) use protobuf::Protobuf;
#[cfg(any(feature = "otlp", feature = "remote-write"))]
pub(crate) use protobuf::Writer;
pub(crate) use text::Text;

/// An exposition format.
///
/// A series has the same name and the same labels in each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0: text, with units, exemplars and an end mark.
    OpenMetrics,
    /// Prometheus' protobuf format: length-delimited `io.prometheus.client.MetricFamily` messages. The
    /// only one that carries native histograms.
    Protobuf,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Text, Self::OpenMetrics, Self::Protobuf];

    /// The content type of a page in this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    pub(crate) const fn header_value(self) -> HeaderValue {
        HeaderValue::from_static(self.content_type())
    }

    /// The name for labels: `text`, `openmetrics`, `protobuf`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::OpenMetrics => "openmetrics",
            Self::Protobuf => "protobuf",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What all series of one name have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    /// The name as it is in the text format: that of a counter usually ends in `_total`.
    pub(crate) name: &'a str,
    pub(crate) kind: FamilyKind,
    /// Empty if nobody described it.
    pub(crate) help: &'a str,
    /// A base unit that the name should end with (before `_total`), if any; see [`unit_of`](Self::unit_of).
    pub(crate) unit: Option<&'a str>,
    /// Whether others have the names that OpenMetrics keeps for a counter: that without `_total`, which it
    /// calls the family by, and that with `_created` instead.
    pub(crate) has_sibling: bool,
}

impl<'a> Head<'a> {
    /// The unit, if the family is called so in a format that it can have one there: Prometheus refuses the
    /// whole page if a name does not end with `_` and its unit.
    pub(crate) fn unit_of(&self, name: &str) -> Option<&'a str> {
        self.unit.filter(|unit| {
            let stem = name.strip_suffix(unit);
            !unit.is_empty() && stem.is_some_and(|stem| stem.ends_with('_'))
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FamilyKind {
    Counter,
    Gauge,
    Histogram,
}

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnixMillis(pub(crate) u64);

/// One observation, and the trace in which it was made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exemplar {
    /// Such as `trace_id="…"`; 128 characters at most, as OpenMetrics demands.
    pub(crate) labels: Labels,
    pub(crate) value: f64,
    pub(crate) at: UnixMillis,
}

/// A histogram at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HistogramView<'a> {
    pub(crate) bounds: &'a Bounds,
    /// Observations up to each bound, `+Inf` included: the last is the count of all. As many as
    /// [`Bounds::buckets`].
    pub(crate) cumulative: &'a [u64],
    pub(crate) sum: f64,
    pub(crate) created: UnixMillis,
    /// One a bucket, or none at all.
    pub(crate) exemplars: &'a [Option<Exemplar>],
    pub(crate) native: Option<&'a NativeView>,
}

/// A native (exponential) histogram at one moment. The bucket `i` of schema `s` reaches from
/// `2^((i-1) / 2^s)`, exclusive, to `2^(i / 2^s)`, inclusive.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NativeView {
    /// -4 to 8.
    pub(crate) schema: i32,
    pub(crate) zero_threshold: f64,
    /// Observations whose absolute value is not above the threshold.
    pub(crate) zero_count: u64,
    /// Index and number of observations, ascending by index, without empty buckets.
    pub(crate) positive: Vec<(i32, u64)>,
    /// The same of the absolute values of negative observations.
    pub(crate) negative: Vec<(i32, u64)>,
}

/// Writes a page in one format: for each family its head, then its series in order.
pub(crate) trait Encode {
    fn family(&mut self, head: &Head<'_>);

    fn counter(
        &mut self,
        labels: &Labels,
        value: Number,
        created: Option<UnixMillis>,
        exemplar: Option<&Exemplar>,
    );

    fn gauge(&mut self, labels: &Labels, value: f64);

    fn histogram(&mut self, labels: &Labels, histogram: &HistogramView<'_>);

    /// After the last series of the last family.
    fn finish(&mut self);
}
