//! Handles of series, found again without an allocation and without a lock.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

#[cfg(feature = "axum")]
use std::sync::atomic::AtomicUsize;

use arc_swap::ArcSwap;
use metrics::{Counter, Gauge, Histogram, SharedString};

use crate::{
    age::Age,
    config::Config,
    instrument::{Instrument, Moment},
    key::{Field, Key},
    names::OTHER,
    recorder::RecorderId,
};

/// Where something can be put, once.
pub(crate) type Place<T> = OnceLock<Box<T>>;

/// The series of one route, or of one gRPC method.
// With many routes every line of memory that a request touches is one more that is in no cache: what every
// request needs stands first, and what is the same in all rows is the configuration's.
#[repr(C)]
pub(crate) struct Row {
    config: Arc<Config>,
    name: SharedString,
    skipped: bool,
    /// Where requests start, by method: what they start with, and behind it what they end with.
    starts: [Place<Slot>; STARTS],
    recorder: RecorderId,
    rpc_type: Option<&'static str>,
    /// How many of axum's paths were kept for it.
    #[cfg(feature = "axum")]
    paths: AtomicUsize,
    /// Of everything else.
    slots: [Place<Slot>; 1 << SLOT_BITS],
}

/// Enough for the usual methods to have a place each.
const STARTS: usize = 8;

const SLOT_BITS: u32 = 3;

/// The handles of the instruments of one [`Moment`], for one key, and the next slot in the same place. What
/// is recorded together is found at once, and lies together: with many routes, every line of memory that a
/// request touches is one more that is in no cache. The slots of a row are bounded, as each of their labels
/// is.
#[repr(C)]
struct Slot {
    key: Key,
    moment: Moment,
    /// Until when the first handles of what most requests record can be used as they are.
    fresh_until: AtomicU64,
    /// The handle of each series, once it is used.
    firsts: [OnceLock<Handle>; Moment::CELLS],
    /// What requests that start with this end with, by status.
    ends: [Place<Self>; ENDS],
    next: Place<Self>,
    cells: [Cell; Moment::CELLS],
}

const ENDS: usize = 4;

/// What is known of the handle of one series.
#[derive(Default)]
struct Cell {
    /// What stands in for `first`, if the series was ever unused for so long that the recorder may have
    /// forgotten it.
    renewed: OnceLock<ArcSwap<Handle>>,
    /// When it was last used, in nanoseconds of [`Age`], give or take a second.
    used: AtomicU64,
}

/// Where in its row a request started, if what it started with has a place of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start(Option<u8>);

/// The slot of a key, in a row.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    row: &'a Row,
    slot: &'a Slot,
}

/// A handle of one of the three kinds.
pub(crate) enum Handle {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

/// Which handle raised a gauge. The same must lower it: by another one it could fall below zero.
pub(crate) enum Raised {
    /// None did.
    Not,
    /// The first of its slot.
    ByFirst,
    /// This one.
    By(Arc<Handle>),
}

impl Row {
    pub(crate) fn new(name: SharedString, recorder: RecorderId, config: &Arc<Config>) -> Self {
        Self {
            skipped: config
                .skipped_routes
                .iter()
                .any(|skipped| **skipped == *name),
            rpc_type: config.rpc_methods.get(&*name).copied(),
            name,
            recorder,
            config: Arc::clone(config),
            starts: [const { OnceLock::new() }; STARTS],
            #[cfg(feature = "axum")]
            paths: AtomicUsize::new(0),
            slots: [const { OnceLock::new() }; 1 << SLOT_BITS],
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) const fn name(&self) -> &SharedString {
        &self.name
    }

    pub(crate) fn is_other(&self) -> bool {
        &*self.name == OTHER
    }

    /// Whether one more of axum's paths may be kept for this row. Routers share a path, or have one each.
    #[cfg(feature = "axum")]
    pub(crate) fn takes_path(&self) -> bool {
        const MOST: usize = 2;
        let kept = &self.paths;
        !self.is_other()
            && kept.load(Ordering::Relaxed) < MOST
            && kept.fetch_add(1, Ordering::Relaxed) < MOST
    }

    pub(crate) const fn is_skipped(&self) -> bool {
        self.skipped
    }

    pub(crate) const fn rpc_type(&self) -> Option<&'static str> {
        self.rpc_type
    }

    /// Service and method, `_OTHER` each if this is no row of a method.
    pub(crate) fn rpc_names(&self) -> (&str, &str) {
        self.name.rsplit_once('/').unwrap_or((OTHER, OTHER))
    }

    /// Counts up.
    #[inline]
    pub(crate) fn add(&self, instrument: Instrument, key: Key, now: Age, by: u64) {
        self.at(instrument.moment(), key).add(instrument, now, by);
    }

    /// Records one value in a histogram.
    #[inline]
    pub(crate) fn record(&self, instrument: Instrument, key: Key, now: Age, value: f64) {
        self.at(instrument.moment(), key)
            .record(instrument, now, value);
    }

    /// Raises a gauge, which is to be lowered on this row.
    #[inline]
    pub(crate) fn raise(&self, instrument: Instrument, key: Key, now: Age) -> Raised {
        self.at(instrument.moment(), key).raise(instrument, now)
    }

    /// Lowers a gauge that the first handle of its cell raised, on this row and with this key.
    #[inline]
    pub(crate) fn lower(&self, instrument: Instrument, key: Key) {
        self.at(instrument.moment(), key).lower(instrument);
    }

    /// Raises the gauge of active requests, and tells where the request started: its end need not look
    /// for that again.
    #[inline]
    pub(crate) fn start(&self, key: Key, now: Age) -> (Start, Raised) {
        let key = self.masked(Moment::Start, key);
        let at = usize::from(key.get(Field::Method)) % STARTS;
        let [first, ..] = &self.starts;
        let place = self.starts.get(at).unwrap_or(first);
        let slot = place.get_or_init(|| Box::new(Slot::new(Moment::Start, key)));
        let slot = At { row: self, slot };
        if slot.slot.key != key {
            return (Start::ELSEWHERE, self.raise(Instrument::Active, key, now));
        }
        #[expect(clippy::cast_possible_truncation, reason = "less than `STARTS`")]
        let start = Start(Some(at as u8));
        if slot.is_fresh(now) {
            let Some(Handle::Gauge(gauge)) = slot.first(Instrument::Active) else {
                return (start, Raised::Not);
            };
            gauge.increment(1.0);
            return (start, Raised::ByFirst);
        }
        let raised = slot.raise(Instrument::Active, now);
        slot.freshen(&[Instrument::Active], now);
        (start, raised)
    }

    /// Lowers the gauge of active requests, if the first handle of its slot raised it.
    #[inline]
    pub(crate) fn lower_active(&self, start: Start, key: Key) {
        match self.started(start) {
            Some(slot) => At { row: self, slot }.lower(Instrument::Active),
            None => self.lower(Instrument::Active, key),
        }
    }

    /// What a request ends with that started here.
    #[inline]
    pub(crate) fn end(&self, start: Start, key: Key) -> At<'_> {
        let Some(slot) = self.started(start) else {
            return self.at(Moment::End, key);
        };
        let key = self.masked(Moment::End, key);
        let [first, ..] = &slot.ends;
        let place = slot.ends.get(usize::from(key.get(Field::Status)) % ENDS);
        self.find(place.unwrap_or(first), Moment::End, key)
    }

    #[inline]
    fn started(&self, start: Start) -> Option<&Slot> {
        self.starts
            .get(usize::from(start.0?))?
            .get()
            .map(|slot| &**slot)
    }

    #[inline]
    fn masked(&self, moment: Moment, key: Key) -> Key {
        let mask = self.config.masks.get(moment as usize).copied();
        key.masked(mask.unwrap_or(Key::EMPTY))
    }

    /// The handles of the instruments of this moment, for this key.
    #[inline]
    pub(crate) fn at(&self, moment: Moment, key: Key) -> At<'_> {
        let key = self.masked(moment, key);
        let spread = key.spread(moment as u64) >> (u64::BITS - SLOT_BITS);
        // There are as many places as numbers of so many bits; the first is never taken for another.
        let [first, ..] = &self.slots;
        let place = self.slots.get(spread as usize).unwrap_or(first);
        self.find(place, moment, key)
    }

    #[inline]
    fn find<'a>(&'a self, mut place: &'a Place<Slot>, moment: Moment, key: Key) -> At<'a> {
        loop {
            let slot = place.get_or_init(|| Box::new(Slot::new(moment, key)));
            if slot.key == key && slot.moment == moment {
                return At { row: self, slot };
            }
            place = &slot.next;
        }
    }
}

impl Start {
    /// Among everything else of its row.
    pub(crate) const ELSEWHERE: Self = Self(None);
}

impl At<'_> {
    /// Counts up.
    #[inline]
    pub(crate) fn add(self, instrument: Instrument, now: Age, by: u64) {
        self.with(instrument, now, |_, handle| {
            if let Handle::Counter(counter) = handle {
                counter.increment(by);
            }
        });
    }

    /// Records one value in a histogram.
    #[inline]
    pub(crate) fn record(self, instrument: Instrument, now: Age, value: f64) {
        self.with(instrument, now, |_, handle| {
            if let Handle::Histogram(histogram) = handle {
                histogram.record(value);
            }
        });
    }

    /// Raises a gauge.
    #[inline]
    fn raise(self, instrument: Instrument, now: Age) -> Raised {
        let raised = self.with(instrument, now, |shared, handle| {
            if let Handle::Gauge(gauge) = handle {
                gauge.increment(1.0);
            }
            shared.map_or(Raised::ByFirst, |handle| Raised::By(Arc::clone(handle)))
        });
        raised.unwrap_or(Raised::Not)
    }

    /// Lowers a gauge that the first handle of its cell raised.
    #[inline]
    fn lower(self, instrument: Instrument) {
        if let Some(handle) = self.first(instrument) {
            handle.lower();
        }
    }

    /// Counts a request that ended, its duration and its size: what most requests record.
    #[inline]
    pub(crate) fn ended(self, now: Age, seconds: f64, bytes: f64) {
        const USUAL: [Instrument; 3] = [
            Instrument::Requests,
            Instrument::Duration,
            Instrument::ResponseSize,
        ];
        if !self.is_fresh(now) {
            self.add(Instrument::Requests, now, 1);
            self.record(Instrument::Duration, now, seconds);
            self.record(Instrument::ResponseSize, now, bytes);
            return self.freshen(&USUAL, now);
        }
        if let Some(Handle::Counter(counter)) = self.first(Instrument::Requests) {
            counter.increment(1);
        }
        if let Some(Handle::Histogram(histogram)) = self.first(Instrument::Duration) {
            histogram.record(seconds);
        }
        if let Some(Handle::Histogram(histogram)) = self.first(Instrument::ResponseSize) {
            histogram.record(bytes);
        }
    }

    #[inline]
    fn first(&self, instrument: Instrument) -> Option<&Handle> {
        self.slot.firsts.get(instrument.cell())?.get()
    }

    /// Whether the first handles of the usual instruments were used so lately that nothing is to be noted
    /// or renewed.
    #[inline]
    fn is_fresh(self, now: Age) -> bool {
        now < Age(self.slot.fresh_until.load(Ordering::Relaxed))
    }

    /// These instruments were all used now: for a while they need not be asked one by one, unless one of
    /// them was ever renewed.
    #[cold]
    fn freshen(self, instruments: &[Instrument], now: Age) {
        let is_first = |instrument: &Instrument| {
            let renewed = self.slot.cells.get(instrument.cell());
            let renewed = renewed.is_some_and(|cell| cell.renewed.get().is_some());
            let is_recorded = self.row.config.has(*instrument);
            !renewed && (!is_recorded || self.first(*instrument).is_some())
        };
        if instruments.iter().all(is_first) {
            let until = now.0.saturating_add(self.row.config.touch_after.0);
            self.slot.fresh_until.store(until, Ordering::Relaxed);
        }
    }

    /// Does something with the handle of a series, if the instrument is recorded at all. The handle is
    /// shared unless it is the cell's first.
    #[inline]
    fn with<R>(
        self,
        instrument: Instrument,
        now: Age,
        f: impl FnOnce(Option<&Arc<Handle>>, &Handle) -> R,
    ) -> Option<R> {
        let cell = self.slot.cells.get(instrument.cell())?;
        let Some(first) = self.slot.firsts.get(instrument.cell())?.get() else {
            return match self.make_first(instrument, cell, now)? {
                Ok(first) => Some(f(None, first)),
                Err(handle) => Some(f(Some(&handle), &handle)),
            };
        };
        // Written at most once a second: a line that is only read stays in every core's cache.
        if now.0.saturating_sub(cell.used.load(Ordering::Acquire)) > self.row.config.touch_after.0 {
            self.used_again(instrument, cell, now);
        }
        Some(match cell.renewed.get() {
            None => f(None, first),
            Some(renewed) => {
                let handle = renewed.load();
                f(Some(&handle), &handle)
            }
        })
    }

    /// A handle of the series, if the instrument is recorded at all.
    fn register(self, instrument: Instrument) -> Option<Handle> {
        let config = &*self.row.config;
        let series = config.series(instrument)?;
        let key = self.slot.key.masked(series.mask);
        Some(config.register(instrument, series, self.row, key))
    }

    #[cold]
    fn make_first(
        &self,
        instrument: Instrument,
        cell: &Cell,
        now: Age,
    ) -> Option<Result<&Handle, Arc<Handle>>> {
        let handle = self.register(instrument)?;
        // A request may end where another recorder is the facade's than where it started. Its handle is
        // none of ours to keep.
        if self.row.config.target.id() != self.row.recorder {
            return Some(Err(Arc::new(handle)));
        }
        cell.used.store(now.0, Ordering::Relaxed);
        // Also if another thread was faster: its handle is one of the same series.
        let first = self.slot.firsts.get(instrument.cell())?;
        Some(Ok(first.get_or_init(|| handle)))
    }

    #[cold]
    fn used_again(self, instrument: Instrument, cell: &Cell, now: Age) {
        let config = &*self.row.config;
        let before = cell.used.load(Ordering::Acquire);
        // Not where a request ends under another recorder than it started under. Several threads may renew it:
        // their handles are of the same series.
        if now.0.saturating_sub(before) > config.max_idle.0
            && config.target.id() == self.row.recorder
        {
            if let Some(handle) = self.register(instrument) {
                cell.renew(handle);
            }
        }
        // Behind the handle: who finds that it was used of late finds the handle, too.
        cell.used.fetch_max(now.0, Ordering::Release);
    }
}

impl Handle {
    /// Lowers the gauge, if it is one.
    pub(crate) fn lower(&self) {
        if let Self::Gauge(gauge) = self {
            gauge.decrement(1.0);
        }
    }
}

impl Slot {
    #[cold]
    fn new(moment: Moment, key: Key) -> Self {
        Self {
            key,
            moment,
            fresh_until: AtomicU64::new(0),
            firsts: [const { OnceLock::new() }; Moment::CELLS],
            ends: [const { OnceLock::new() }; ENDS],
            next: OnceLock::new(),
            cells: <[Cell; Moment::CELLS]>::default(),
        }
    }
}

impl Cell {
    #[cold]
    fn renew(&self, handle: Handle) {
        let handle = Arc::new(handle);
        let renewed = self
            .renewed
            .get_or_init(|| ArcSwap::new(Arc::clone(&handle)));
        renewed.store(handle);
    }
}
