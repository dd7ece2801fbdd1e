//! Handles of series, found again without an allocation and without a lock.

use std::{
    hash::BuildHasher as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use metrics::{Counter, Gauge, Histogram, SharedString};
use rapidhash::fast::RandomState;

use crate::{
    config::Config,
    instrument::{Instrument, Moment},
    key::Key,
    names::OTHER,
    recorder::RecorderId,
};

/// The handles of one recorder. Another recorder gets a cache of its own.
pub(crate) struct Cache {
    recorder: RecorderId,
    config: Arc<Config>,
    other: Arc<Row>,
    buckets: Box<[Place<Node>]>,
    hasher: RandomState,
    rows: AtomicUsize,
}

/// Where something can be put, once.
type Place<T> = OnceLock<Box<T>>;

/// A row, and the next one in the same bucket. Never removed: rows are bounded.
struct Node {
    row: Arc<Row>,
    next: Place<Self>,
}

impl Cache {
    pub(crate) fn new(recorder: RecorderId, config: &Arc<Config>) -> Self {
        // Twice as many buckets as rows keep the chains short; each bucket is two words.
        let buckets = config
            .max_routes
            .saturating_mul(2)
            .clamp(64, 1 << 20)
            .next_power_of_two();
        Self {
            recorder,
            other: Arc::new(Row::new(SharedString::const_str(OTHER), recorder, config)),
            config: Arc::clone(config),
            buckets: (0..buckets).map(|_| OnceLock::new()).collect(),
            hasher: RandomState::new(),
            rows: AtomicUsize::new(0),
        }
    }

    pub(crate) const fn recorder(&self) -> RecorderId {
        self.recorder
    }

    /// The row of everything that has none of its own.
    pub(crate) const fn other(&self) -> &Arc<Row> {
        &self.other
    }

    /// The row of this name, if it is there.
    #[inline]
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Row>> {
        let mut place = self.bucket(name)?;
        while let Some(node) = place.get() {
            if *node.row.name == *name {
                return Some(&node.row);
            }
            place = &node.next;
        }
        None
    }

    /// Makes the row of this name, unless that is over budget.
    #[cold]
    pub(crate) fn insert(&self, name: &str) -> Option<&Arc<Row>> {
        if name == OTHER {
            return Some(&self.other);
        }
        if self.rows.fetch_add(1, Ordering::Relaxed) >= self.config.max_routes {
            self.rows.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let name = SharedString::from_shared(Arc::from(name));
        let row = Arc::new(Row::new(name, self.recorder, &self.config));
        let mut place = self.bucket(&row.name)?;
        let mut node = Box::new(Node {
            row,
            next: OnceLock::new(),
        });
        loop {
            let name = node.row.name.clone();
            let refused = place.set(node);
            let there = place.get()?;
            let Err(back) = refused else {
                return Some(&there.row);
            };
            if there.row.name == name {
                // Another thread was faster.
                self.rows.fetch_sub(1, Ordering::Relaxed);
                return Some(&there.row);
            }
            node = back;
            place = &there.next;
        }
    }

    fn bucket(&self, name: &str) -> Option<&Place<Node>> {
        // The number of buckets is a power of two.
        let mask = self.buckets.len() as u64 - 1;
        let index = self.hasher.hash_one(name) & mask;
        self.buckets.get(usize::try_from(index).ok()?)
    }
}

/// The series of one route, or of one gRPC method.
pub(crate) struct Row {
    name: SharedString,
    skipped: bool,
    rpc_type: Option<&'static str>,
    recorder: RecorderId,
    config: Arc<Config>,
    /// Of the configuration, what every request needs: beside the slots it is in the same lines of memory.
    masks: [Key; Moment::COUNT],
    touch_after: Age,
    slots: [Place<Slot>; 1 << SLOT_BITS],
}

const SLOT_BITS: u32 = 3;

/// The handles of the instruments of one [`Moment`], for one key, and the next slot in the same place. What
/// is recorded together is found at once, and lies together: with many routes, every line of memory that a
/// request touches is one more that is in no cache. The slots of a row are bounded, as each of their labels
/// is.
struct Slot {
    moment: Moment,
    key: Key,
    cells: [Cell; Moment::CELLS],
    next: Place<Self>,
}

/// The handle of one series, once it is used.
#[derive(Default)]
struct Cell {
    first: OnceLock<Handle>,
    /// What stands in for `first`, if the series was ever unused for so long that the recorder may have
    /// forgotten it.
    renewed: OnceLock<ArcSwap<Handle>>,
    /// When it was last used, in nanoseconds of [`Age`], give or take a second.
    used: AtomicU64,
}

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
    fn new(name: SharedString, recorder: RecorderId, config: &Arc<Config>) -> Self {
        Self {
            skipped: config
                .skipped_routes
                .iter()
                .any(|skipped| **skipped == *name),
            rpc_type: config.rpc_methods.get(&*name).copied(),
            name,
            recorder,
            masks: config.masks,
            touch_after: config.touch_after,
            config: Arc::clone(config),
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
        let at = self.at(instrument.moment(), key);
        let raised = at.with(instrument, now, |shared, handle| {
            if let Handle::Gauge(gauge) = handle {
                gauge.increment(1.0);
            }
            shared.map_or(Raised::ByFirst, |handle| Raised::By(Arc::clone(handle)))
        });
        raised.unwrap_or(Raised::Not)
    }

    /// Lowers a gauge that the first handle of its cell raised, on this row and with this key.
    #[inline]
    pub(crate) fn lower(&self, instrument: Instrument, key: Key) {
        let at = self.at(instrument.moment(), key);
        let cell = at.slot.cells.get(instrument.cell());
        if let Some(handle) = cell.and_then(|cell| cell.first.get()) {
            handle.lower();
        }
    }

    /// The handles of the instruments of this moment, for this key.
    #[inline]
    pub(crate) fn at(&self, moment: Moment, key: Key) -> At<'_> {
        let mask = self.masks.get(moment as usize).copied();
        let key = key.masked(mask.unwrap_or(Key::EMPTY));
        let spread = key.spread(moment as u64) >> (u64::BITS - SLOT_BITS);
        // There are as many places as numbers of so many bits; the first is never taken for another.
        let [first, ..] = &self.slots;
        let mut place = self.slots.get(spread as usize).unwrap_or(first);
        loop {
            let slot = place.get_or_init(|| Box::new(Slot::new(moment, key)));
            if slot.key == key && slot.moment == moment {
                return At { row: self, slot };
            }
            place = &slot.next;
        }
    }
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
        let Some(first) = cell.first.get() else {
            return match self.first(instrument, cell, now)? {
                Ok(first) => Some(f(None, first)),
                Err(handle) => Some(f(Some(&handle), &handle)),
            };
        };
        // Written at most once a second: a line that is only read stays in every core's cache.
        if now.0.saturating_sub(cell.used.load(Ordering::Relaxed)) > self.row.touch_after.0 {
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
    fn first(
        self,
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
        Some(Ok(cell.first.get_or_init(|| handle)))
    }

    #[cold]
    fn used_again(self, instrument: Instrument, cell: &Cell, now: Age) {
        let config = &*self.row.config;
        let before = cell.used.swap(now.0, Ordering::Relaxed);
        // Not where a request ends under another recorder than it started under.
        if now.0.saturating_sub(before) > config.max_idle.0
            && config.target.id() == self.row.recorder
        {
            if let Some(handle) = self.register(instrument) {
                cell.renew(handle);
            }
        }
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
            moment,
            key,
            cells: <[Cell; Moment::CELLS]>::default(),
            next: OnceLock::new(),
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

/// Nanoseconds since the configuration's origin, or a span of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Age(u64);

impl Age {
    pub(crate) const SECOND: Self = Self(1_000_000_000);
    /// Before any request.
    pub(crate) const START: Self = Self(0);
    pub(crate) const FOREVER: Self = Self(u64::MAX);

    pub(crate) fn of(span: Duration) -> Self {
        Self(
            span.as_secs()
                .saturating_mul(1_000_000_000)
                .saturating_add(u64::from(span.subsec_nanos())),
        )
    }

    /// In seconds, from `earlier` to this.
    #[expect(
        clippy::cast_precision_loss,
        reason = "spans past 100 days may be off by a nanosecond"
    )]
    pub(crate) const fn seconds_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e9
    }

    pub(crate) fn between(origin: Instant, now: Instant) -> Self {
        Self::of(now.saturating_duration_since(origin))
    }

    /// So much later.
    pub(crate) fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(Self::of(span).0))
    }
}
