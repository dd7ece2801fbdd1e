use std::{
    cmp::Ordering as Order,
    sync::{
        Arc, Weak,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

use metrics::{CounterFn, GaugeFn, HistogramFn};

use super::Family;
use crate::{
    cell::{AtomicFloat, Histogram},
    format::{FamilyKind, Labels, UnixMillis},
};

/// One series: its labels, and its value, which every handle of it shares.
#[derive(Debug)]
pub(crate) struct Series {
    labels: Labels,
    pub(crate) value: Value,
    created: UnixMillis,
    state: AtomicU8,
    /// When it was first found unused, in nanoseconds of the registry's time.
    idle_since: AtomicU64,
    family: Weak<Family>,
    this: Weak<Self>,
}

#[derive(Debug)]
pub(crate) enum Value {
    Counter(AtomicU64),
    Gauge(AtomicFloat),
    Histogram(Box<Histogram>),
}

/// Used since somebody looked, or not looked at yet.
const USED: u8 = 0;
const IDLE: u8 = 1;
/// Not in its family: expired or removed. A handle that is used again puts it back.
const GONE: u8 = 2;

impl Series {
    pub(crate) fn new(labels: Labels, value: Value, family: &Arc<Family>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            labels,
            value,
            created: UnixMillis::now(),
            state: AtomicU8::new(USED),
            idle_since: AtomicU64::new(0),
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

    /// After every change of the value, so that what expires meanwhile comes back with it.
    #[inline]
    pub(crate) fn touch(&self) {
        if self.state.load(Ordering::Relaxed) != USED {
            self.used_again();
        }
    }

    #[cold]
    fn used_again(&self) {
        let was_there =
            self.state
                .compare_exchange(IDLE, USED, Ordering::Relaxed, Ordering::Relaxed);
        if let (Err(GONE), Some(family), Some(this)) =
            (was_there, self.family.upgrade(), self.this.upgrade())
        {
            family.put_back(&this);
        }
    }

    pub(super) fn come_back(&self) {
        self.state.store(USED, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        self.state.store(GONE, Ordering::Relaxed);
    }

    /// Whether it was unused for `ttl`, and is gone now. Called every so often.
    pub(super) fn expire(&self, now: u64, ttl: u64) -> bool {
        match self
            .state
            .compare_exchange(USED, IDLE, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => {
                self.idle_since.store(now, Ordering::Relaxed);
                false
            }
            Err(IDLE) => {
                let idle = now.saturating_sub(self.idle_since.load(Ordering::Relaxed));
                // Not if it is used in between.
                let (from, to) = (IDLE, GONE);
                idle >= ttl
                    && self
                        .state
                        .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
                        .is_ok()
            }
            Err(_) => false,
        }
    }
}

impl CounterFn for Series {
    #[inline]
    fn increment(&self, value: u64) {
        if let Value::Counter(counter) = &self.value {
            counter.fetch_add(value, Ordering::Relaxed);
            self.touch();
        }
    }

    fn absolute(&self, value: u64) {
        if let Value::Counter(counter) = &self.value {
            counter.fetch_max(value, Ordering::Relaxed);
            self.touch();
        }
    }
}

impl GaugeFn for Series {
    #[inline]
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
            gauge.store(value);
            self.touch();
        }
    }
}

impl HistogramFn for Series {
    #[inline]
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    #[inline]
    fn record_many(&self, value: f64, count: usize) {
        if let Value::Histogram(histogram) = &self.value {
            if histogram.record(value, count as u64) {
                self.touch();
            } else if let Some(family) = self.family.upgrade() {
                family.dropped(count as u64);
            }
        }
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
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Member {
    fn cmp(&self, other: &Self) -> Order {
        self.0.labels.text().cmp(other.0.labels.text())
    }
}
