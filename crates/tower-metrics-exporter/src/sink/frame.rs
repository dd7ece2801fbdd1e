use std::sync::Arc;

use crate::format::{
    Bounds, Encode, Exemplar, FamilyKind, Head, HistogramView, Labels, NativeView, Number,
    UnixMillis,
};

/// All series at one moment, which every sink is given: the same as on a page.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    at: UnixMillis,
    families: Vec<Family>,
}

/// A family, and its series in order.
#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) name: Box<str>,
    pub(super) kind: FamilyKind,
    pub(super) help: Box<str>,
    unit: Option<Box<str>>,
    has_sibling: bool,
    pub(super) series: Vec<Series>,
}

#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) labels: Labels,
    /// When it was made, if that is known.
    pub(super) created: Option<UnixMillis>,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Counter(Number),
    Gauge(f64),
    Histogram(Box<Histogram>),
}

#[derive(Clone, Debug)]
pub(super) struct Histogram {
    pub(super) bounds: Arc<Bounds>,
    pub(super) cumulative: Box<[u64]>,
    pub(super) sum: f64,
    created: UnixMillis,
    pub(super) exemplars: Box<[Option<Exemplar>]>,
    pub(super) native: Option<NativeView>,
}

impl Frame {
    pub(crate) const fn new(at: UnixMillis) -> Self {
        Self {
            at,
            families: Vec::new(),
        }
    }

    pub(super) const fn at(&self) -> UnixMillis {
        self.at
    }

    /// Those that have series, by name.
    pub(super) fn families(&self) -> &[Family] {
        &self.families
    }

    /// Writes it in one of the formats of pages.
    pub(super) fn encode(&self, out: &mut impl Encode) {
        for family in &self.families {
            family.encode(out);
        }
        out.finish();
    }

    fn push(&mut self, labels: &Labels, created: Option<UnixMillis>, value: Value) {
        if let Some(family) = self.families.last_mut() {
            family.series.push(Series {
                labels: labels.clone(),
                created,
                value,
            });
        }
    }

    /// These bounds, shared with the series before, of which nearly all have the same.
    fn bounds(&self, bounds: &Bounds) -> Arc<Bounds> {
        let last = self.families.last().and_then(|family| family.series.last());
        match last.map(|series| &series.value) {
            Some(Value::Histogram(last)) if *last.bounds == *bounds => Arc::clone(&last.bounds),
            _ => Arc::new(bounds.clone()),
        }
    }
}

impl Encode for Frame {
    fn family(&mut self, head: &Head<'_>) {
        self.families.push(Family {
            name: head.name.into(),
            kind: head.kind,
            help: head.help.into(),
            unit: head.unit.map(Into::into),
            has_sibling: head.has_sibling,
            series: Vec::new(),
        });
    }

    fn counter(
        &mut self,
        labels: &Labels,
        value: Number,
        created: Option<UnixMillis>,
        _: Option<&Exemplar>,
    ) {
        self.push(labels, created, Value::Counter(value));
    }

    fn gauge(&mut self, labels: &Labels, value: f64) {
        self.push(labels, None, Value::Gauge(value));
    }

    fn histogram(&mut self, labels: &Labels, histogram: &HistogramView<'_>) {
        let value = Histogram {
            bounds: self.bounds(histogram.bounds),
            cumulative: histogram.cumulative.into(),
            sum: histogram.sum,
            created: histogram.created,
            exemplars: histogram.exemplars.into(),
            native: histogram.native.cloned(),
        };
        self.push(
            labels,
            Some(histogram.created),
            Value::Histogram(Box::new(value)),
        );
    }

    fn finish(&mut self) {
        self.families.retain(|family| !family.series.is_empty());
    }
}

impl Family {
    fn head(&self) -> Head<'_> {
        Head {
            name: &self.name,
            kind: self.kind,
            help: &self.help,
            unit: self.unit.as_deref(),
            has_sibling: self.has_sibling,
        }
    }

    /// The unit that its name ends with.
    pub(super) fn unit(&self) -> Option<&str> {
        let name = self.name.strip_suffix("_total").unwrap_or(&self.name);
        self.head().unit_of(name)
    }

    fn encode(&self, out: &mut impl Encode) {
        out.family(&self.head());
        for series in &self.series {
            match &series.value {
                Value::Counter(value) => out.counter(&series.labels, *value, series.created, None),
                Value::Gauge(value) => out.gauge(&series.labels, *value),
                Value::Histogram(histogram) => out.histogram(&series.labels, &histogram.view()),
            }
        }
    }
}

impl Histogram {
    fn view(&self) -> HistogramView<'_> {
        HistogramView {
            bounds: &self.bounds,
            cumulative: &self.cumulative,
            sum: self.sum,
            created: self.created,
            exemplars: &self.exemplars,
            native: self.native.as_ref(),
        }
    }

    /// The number of all observations.
    pub(super) fn count(&self) -> u64 {
        self.cumulative.last().copied().unwrap_or_default()
    }
}
