use std::{
    cmp::Ordering,
    sync::{Arc, Weak},
};

use metrics::{CounterFn, GaugeFn, HistogramFn};

use super::{Family, life::Life};
use crate::{
    cell::{Count, Histogram, Level},
    format::{FamilyKind, Labels, UnixMillis},
};

/// One series: its labels, and its value, which every handle of it shares.
#[derive(Debug)]
pub(crate) struct Series {
    labels: Labels,
    pub(crate) value: Value,
    created: UnixMillis,
    pub(super) life: Life,
    family: Weak<Family>,
    this: Weak<Self>,
}

#[derive(Debug)]
pub(crate) enum Value {
    Counter(Count),
    Gauge(Level),
    Histogram(Box<Histogram>),
}

impl Series {
    pub(crate) fn new(labels: Labels, value: Value, family: &Arc<Family>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            labels,
            value,
            created: UnixMillis::now(),
            life: Life::new(),
            family: Arc::downgrade(family),
            this: Weak::clone(this),
        })
    }

    pub(crate) const fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(crate) const fn created(&self) -> UnixMillis {
        self.created
    }

    pub(crate) const fn kind(&self) -> FamilyKind {
        match self.value {
            Value::Counter(_) => FamilyKind::Counter,
            Value::Gauge(_) => FamilyKind::Gauge,
            Value::Histogram(_) => FamilyKind::Histogram,
        }
    }

    /// After every change of the value.
    #[inline]
    pub(crate) fn touch(&self) {
        if self.life.touch() {
            self.put_back();
        }
    }

    /// So many observations of one value.
    // By itself, and at the end of those that call it: these then have nothing to keep meanwhile.
    #[inline(never)]
    fn observe(&self, value: f64, count: u64) {
        if let Value::Histogram(histogram) = &self.value {
            if histogram.record(value, count) {
                self.touch();
            } else {
                self.dropped(count);
            }
        }
    }

    #[cold]
    fn dropped(&self, count: u64) {
        if let Some(family) = self.family.upgrade() {
            family.dropped(count);
        }
    }

    #[cold]
    fn put_back(&self) {
        if let (Some(family), Some(this)) = (self.family.upgrade(), self.this.upgrade()) {
            family.put_back(&this);
        }
    }
}

impl CounterFn for Series {
    #[inline]
    fn increment(&self, value: u64) {
        if let Value::Counter(counter) = &self.value {
            counter.add(value);
            self.touch();
        }
    }

    fn absolute(&self, value: u64) {
        if let Value::Counter(counter) = &self.value {
            counter.raise(value);
            self.touch();
        }
    }
}

impl GaugeFn for Series {
    // Once, whether it goes up or down: a request does both.
    #[inline(never)]
    fn increment(&self, value: f64) {
        if let Value::Gauge(gauge) = &self.value {
            gauge.add(value);
            self.touch();
        }
    }

    #[inline]
    fn decrement(&self, value: f64) {
        GaugeFn::increment(self, -value);
    }

    #[inline]
    fn set(&self, value: f64) {
        if let Value::Gauge(gauge) = &self.value {
            gauge.set(value);
            self.touch();
        }
    }
}

impl HistogramFn for Series {
    #[inline]
    fn record(&self, value: f64) {
        match &self.value {
            Value::Histogram(histogram) if histogram.record_at_once(value) => self.touch(),
            _ => self.observe(value, 1),
        }
    }

    fn record_many(&self, value: f64, count: usize) {
        self.observe(value, count as u64);
    }
}

/// A member of a family, found and sorted by its labels.
#[derive(Clone, Debug)]
pub(super) struct Member(pub(super) Arc<Series>);

impl std::borrow::Borrow<str> for Member {
    fn borrow(&self) -> &str {
        self.0.labels.text()
    }
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.0.labels == other.0.labels
    }
}

impl Eq for Member {}

impl PartialOrd for Member {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Member {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.labels.text().cmp(other.0.labels.text())
    }
}
