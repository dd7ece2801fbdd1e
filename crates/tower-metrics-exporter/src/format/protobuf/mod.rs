mod spans;
mod wire;

#[cfg(test)]
mod tests;

use self::wire::Open;
pub(crate) use self::wire::Writer;
use super::{
    Encode, Exemplar, FamilyKind, Head, HistogramView, Labels, NativeView, Number, UnixMillis,
};

/// Writes Prometheus' protobuf format: a length-delimited `io.prometheus.client.MetricFamily` for each
/// family that has series, as `metrics.proto` of `client_model` defines it.
#[derive(Debug)]
pub(crate) struct Protobuf<'a> {
    wire: Writer<'a>,
    family: Option<OpenFamily>,
}

#[derive(Clone, Copy, Debug)]
struct OpenFamily {
    message: Open,
    /// Where its first series begins.
    series: usize,
}

// The fields, `MESSAGE_FIELD`.
const FAMILY_NAME: u32 = 1;
const FAMILY_HELP: u32 = 2;
const FAMILY_TYPE: u32 = 3;
const FAMILY_METRIC: u32 = 4;
const FAMILY_UNIT: u32 = 5;
const METRIC_LABEL: u32 = 1;
const METRIC_GAUGE: u32 = 2;
const METRIC_COUNTER: u32 = 3;
const METRIC_HISTOGRAM: u32 = 7;
const LABEL_NAME: u32 = 1;
const LABEL_VALUE: u32 = 2;
const GAUGE_VALUE: u32 = 1;
const COUNTER_VALUE: u32 = 1;
const COUNTER_EXEMPLAR: u32 = 2;
const COUNTER_CREATED: u32 = 3;
const HISTOGRAM_SAMPLE_COUNT: u32 = 1;
const HISTOGRAM_SAMPLE_SUM: u32 = 2;
const HISTOGRAM_BUCKET: u32 = 3;
const HISTOGRAM_SCHEMA: u32 = 5;
const HISTOGRAM_ZERO_THRESHOLD: u32 = 6;
const HISTOGRAM_ZERO_COUNT: u32 = 7;
const HISTOGRAM_NEGATIVE_SPAN: u32 = 9;
const HISTOGRAM_NEGATIVE_DELTA: u32 = 10;
const HISTOGRAM_POSITIVE_SPAN: u32 = 12;
const HISTOGRAM_POSITIVE_DELTA: u32 = 13;
const HISTOGRAM_CREATED: u32 = 15;
const HISTOGRAM_EXEMPLARS: u32 = 16;
const BUCKET_CUMULATIVE_COUNT: u32 = 1;
const BUCKET_UPPER_BOUND: u32 = 2;
const BUCKET_EXEMPLAR: u32 = 3;
const EXEMPLAR_LABEL: u32 = 1;
const EXEMPLAR_VALUE: u32 = 2;
const EXEMPLAR_TIMESTAMP: u32 = 3;
const TIMESTAMP_SECONDS: u32 = 1;
const TIMESTAMP_NANOS: u32 = 2;

impl<'a> Protobuf<'a> {
    pub(crate) const fn new(page: &'a mut Vec<u8>) -> Self {
        Self {
            wire: Writer::new(page),
            family: None,
        }
    }

    fn end_family(&mut self) {
        let Some(OpenFamily { message, series }) = self.family.take() else {
            return;
        };
        if self.wire.len() > series {
            self.wire.end(message);
        } else {
            self.wire.take_back(message);
        }
    }

    fn labels(&mut self, field: u32, labels: &Labels) {
        for (name, value) in labels.pairs() {
            self.wire
                .strings(field, (LABEL_NAME, name), (LABEL_VALUE, &value));
        }
    }

    fn timestamp(&mut self, field: u32, UnixMillis(at): UnixMillis) {
        let timestamp = self.wire.begin(field);
        self.wire.unsigned(TIMESTAMP_SECONDS, at / 1000);
        self.wire.unsigned(TIMESTAMP_NANOS, at % 1000 * 1_000_000);
        self.wire.end(timestamp);
    }

    fn exemplar(&mut self, field: u32, exemplar: Option<&Exemplar>) {
        let Some(Exemplar { labels, value, at }) = exemplar else {
            return;
        };
        let exemplar = self.wire.begin(field);
        self.labels(EXEMPLAR_LABEL, labels);
        self.wire.double(EXEMPLAR_VALUE, *value);
        self.timestamp(EXEMPLAR_TIMESTAMP, *at);
        self.wire.end(exemplar);
    }

    /// A series: its labels, and its value as the message of its kind.
    fn metric(&mut self, labels: &Labels, kind: u32, value: impl FnOnce(&mut Self)) {
        let metric = self.wire.begin_long(FAMILY_METRIC);
        self.labels(METRIC_LABEL, labels);
        let message = if kind == METRIC_HISTOGRAM {
            self.wire.begin_long(kind)
        } else {
            self.wire.begin(kind)
        };
        value(self);
        self.wire.end(message);
        self.wire.end(metric);
    }

    fn classic(&mut self, histogram: &HistogramView<'_>, count: u64) {
        if histogram.exemplars.is_empty() {
            let bounds = histogram.bounds.values().iter();
            for (bound, cumulative) in bounds.zip(histogram.cumulative) {
                self.wire.numbers(
                    HISTOGRAM_BUCKET,
                    (BUCKET_CUMULATIVE_COUNT, (*cumulative).min(count)),
                    (BUCKET_UPPER_BOUND, *bound),
                );
            }
            return;
        }
        let bounds = histogram.bounds.values().iter().chain([&f64::INFINITY]);
        for (bucket, (bound, cumulative)) in bounds.zip(histogram.cumulative).enumerate() {
            let exemplar = histogram.exemplars.get(bucket).and_then(Option::as_ref);
            // The last bucket says no more than the count, unless it has an exemplar.
            if bound.is_infinite() && exemplar.is_none() {
                continue;
            }
            let bucket = self.wire.begin(HISTOGRAM_BUCKET);
            self.wire
                .unsigned(BUCKET_CUMULATIVE_COUNT, (*cumulative).min(count));
            self.wire.double(BUCKET_UPPER_BOUND, *bound);
            self.exemplar(BUCKET_EXEMPLAR, exemplar);
            self.wire.end(bucket);
        }
    }

    fn native(&mut self, native: &NativeView, exemplars: &[Option<Exemplar>]) {
        self.wire.zigzag(HISTOGRAM_SCHEMA, native.schema.into());
        self.wire
            .double(HISTOGRAM_ZERO_THRESHOLD, native.zero_threshold);
        self.wire.unsigned(HISTOGRAM_ZERO_COUNT, native.zero_count);
        self.wire.spans(
            HISTOGRAM_NEGATIVE_SPAN,
            HISTOGRAM_NEGATIVE_DELTA,
            &native.negative,
        );
        self.wire.spans(
            HISTOGRAM_POSITIVE_SPAN,
            HISTOGRAM_POSITIVE_DELTA,
            &native.positive,
        );
        if native.count() == 0 {
            // Without a span it could be taken for a classic histogram.
            self.wire.span(HISTOGRAM_POSITIVE_SPAN, 0, 0);
        }
        for exemplar in exemplars {
            self.exemplar(HISTOGRAM_EXEMPLARS, exemplar.as_ref());
        }
    }
}

impl Encode for Protobuf<'_> {
    fn family(&mut self, head: &Head<'_>) {
        self.end_family();
        let message = self.wire.delimited();
        self.wire.string(FAMILY_NAME, head.name);
        if !head.help.is_empty() {
            self.wire.string(FAMILY_HELP, head.help);
        }
        self.wire.unsigned(FAMILY_TYPE, head.kind.metric_type());
        if let Some(unit) = head.unit_of(head.name) {
            self.wire.string(FAMILY_UNIT, unit);
        }
        let series = self.wire.len();
        self.family = Some(OpenFamily { message, series });
    }

    fn counter(
        &mut self,
        labels: &Labels,
        value: Number,
        created: Option<UnixMillis>,
        exemplar: Option<&Exemplar>,
    ) {
        self.metric(labels, METRIC_COUNTER, |this| {
            this.wire.double(COUNTER_VALUE, value.as_f64());
            this.exemplar(COUNTER_EXEMPLAR, exemplar);
            if let Some(created) = created {
                this.timestamp(COUNTER_CREATED, created);
            }
        });
    }

    fn gauge(&mut self, labels: &Labels, value: f64) {
        self.metric(labels, METRIC_GAUGE, |this| {
            this.wire.double(GAUGE_VALUE, value);
        });
    }

    fn histogram(&mut self, labels: &Labels, histogram: &HistogramView<'_>) {
        self.metric(labels, METRIC_HISTOGRAM, |this| {
            // Prometheus refuses a native histogram whose count is not that of its buckets. The two were
            // not read at one moment, so the classic buckets give way.
            let classic = histogram.cumulative.last().copied().unwrap_or_default();
            let count = histogram.native.map_or(classic, NativeView::count);
            this.wire.unsigned(HISTOGRAM_SAMPLE_COUNT, count);
            this.wire.double(HISTOGRAM_SAMPLE_SUM, histogram.sum);
            this.classic(histogram, count);
            this.timestamp(HISTOGRAM_CREATED, histogram.created);
            if let Some(native) = histogram.native {
                this.native(native, histogram.exemplars);
            }
        });
    }

    fn finish(&mut self) {
        self.end_family();
    }
}

impl NativeView {
    /// How many observations are in its buckets.
    pub(crate) fn count(&self) -> u64 {
        let buckets = self.positive.iter().chain(&self.negative);
        self.zero_count + buckets.map(|(_, count)| count).sum::<u64>()
    }
}

impl FamilyKind {
    const fn metric_type(self) -> u64 {
        match self {
            Self::Counter => 0,
            Self::Gauge => 1,
            Self::Histogram => 4,
        }
    }
}
