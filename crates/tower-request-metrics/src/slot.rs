//! Handles of series, found again without an allocation and without a lock.

use std::{
    ops::Deref,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwap, Guard};
use metrics::{Counter, Gauge, Histogram};

use crate::{
    age::Age,
    instrument::{Instrument, Moment},
    key::Key,
    row::Row,
};

/// Where something can be put, once.
pub(crate) type Place<T> = OnceLock<Box<T>>;

/// The handles of the instruments of one [`Moment`], for one key, and the next slot in the same place. What
/// is recorded together is found at once, and lies together: with many routes, every line of memory that a
/// request touches is one more that is in no cache. The slots of a row are bounded, as each of their labels
/// is.
// What most requests read of a slot begins a line of memory.
#[repr(C, align(64))]
pub(crate) struct Slot {
    /// What requests that start with this end with, by status.
    pub(crate) ends: [Place<Self>; ENDS],
    pub(crate) key: Key,
    pub(crate) moment: Moment,
    first: Handles,
    pub(crate) next: Place<Self>,
    /// What stands in for `first`, if a series was ever unused for so long that the recorder may have
    /// forgotten it.
    renewed: OnceLock<ArcSwap<Handles>>,
}

pub(crate) const ENDS: usize = 4;

/// The handles of a slot's series, each there once it is used.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Handles {
    /// Until when those that most requests need can be used as they are.
    fresh_until: AtomicU64,
    series: [OnceLock<Handle>; Moment::CELLS],
    /// When each was last used, in nanoseconds of [`Age`], or a while earlier: at most `touch_after`.
    used: [AtomicU64; Moment::CELLS],
}

/// A handle of one of the three kinds.
#[derive(Clone)]
pub(crate) enum Handle {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

/// Which handles raised a gauge. The same must lower it: by others it could fall below zero.
pub(crate) enum Raised {
    /// The first of the slot.
    ByFirst,
    By(Arc<Handles>),
}

/// The slot of a key, in a row.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) row: &'a Row,
    pub(crate) slot: &'a Slot,
}

/// The handles of the moment.
enum Current<'a> {
    First(&'a Handles),
    Later(Guard<Arc<Handles>>),
}

impl Slot {
    /// Puts a slot there, if nobody was faster.
    #[cold]
    pub(crate) fn put(place: &Place<Self>, moment: Moment, key: Key) -> &Self {
        place.get_or_init(|| {
            Box::new(Self {
                key,
                moment,
                first: Handles::default(),
                ends: [const { OnceLock::new() }; ENDS],
                next: OnceLock::new(),
                renewed: OnceLock::new(),
            })
        })
    }
}

impl<'a> At<'a> {
    /// Counts up.
    #[inline]
    pub(crate) fn add(self, instrument: Instrument, now: Age, by: u64) {
        self.using(instrument, now).add(instrument, by);
    }

    /// Records one value in a histogram.
    #[inline]
    pub(crate) fn record(self, instrument: Instrument, now: Age, value: f64) {
        self.using(instrument, now).record(instrument, value);
    }

    /// Raises a gauge.
    #[inline]
    pub(crate) fn raise(self, instrument: Instrument, now: Age) -> Raised {
        self.using(instrument, now).raise(instrument)
    }

    /// Lowers a gauge that the first handles raised.
    #[inline]
    pub(crate) fn lower(self, instrument: Instrument) {
        self.slot.first.lower(instrument);
    }

    /// Raises the gauge of active requests.
    #[inline]
    pub(crate) fn started(self, now: Age) -> Raised {
        let first = &self.slot.first;
        if first.are_fresh(now) {
            first.up(Instrument::Active);
            return Raised::ByFirst;
        }
        self.fresh(&[Instrument::Active], now)
            .raise(Instrument::Active)
    }

    /// Counts a request that ended, its duration and its size: what most requests record.
    #[inline]
    pub(crate) fn ended(self, now: Age, seconds: f64, bytes: f64) {
        const USUAL: [Instrument; 3] = [
            Instrument::Requests,
            Instrument::Duration,
            Instrument::ResponseSize,
        ];
        let first = &self.slot.first;
        if first.are_fresh(now) {
            first.ended(seconds, bytes);
        } else {
            self.fresh(&USUAL, now).ended(seconds, bytes);
        }
    }

    #[inline]
    fn current(self) -> Current<'a> {
        match self.slot.renewed.get() {
            None => Current::First(&self.slot.first),
            Some(renewed) => Current::Later(renewed.load()),
        }
    }

    /// The handles, that of this instrument among them if it is recorded at all.
    #[inline]
    fn using(self, instrument: Instrument, now: Age) -> Current<'a> {
        let handles = self.current();
        // Written once in a while: a line that is only read stays in every core's cache.
        let noted = handles
            .used(instrument)
            .is_some_and(|used| now.0.saturating_sub(used.0) <= self.row.config().touch_after.0);
        if noted {
            handles
        } else {
            self.used(handles, instrument, now)
        }
    }

    /// The handles, those of these instruments among them. For a while they need not be asked for one by one.
    #[inline(never)]
    fn fresh(self, usual: &[Instrument], now: Age) -> Current<'a> {
        let mut handles = self.current();
        if !handles.are_fresh(now) {
            for instrument in usual {
                handles = self.used(handles, *instrument, now);
            }
            let until = now.0.saturating_add(self.row.config().touch_after.0);
            handles.fresh_until.store(until, Ordering::Relaxed);
        }
        handles
    }

    /// Notes that the instrument is used now. Its series is registered, if it is not or not any more.
    #[cold]
    fn used(self, handles: Current<'a>, instrument: Instrument, now: Age) -> Current<'a> {
        let config = self.row.config();
        let used = handles.used(instrument);
        let is_there = used.is_some_and(|used| !used.is_idle(now, config.max_idle));
        if is_there {
            handles.note(instrument, now);
            return handles;
        }
        let Some(handle) = self.register(instrument) else {
            return handles;
        };
        // A request may end where another recorder is the facade's than where it started.
        let is_own = config.target.id() == self.row.recorder();
        if is_own && used.is_none() {
            // Also if another thread was faster: its handle is one of the same series.
            handles.put(instrument, handle, now);
            return handles;
        }
        // The others' are kept, but for those that the recorder may have forgotten, too.
        let later = handles.lately_used(now, config.max_idle);
        later.put(instrument, handle, now);
        let later = Arc::new(later);
        // A handle of another recorder's is none of ours to keep.
        if is_own {
            // If another thread was faster with an instrument of its own, that is idle again, and registered again.
            let renewed = &self.slot.renewed;
            renewed
                .get_or_init(|| ArcSwap::new(Arc::clone(&later)))
                .store(Arc::clone(&later));
        }
        Current::Later(Guard::from_inner(later))
    }

    /// A handle of the series, if the instrument is recorded at all.
    fn register(self, instrument: Instrument) -> Option<Handle> {
        let config = self.row.config();
        let series = config.series(instrument)?;
        let key = self.slot.key.masked(series.mask);
        Some(config.register(instrument, series, self.row, key))
    }
}

impl Handles {
    #[inline]
    fn get(&self, instrument: Instrument) -> Option<&Handle> {
        self.series.get(instrument.cell())?.get()
    }

    #[inline]
    fn add(&self, instrument: Instrument, by: u64) {
        if let Some(Handle::Counter(counter)) = self.get(instrument) {
            counter.increment(by);
        }
    }

    #[inline]
    fn record(&self, instrument: Instrument, value: f64) {
        if let Some(Handle::Histogram(histogram)) = self.get(instrument) {
            histogram.record(value);
        }
    }

    #[inline]
    fn up(&self, instrument: Instrument) {
        if let Some(Handle::Gauge(gauge)) = self.get(instrument) {
            gauge.increment(1.0);
        }
    }

    /// Lowers a gauge that these raised.
    #[inline]
    pub(crate) fn lower(&self, instrument: Instrument) {
        if let Some(Handle::Gauge(gauge)) = self.get(instrument) {
            gauge.decrement(1.0);
        }
    }

    #[inline]
    fn ended(&self, seconds: f64, bytes: f64) {
        self.add(Instrument::Requests, 1);
        self.record(Instrument::Duration, seconds);
        self.record(Instrument::ResponseSize, bytes);
    }

    /// Whether those that most requests need were used so lately that nothing is to be noted or renewed.
    #[inline]
    fn are_fresh(&self, now: Age) -> bool {
        now < Age(self.fresh_until.load(Ordering::Relaxed))
    }

    /// When it was last used, if ever.
    #[inline]
    fn used(&self, instrument: Instrument) -> Option<Age> {
        self.get(instrument)?;
        let used = self.used.get(instrument.cell())?;
        Some(Age(used.load(Ordering::Relaxed)))
    }

    fn note(&self, instrument: Instrument, now: Age) {
        if let Some(used) = self.used.get(instrument.cell()) {
            used.fetch_max(now.0, Ordering::Relaxed);
        }
    }

    fn put(&self, instrument: Instrument, handle: Handle, now: Age) {
        // Before the handle, so that whoever finds that finds when it was used.
        self.note(instrument, now);
        if let Some(series) = self.series.get(instrument.cell()) {
            series.get_or_init(|| handle);
        }
    }

    /// The same, but for those that were not used for so long.
    fn lately_used(&self, now: Age, max_idle: Age) -> Self {
        let later = Self::default();
        let cells = self.series.iter().zip(&self.used);
        for ((series, used), (from, when)) in later.series.iter().zip(&later.used).zip(cells) {
            let when = Age(when.load(Ordering::Relaxed));
            if let (Some(handle), false) = (from.get(), when.is_idle(now, max_idle)) {
                used.store(when.0, Ordering::Relaxed);
                series.get_or_init(|| handle.clone());
            }
        }
        later
    }
}

impl Current<'_> {
    #[inline]
    fn raise(self, instrument: Instrument) -> Raised {
        self.up(instrument);
        match self {
            Self::First(_) => Raised::ByFirst,
            Self::Later(handles) => Raised::By(Guard::into_inner(handles)),
        }
    }
}

impl Deref for Current<'_> {
    type Target = Handles;

    #[inline]
    fn deref(&self) -> &Handles {
        match self {
            Self::First(handles) => handles,
            Self::Later(handles) => handles,
        }
    }
}
