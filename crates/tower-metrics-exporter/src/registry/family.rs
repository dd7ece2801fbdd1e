use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    Registry,
    series::{Member, Series, Value},
    sweep::Sweep,
};
use crate::{
    cell::{Count, Histogram, HistogramOptions, Level, Reading},
    format::{Encode, FamilyKind, Head, HistogramView, Labels, Number},
};

/// What a family is, fixed when its first series is registered.
#[derive(Clone, Debug)]
pub(crate) struct FamilyOptions {
    pub(crate) kind: FamilyKind,
    /// What values are multiplied with, to be in base units.
    pub(crate) scale: f64,
    pub(crate) histogram: HistogramOptions,
    /// How many series there may be.
    pub(crate) limit: usize,
    /// Series unused for so long expire.
    pub(crate) ttl: Option<Duration>,
}

/// All series of one name.
#[derive(Debug)]
pub(crate) struct Family {
    name: Box<str>,
    /// As the facade calls it.
    facade_name: Box<str>,
    options: FamilyOptions,
    members: Mutex<Members>,
    overflow: OnceLock<Arc<Series>>,
    has_warned: AtomicBool,
    registry: Weak<Registry>,
}

#[derive(Debug, Default)]
struct Members {
    /// Sorted by labels.
    live: BTreeSet<Member>,
    /// The same, to be read without holding the lock; empty after a change.
    listed: Option<Arc<[Arc<Series>]>>,
    /// What expired or was removed while handles of it were held.
    gone: HashMap<Box<str>, Weak<Series>>,
    sweep: Sweep,
    leases: HashMap<Box<str>, usize>,
}

/// The labels of the series that takes what is over a family's limit: OpenTelemetry's.
const OVERFLOW: (&str, &str) = ("otel_metric_overflow", "true");

impl Family {
    pub(crate) fn new(
        name: &str,
        facade_name: &str,
        options: FamilyOptions,
        registry: Weak<Registry>,
    ) -> Self {
        Self {
            name: name.into(),
            facade_name: facade_name.into(),
            options,
            members: Mutex::default(),
            overflow: OnceLock::new(),
            has_warned: AtomicBool::new(false),
            registry,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn facade_name(&self) -> &str {
        &self.facade_name
    }

    pub(crate) const fn kind(&self) -> FamilyKind {
        self.options.kind
    }

    /// What its values are multiplied with.
    pub(crate) const fn scale(&self) -> f64 {
        self.options.scale
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The series of these labels, made if there is none. `Err` is the one that takes the overflow.
    pub(crate) fn series(self: &Arc<Self>, labels: Labels) -> Result<Arc<Series>, Arc<Series>> {
        let mut members = self.members();
        if let Some(Member(series)) = members.live.get(labels.text()) {
            return Ok(Arc::clone(series));
        }
        if let Some(series) = members.gone.get(labels.text()).and_then(Weak::upgrade) {
            members.insert(&series);
            return Ok(series);
        }
        if members.live.len() >= self.options.limit {
            drop(members);
            return Err(self.over());
        }
        let series = Series::new(labels, self.zero(), self);
        members.insert(&series);
        Ok(series)
    }

    fn zero(&self) -> Value {
        match self.options.kind {
            FamilyKind::Counter => Value::Counter(Count::new()),
            FamilyKind::Gauge => Value::Gauge(Level::new()),
            FamilyKind::Histogram => {
                Value::Histogram(Box::new(Histogram::new(&self.options.histogram)))
            }
        }
    }

    /// The series that takes what is over the limit, which this is a case of.
    pub(crate) fn over(self: &Arc<Self>) -> Arc<Series> {
        let series = self.overflow.get_or_init(|| {
            let (labels, _) = Labels::new([OVERFLOW]);
            Series::new(labels, self.zero(), self)
        });
        if let Some(registry) = self.registry.upgrade() {
            registry.own().overflow(&self.name);
        }
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                family = &*self.name,
                limit = self.options.limit,
                "too many series: what is new is counted in one series for all, \
                 labelled otel_metric_overflow=\"true\""
            );
        }
        Arc::clone(series)
    }

    /// Takes note of observations that are no numbers.
    #[cold]
    pub(crate) fn dropped(&self, count: u64) {
        if let Some(registry) = self.registry.upgrade() {
            registry.own().dropped(&self.name, count);
        }
    }

    /// Takes a series in again that was used after it was gone.
    #[cold]
    pub(crate) fn put_back(&self, series: &Arc<Series>) {
        self.members().insert(series);
    }

    /// Removes the series of these labels, and tells whether there was one.
    pub(crate) fn remove(&self, labels: &Labels) -> bool {
        let mut members = self.members();
        let Some(Member(series)) = members.live.take(labels.text()) else {
            return false;
        };
        series.life.leave();
        members.bury(&series);
        true
    }

    pub(crate) fn lease(&self, labels: &Labels) {
        *self
            .members()
            .leases
            .entry(labels.text().into())
            .or_default() += 1;
    }

    /// Gives a lease back, and removes the series with the last.
    pub(crate) fn release(&self, labels: &Labels) {
        let mut members = self.members();
        let Some(leases) = members.leases.get_mut(labels.text()) else {
            return;
        };
        *leases = leases.saturating_sub(1);
        if *leases == 0 {
            members.leases.remove(labels.text());
            drop(members);
            self.remove(labels);
        }
    }

    /// Removes what was unused for so long.
    pub(crate) fn expire(&self, now: u64) {
        let Some(ttl) = self.options.ttl else { return };
        let ttl = u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX);
        let mut members = self.members();
        let Members { live, leases, .. } = &mut *members;
        let mut expired = Vec::new();
        live.retain(|Member(series)| {
            let stays =
                leases.contains_key(series.labels().text()) || !series.life.expire(now, ttl);
            if !stays {
                expired.push(Arc::clone(series));
            }
            stays
        });
        members.sweep();
        for series in expired {
            members.bury(&series);
        }
    }

    /// The series in order of their labels, the overflow last.
    pub(crate) fn list(&self) -> Arc<[Arc<Series>]> {
        let mut members = self.members();
        let Members { live, listed, .. } = &mut *members;
        let listed = listed.get_or_insert_with(|| {
            let live = live.iter().map(|Member(series)| Arc::clone(series));
            live.collect()
        });
        Arc::clone(listed)
    }

    /// The series of these labels, if there is one.
    pub(crate) fn find(&self, labels: &Labels) -> Option<Arc<Series>> {
        let members = self.members();
        let found = members
            .live
            .get(labels.text())
            .map(|Member(series)| Arc::clone(series));
        let overflow = || {
            let overflow = self.overflow.get();
            overflow.filter(|series| series.labels() == labels).cloned()
        };
        found.or_else(overflow)
    }

    /// Writes the family, if it has any series. `reading` is memory to be used again.
    pub(crate) fn encode(
        &self,
        help: &str,
        has_sibling: bool,
        out: &mut impl Encode,
        reading: &mut Reading,
    ) {
        let listed = self.list();
        let overflow = self.overflow.get();
        if listed.is_empty() && overflow.is_none() {
            return;
        }
        out.family(&Head {
            name: &self.name,
            kind: self.options.kind,
            help,
            unit: unit_of(&self.name),
            has_sibling,
        });
        for series in listed.iter().chain(overflow) {
            self.encode_series(series, out, reading);
        }
    }

    fn encode_series(&self, series: &Series, out: &mut impl Encode, reading: &mut Reading) {
        let labels = series.labels();
        match &series.value {
            Value::Counter(counter) => {
                let whole = counter.load();
                let value = if self.options.scale.to_bits() == 1f64.to_bits() {
                    Number::Whole(whole)
                } else {
                    Number::Float(Number::Whole(whole).as_f64() * self.options.scale)
                };
                out.counter(labels, value, Some(series.created()), None);
            }
            Value::Gauge(gauge) => out.gauge(labels, gauge.load() * self.options.scale),
            Value::Histogram(histogram) => {
                histogram.read(reading);
                out.histogram(
                    labels,
                    &HistogramView {
                        bounds: histogram.bounds(),
                        cumulative: &reading.cumulative,
                        sum: reading.sum,
                        created: series.created(),
                        exemplars: &reading.exemplars,
                        native: reading.native.as_ref(),
                    },
                );
            }
        }
    }
}

#[cfg(test)]
impl Family {
    /// How many are remembered that are no members any more.
    pub(super) fn buried(&self) -> usize {
        self.members().gone.len()
    }
}

impl Members {
    fn insert(&mut self, series: &Arc<Series>) {
        series.life.come_back();
        self.gone.remove(series.labels().text());
        self.live.insert(Member(Arc::clone(series)));
        self.listed = None;
    }

    /// Remembers what is no member any more as long as somebody holds a handle of it.
    fn bury(&mut self, series: &Arc<Series>) {
        self.listed = None;
        if self.sweep.is_due(self.gone.len()) {
            self.sweep();
        }
        self.gone
            .insert(series.labels().text().into(), Arc::downgrade(series));
    }

    /// Forgets what is gone and that nobody holds.
    fn sweep(&mut self) {
        self.gone.retain(|_, series| series.strong_count() > 0);
        self.sweep = Sweep::after(self.gone.len());
    }
}

/// The base unit that a name ends with, `_total` aside.
fn unit_of(name: &str) -> Option<&'static str> {
    const UNITS: [&str; 7] = [
        "seconds", "bytes", "ratio", "celsius", "meters", "volts", "grams",
    ];
    let (_, last) = name
        .strip_suffix("_total")
        .unwrap_or(name)
        .rsplit_once('_')?;
    UNITS.into_iter().find(|unit| *unit == last)
}
