use std::{borrow::Cow, collections::HashSet, sync::Arc};

use bytes::Bytes;

use crate::{
    format::{Exemplar, FamilyKind, Labels, NativeView, UnixMillis, Writer},
    sink::{
        Encoder, Frame, Payload,
        frame::{Family, Histogram, Series, Value},
    },
};

// The fields of `prometheus.WriteRequest` and what is in it, `MESSAGE_FIELD`.
const REQUEST_TIMESERIES: u32 = 1;
const REQUEST_METADATA: u32 = 3;
const SERIES_LABEL: u32 = 1;
const SERIES_SAMPLE: u32 = 2;
const SERIES_EXEMPLAR: u32 = 3;
const SERIES_HISTOGRAM: u32 = 4;
const LABEL_NAME: u32 = 1;
const LABEL_VALUE: u32 = 2;
const SAMPLE_VALUE: u32 = 1;
const SAMPLE_TIMESTAMP: u32 = 2;
const EXEMPLAR_LABEL: u32 = 1;
const EXEMPLAR_VALUE: u32 = 2;
const EXEMPLAR_TIMESTAMP: u32 = 3;
const HISTOGRAM_COUNT: u32 = 1;
const HISTOGRAM_SUM: u32 = 3;
const HISTOGRAM_SCHEMA: u32 = 4;
const HISTOGRAM_ZERO_THRESHOLD: u32 = 5;
const HISTOGRAM_ZERO_COUNT: u32 = 6;
const HISTOGRAM_NEGATIVE_SPAN: u32 = 8;
const HISTOGRAM_NEGATIVE_DELTA: u32 = 9;
const HISTOGRAM_POSITIVE_SPAN: u32 = 11;
const HISTOGRAM_POSITIVE_DELTA: u32 = 12;
const HISTOGRAM_TIMESTAMP: u32 = 15;
const METADATA_TYPE: u32 = 1;
const METADATA_FAMILY: u32 = 2;
const METADATA_HELP: u32 = 4;
const METADATA_UNIT: u32 = 5;

/// What stands in Prometheus for a series that is gone: a NaN of its own.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// How often help texts and types are sent, as Prometheus does.
const METADATA_EVERY: u64 = 60_000;

/// Makes write requests of frames.
pub(super) struct Requests {
    /// Of every series.
    labels: Labels,
    max_samples: usize,
    /// Whether native histograms are written as such.
    natively: bool,
    /// What was there last, to tell what is gone.
    last: Option<Arc<Frame>>,
    /// When that was read which was there before it.
    before_last: Option<UnixMillis>,
    metadata_at: Option<UnixMillis>,
}

impl Requests {
    pub(super) fn new(labels: Labels, max_samples: usize, natively: bool) -> Self {
        Self {
            labels,
            max_samples: max_samples.max(1),
            natively,
            last: None,
            before_last: None,
            metadata_at: None,
        }
    }

    fn is_metadata_due(&mut self, now: UnixMillis) -> bool {
        let is_due = self
            .metadata_at
            .is_none_or(|last| now.0.saturating_sub(last.0) >= METADATA_EVERY);
        if is_due {
            self.metadata_at = Some(now);
        }
        is_due
    }
}

impl Encoder for Requests {
    fn encode(&mut self, frame: &Arc<Frame>) -> Vec<Payload> {
        let with_metadata = self.is_metadata_due(frame.at());
        // An exemplar is sent with the first frame that has it.
        let exemplars_since = self.last.as_ref().map(|last| last.at());
        let common: Vec<_> = self.labels.pairs().collect();
        let mut request = Request {
            common: &common,
            at: frame.at(),
            exemplars_since,
            before_last: self.before_last,
            max_samples: self.max_samples,
            natively: self.natively,
            page: Vec::new(),
            samples: 0,
            payloads: Vec::new(),
        };
        for family in frame.families() {
            for series in &family.series {
                request.series(family, series);
            }
        }
        if let Some(last) = &self.last {
            let gone = Gone::new(frame);
            for family in last.families() {
                for series in gone.of(family) {
                    request.gone(family, series);
                }
            }
        }
        if with_metadata {
            for family in frame.families() {
                request.metadata(family);
            }
        }
        let payloads = request.finish();
        self.before_last = exemplars_since;
        self.last = Some(Arc::clone(frame));
        payloads
    }
}

/// Tells which series are there no more.
struct Gone<'a> {
    now: HashSet<(&'a str, &'a str)>,
}

impl<'a> Gone<'a> {
    fn new(now: &'a Frame) -> Self {
        let series = |family: &'a Family| {
            let series = family.series.iter();
            series.map(|series| (&*family.name, series.labels.text()))
        };
        Self {
            now: now.families().iter().flat_map(series).collect(),
        }
    }

    fn of<'f>(&'f self, family: &'f Family) -> impl Iterator<Item = &'f Series> {
        let mut series = family.series.iter();
        std::iter::from_fn(move || {
            series.find(|series| !self.now.contains(&(&*family.name, series.labels.text())))
        })
    }
}

/// The requests of one frame.
struct Request<'a> {
    common: &'a [Pair<'a>],
    at: UnixMillis,
    exemplars_since: Option<UnixMillis>,
    before_last: Option<UnixMillis>,
    max_samples: usize,
    natively: bool,
    page: Vec<u8>,
    samples: usize,
    payloads: Vec<Payload>,
}

/// A label's name and value.
type Pair<'a> = (&'a str, Cow<'a, str>);

impl Request<'_> {
    fn series(&mut self, family: &Family, series: &Series) {
        match &series.value {
            Value::Counter(value) => self.one(family, series, value.as_f64()),
            Value::Gauge(value) => self.one(family, series, *value),
            Value::Histogram(histogram) => match &histogram.native {
                Some(native) if self.natively => self.native(family, series, histogram, native),
                _ => self.histogram(family, series, histogram, false),
            },
        }
    }

    /// Says of a series that there is no more of it.
    fn gone(&mut self, family: &Family, series: &Series) {
        match &series.value {
            Value::Counter(_) | Value::Gauge(_) => self.one(family, series, STALE),
            // To Prometheus a number that is gone ends a histogram, too.
            Value::Histogram(histogram) if self.natively && histogram.native.is_some() => {
                self.one(family, series, STALE);
            }
            Value::Histogram(histogram) => self.histogram(family, series, histogram, true),
        }
    }

    fn one(&mut self, family: &Family, series: &Series, value: f64) {
        let pairs = series.labels.pairs().collect::<Vec<_>>();
        self.sample(&pairs, &family.name, None, value, None);
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a count as a float, as on a page"
    )]
    fn histogram(
        &mut self,
        family: &Family,
        series: &Series,
        histogram: &Histogram,
        is_gone: bool,
    ) {
        let value = |value: f64| if is_gone { STALE } else { value };
        let pairs = series.labels.pairs().collect::<Vec<_>>();
        let bucket = format!("{}_bucket", family.name);
        let buckets = histogram.bounds.le().zip(&histogram.cumulative);
        for (at, (le, count)) in buckets.enumerate() {
            let exemplar = histogram.exemplars.get(at).and_then(Option::as_ref);
            let exemplar = exemplar.filter(|exemplar| !is_gone && self.is_new(exemplar));
            self.sample(&pairs, &bucket, Some(le), value(*count as f64), exemplar);
        }
        let sum = format!("{}_sum", family.name);
        self.sample(&pairs, &sum, None, value(histogram.sum), None);
        let count = format!("{}_count", family.name);
        let observations = value(histogram.count() as f64);
        self.sample(&pairs, &count, None, observations, None);
    }

    fn is_new(&self, exemplar: &Exemplar) -> bool {
        self.exemplars_since
            .is_none_or(|since| exemplar.at.0 >= since.0)
    }

    fn native(
        &mut self,
        family: &Family,
        series: &Series,
        histogram: &Histogram,
        native: &NativeView,
    ) {
        let pairs = series.labels.pairs().collect::<Vec<_>>();
        // Prometheus takes exemplars before histograms, and none of a series that it does not know yet: those of a new
        // one are sent with its second frame.
        let was_made_since = |since: Option<UnixMillis>| {
            since.is_none_or(|since| series.created.is_some_and(|created| created.0 >= since.0))
        };
        let is_first = was_made_since(self.exemplars_since);
        let is_second = was_made_since(self.before_last);
        let exemplars = histogram.exemplars.iter().flatten();
        let mut exemplars: Vec<_> = exemplars
            .filter(|exemplar| !is_first && (is_second || self.is_new(exemplar)))
            .collect();
        // And those of one series as they came.
        exemplars.sort_by_key(|exemplar| exemplar.at.0);
        let at = self.at;
        self.write(&pairs, &family.name, None, &exemplars, |wire| {
            let message = wire.begin_long(SERIES_HISTOGRAM);
            wire.unsigned(HISTOGRAM_COUNT, native.count());
            wire.double(HISTOGRAM_SUM, histogram.sum);
            wire.zigzag(HISTOGRAM_SCHEMA, native.schema.into());
            wire.double(HISTOGRAM_ZERO_THRESHOLD, native.zero_threshold);
            wire.unsigned(HISTOGRAM_ZERO_COUNT, native.zero_count);
            wire.spans(
                HISTOGRAM_NEGATIVE_SPAN,
                HISTOGRAM_NEGATIVE_DELTA,
                &native.negative,
            );
            wire.spans(
                HISTOGRAM_POSITIVE_SPAN,
                HISTOGRAM_POSITIVE_DELTA,
                &native.positive,
            );
            wire.unsigned(HISTOGRAM_TIMESTAMP, at.0);
            wire.end(message);
        });
    }

    fn sample(
        &mut self,
        pairs: &[Pair<'_>],
        name: &str,
        le: Option<&str>,
        value: f64,
        exemplar: Option<&Exemplar>,
    ) {
        let at = self.at;
        self.write(pairs, name, le, exemplar.as_slice(), |wire| {
            let sample = wire.begin(SERIES_SAMPLE);
            wire.exact_double(SAMPLE_VALUE, value);
            wire.unsigned(SAMPLE_TIMESTAMP, at.0);
            wire.end(sample);
        });
    }

    /// Writes a series of one sample.
    fn write(
        &mut self,
        pairs: &[Pair<'_>],
        name: &str,
        le: Option<&str>,
        exemplars: &[&Exemplar],
        sample: impl FnOnce(&mut Writer<'_>),
    ) {
        let is_own = |(name, _): &&Pair<'_>| pairs.iter().any(|(own, _)| own == name);
        let common = self.common.iter().filter(|common| !is_own(common));
        let own_and_common = pairs.iter().chain(common);
        let mut labels: Vec<(&str, &str)> = own_and_common
            .map(|(name, value)| (*name, &**value))
            .chain([("__name__", name)])
            .chain(le.map(|le| ("le", le)))
            .collect();
        // As the protocol demands.
        labels.sort_unstable_by_key(|(name, _)| *name);
        let mut wire = Writer::new(&mut self.page);
        let series = wire.begin_long(REQUEST_TIMESERIES);
        for (name, value) in labels {
            wire.strings(SERIES_LABEL, (LABEL_NAME, name), (LABEL_VALUE, value));
        }
        sample(&mut wire);
        for Exemplar { labels, value, at } in exemplars {
            let exemplar = wire.begin(SERIES_EXEMPLAR);
            for (name, value) in labels.pairs() {
                wire.strings(EXEMPLAR_LABEL, (LABEL_NAME, name), (LABEL_VALUE, &value));
            }
            wire.double(EXEMPLAR_VALUE, *value);
            wire.unsigned(EXEMPLAR_TIMESTAMP, at.0);
            wire.end(exemplar);
        }
        wire.end(series);
        self.samples += 1;
        if self.samples >= self.max_samples {
            self.flush();
        }
    }

    fn metadata(&mut self, family: &Family) {
        let mut wire = Writer::new(&mut self.page);
        let metadata = wire.begin(REQUEST_METADATA);
        wire.unsigned(
            METADATA_TYPE,
            match family.kind {
                FamilyKind::Counter => 1,
                FamilyKind::Gauge => 2,
                FamilyKind::Histogram => 3,
            },
        );
        wire.string(METADATA_FAMILY, &family.name);
        wire.string(METADATA_HELP, &family.help);
        if let Some(unit) = family.unit() {
            wire.string(METADATA_UNIT, unit);
        }
        wire.end(metadata);
    }

    fn flush(&mut self) {
        let points = std::mem::take(&mut self.samples) as u64;
        let page = std::mem::take(&mut self.page);
        // It cannot be: only what has more than 4 GiB cannot be compressed.
        let Ok(body) = snap::raw::Encoder::new().compress_vec(&page) else {
            return;
        };
        self.payloads.push(Payload {
            body: Bytes::from(body),
            points,
        });
    }

    fn finish(mut self) -> Vec<Payload> {
        if !self.page.is_empty() {
            self.flush();
        }
        self.payloads
    }
}
