use std::sync::Arc;

use bytes::Bytes;

use super::exponential::exponential;
use crate::{
    format::{Exemplar, FamilyKind, Labels, Number, UnixMillis, Writer},
    sink::{
        Encoder, Frame, Payload,
        frame::{Family, Histogram, Series, Value},
    },
};

// The fields of `ExportMetricsServiceRequest` and what is in it, `MESSAGE_FIELD`.
const REQUEST_RESOURCE_METRICS: u32 = 1;
const RESOURCE_METRICS_RESOURCE: u32 = 1;
const RESOURCE_METRICS_SCOPE_METRICS: u32 = 2;
const RESOURCE_ATTRIBUTE: u32 = 1;
const SCOPE_METRICS_SCOPE: u32 = 1;
const SCOPE_METRICS_METRIC: u32 = 2;
const SCOPE_NAME: u32 = 1;
const SCOPE_VERSION: u32 = 2;
const METRIC_NAME: u32 = 1;
const METRIC_DESCRIPTION: u32 = 2;
const METRIC_UNIT: u32 = 3;
const METRIC_GAUGE: u32 = 5;
const METRIC_SUM: u32 = 7;
const METRIC_HISTOGRAM: u32 = 9;
const METRIC_EXPONENTIAL: u32 = 10;
/// Of each of the four.
const DATA_POINT: u32 = 1;
/// Of each but the gauge.
const DATA_TEMPORALITY: u32 = 2;
const SUM_IS_MONOTONIC: u32 = 3;
const CUMULATIVE: u64 = 2;
/// Of each of the three.
const POINT_START: u32 = 2;
const POINT_TIME: u32 = 3;
const NUMBER_DOUBLE: u32 = 4;
const NUMBER_INT: u32 = 6;
const NUMBER_ATTRIBUTE: u32 = 7;
const HISTOGRAM_COUNT: u32 = 4;
const HISTOGRAM_SUM: u32 = 5;
const HISTOGRAM_COUNTS: u32 = 6;
const HISTOGRAM_BOUNDS: u32 = 7;
const HISTOGRAM_EXEMPLAR: u32 = 8;
const HISTOGRAM_ATTRIBUTE: u32 = 9;
const EXEMPLAR_TIME: u32 = 2;
const EXEMPLAR_DOUBLE: u32 = 3;
const EXEMPLAR_SPAN_ID: u32 = 4;
const EXEMPLAR_TRACE_ID: u32 = 5;
const EXEMPLAR_ATTRIBUTE: u32 = 7;
const ATTRIBUTE_KEY: u32 = 1;
const ATTRIBUTE_VALUE: u32 = 2;
const VALUE_STRING: u32 = 1;

/// Makes export requests of frames.
pub(super) struct Requests {
    /// The resource, and the scope, as fields of what they are in.
    resource: Vec<u8>,
    scope: Vec<u8>,
    limits: Limits,
    gzip: bool,
    wrap: fn(Vec<u8>, bool) -> Bytes,
    /// Since when counters count that do not say so.
    start: UnixMillis,
}

/// What a request has at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) points: usize,
    /// Before it is compressed.
    pub(super) bytes: usize,
}

/// A request that is the body as it is.
pub(super) fn whole(request: Vec<u8>, _: bool) -> Bytes {
    Bytes::from(request)
}

/// More than the tags and lengths that the metrics are in, and what ends the last of them.
const AROUND: usize = 64;

impl Requests {
    pub(super) fn new(
        resource: &[(String, String)],
        limits: Limits,
        gzip: bool,
        wrap: fn(Vec<u8>, bool) -> Bytes,
    ) -> Self {
        let (mut of_resource, mut of_scope) = (Vec::new(), Vec::new());
        let mut wire = Writer::new(&mut of_resource);
        let message = wire.begin_long(RESOURCE_METRICS_RESOURCE);
        for (name, value) in resource {
            attribute(&mut wire, RESOURCE_ATTRIBUTE, name, value);
        }
        wire.end(message);
        let mut wire = Writer::new(&mut of_scope);
        wire.strings(
            SCOPE_METRICS_SCOPE,
            (SCOPE_NAME, env!("CARGO_PKG_NAME")),
            (SCOPE_VERSION, env!("CARGO_PKG_VERSION")),
        );
        // What metrics may have, and their tails.
        let around = of_resource.len() + of_scope.len() + AROUND;
        Self {
            limits: Limits {
                points: limits.points.max(1),
                bytes: limits.bytes.saturating_sub(around),
            },
            resource: of_resource,
            scope: of_scope,
            gzip,
            wrap,
            start: UnixMillis::now(),
        }
    }

    /// Adds the point of a series, as it was at this moment.
    fn point(&self, wire: &mut Writer<'_>, series: &Series, at: UnixMillis) {
        let created = series.created.unwrap_or(self.start);
        let times = Times {
            start: created.0.min(at.0),
            at: at.0,
        };
        let point = wire.begin_long(DATA_POINT);
        match &series.value {
            Value::Counter(value) => {
                times.write(wire);
                number(wire, *value);
                attributes(wire, NUMBER_ATTRIBUTE, &series.labels);
            }
            Value::Gauge(value) => {
                wire.fixed64(POINT_TIME, nanos(at.0));
                wire.double(NUMBER_DOUBLE, *value);
                attributes(wire, NUMBER_ATTRIBUTE, &series.labels);
            }
            Value::Histogram(histogram) => {
                times.write(wire);
                match &histogram.native {
                    Some(native) => exponential(wire, &series.labels, histogram, native),
                    None => explicit(wire, &series.labels, histogram),
                }
            }
        }
        wire.end(point);
    }

    /// A whole request of these metrics.
    fn request(&self, metrics: &[u8]) -> Bytes {
        let mut request = Vec::with_capacity(metrics.len() + self.resource.len() + 64);
        let mut wire = Writer::new(&mut request);
        let of_resource = wire.begin_long(REQUEST_RESOURCE_METRICS);
        wire.raw(&self.resource);
        let of_scope = wire.begin_long(RESOURCE_METRICS_SCOPE_METRICS);
        wire.raw(&self.scope);
        wire.raw(metrics);
        wire.end(of_scope);
        wire.end(of_resource);
        let request = if self.gzip {
            compress(&request)
        } else {
            request
        };
        (self.wrap)(request, self.gzip)
    }
}

#[cfg(feature = "gzip")]
fn compress(request: &[u8]) -> Vec<u8> {
    use std::io::Write as _;

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Memory takes everything.
    drop(encoder.write_all(request));
    encoder.finish().unwrap_or_default()
}

/// Never called: nobody can ask for it.
#[cfg(not(feature = "gzip"))]
fn compress(request: &[u8]) -> Vec<u8> {
    request.to_vec()
}

impl Encoder for Requests {
    fn encode(&mut self, frame: &Arc<Frame>) -> Vec<Payload> {
        let mut points = Points {
            requests: self,
            at: frame.at(),
            metrics: Vec::new(),
            count: 0,
            payloads: Vec::new(),
        };
        for family in frame.families() {
            points.family(family);
        }
        points.flush();
        points.payloads
    }
}

/// The requests of one frame.
struct Points<'a> {
    requests: &'a Requests,
    at: UnixMillis,
    metrics: Vec<u8>,
    /// How many data points are in them.
    count: usize,
    payloads: Vec<Payload>,
}

/// What a metric's data are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    Gauge,
    Sum,
    Histogram,
    Exponential,
}

impl Data {
    fn of(series: &Series) -> Self {
        match &series.value {
            Value::Counter(_) => Self::Sum,
            Value::Gauge(_) => Self::Gauge,
            Value::Histogram(histogram) if histogram.native.is_some() => Self::Exponential,
            Value::Histogram(_) => Self::Histogram,
        }
    }

    const fn field(self) -> u32 {
        match self {
            Self::Gauge => METRIC_GAUGE,
            Self::Sum => METRIC_SUM,
            Self::Histogram => METRIC_HISTOGRAM,
            Self::Exponential => METRIC_EXPONENTIAL,
        }
    }
}

impl Points<'_> {
    fn family(&mut self, family: &Family) {
        let mut rest = &*family.series;
        while let Some(first) = rest.first() {
            let taken = self.metric(family, Data::of(first), rest);
            rest = rest.get(taken..).unwrap_or_default();
            self.count += taken;
            if !rest.is_empty() || self.count >= self.requests.limits.points {
                self.flush();
            }
        }
    }

    /// Adds as many of these as there is room for, and tells how many. If there are none yet, there is for one.
    fn metric(&mut self, family: &Family, data: Data, series: &[Series]) -> usize {
        let Limits { points, bytes } = self.requests.limits;
        let room = points - self.count;
        let before = self.metrics.len();
        let mut wire = Writer::new(&mut self.metrics);
        let metric = wire.begin_long(SCOPE_METRICS_METRIC);
        wire.string(METRIC_NAME, &family.name);
        if !family.help.is_empty() {
            wire.string(METRIC_DESCRIPTION, &family.help);
        }
        if let Some(unit) = family.unit().and_then(unit_of) {
            wire.string(METRIC_UNIT, unit);
        }
        let message = wire.begin_long(data.field());
        let mut taken = 0;
        let alike = series.iter().take_while(|series| Data::of(series) == data);
        for series in alike.take(room) {
            let without = wire.len();
            self.requests.point(&mut wire, series, self.at);
            if wire.len() > bytes && self.count + taken > 0 {
                wire.truncate(without);
                break;
            }
            taken += 1;
        }
        if taken == 0 {
            wire.truncate(before);
            return 0;
        }
        if family.kind != FamilyKind::Gauge {
            wire.unsigned(DATA_TEMPORALITY, CUMULATIVE);
        }
        if family.kind == FamilyKind::Counter {
            wire.unsigned(SUM_IS_MONOTONIC, 1);
        }
        wire.end(message);
        wire.end(metric);
        taken
    }

    fn flush(&mut self) {
        let points = std::mem::take(&mut self.count) as u64;
        if points == 0 {
            return;
        }
        let body = self.requests.request(&self.metrics);
        self.metrics.clear();
        self.payloads.push(Payload { body, points });
    }
}

/// In milliseconds.
#[derive(Clone, Copy, Debug)]
struct Times {
    start: u64,
    at: u64,
}

impl Times {
    fn write(self, wire: &mut Writer<'_>) {
        wire.fixed64(POINT_START, nanos(self.start));
        wire.fixed64(POINT_TIME, nanos(self.at));
    }
}

const fn nanos(millis: u64) -> u64 {
    millis.saturating_mul(1_000_000)
}

fn number(wire: &mut Writer<'_>, value: Number) {
    match value {
        Number::Whole(whole) if i64::try_from(whole).is_ok() => wire.fixed64(NUMBER_INT, whole),
        value => wire.double(NUMBER_DOUBLE, value.as_f64()),
    }
}

fn explicit(wire: &mut Writer<'_>, labels: &Labels, histogram: &Histogram) {
    wire.fixed64(HISTOGRAM_COUNT, histogram.count());
    wire.double(HISTOGRAM_SUM, histogram.sum);
    let mut below = 0;
    let counts = histogram.cumulative.iter().map(|cumulative| {
        let count = cumulative.saturating_sub(below);
        below = *cumulative;
        count
    });
    wire.packed_fixed64(HISTOGRAM_COUNTS, counts);
    let bounds = histogram.bounds.values().iter();
    wire.packed_fixed64(HISTOGRAM_BOUNDS, bounds.map(|bound| bound.to_bits()));
    exemplars(wire, HISTOGRAM_EXEMPLAR, histogram);
    attributes(wire, HISTOGRAM_ATTRIBUTE, labels);
}

pub(super) fn exemplars(wire: &mut Writer<'_>, field: u32, histogram: &Histogram) {
    for Exemplar { labels, value, at } in histogram.exemplars.iter().flatten() {
        let exemplar = wire.begin(field);
        wire.fixed64(EXEMPLAR_TIME, nanos(at.0));
        wire.double(EXEMPLAR_DOUBLE, *value);
        for (name, value) in labels.pairs() {
            match (name, bytes_of(&value)) {
                ("span_id", Some(id)) if id.len() == 8 => wire.bytes(EXEMPLAR_SPAN_ID, &id),
                ("trace_id", Some(id)) if id.len() == 16 => wire.bytes(EXEMPLAR_TRACE_ID, &id),
                _ => attribute(wire, EXEMPLAR_ATTRIBUTE, name, &value),
            }
        }
        wire.end(exemplar);
    }
}

/// Of hexadecimal digits.
fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let mut digits = hex.chars().map(|digit| digit.to_digit(16));
    let mut bytes = Vec::with_capacity(hex.len() / 2);
    while let Some(high) = digits.next() {
        bytes.push(u8::try_from(high? * 16 + digits.next()??).ok()?);
    }
    Some(bytes)
}

pub(super) fn attributes(wire: &mut Writer<'_>, field: u32, labels: &Labels) {
    for (name, value) in labels.pairs() {
        attribute(wire, field, name, &value);
    }
}

fn attribute(wire: &mut Writer<'_>, field: u32, name: &str, value: &str) {
    let attribute = wire.begin(field);
    wire.string(ATTRIBUTE_KEY, name);
    let message = wire.begin(ATTRIBUTE_VALUE);
    wire.string(VALUE_STRING, value);
    wire.end(message);
    wire.end(attribute);
}

/// As UCUM spells it.
fn unit_of(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "seconds" => "s",
        "bytes" => "By",
        "ratio" => "1",
        "celsius" => "Cel",
        "meters" => "m",
        "volts" => "V",
        "grams" => "g",
        _ => return None,
    })
}
