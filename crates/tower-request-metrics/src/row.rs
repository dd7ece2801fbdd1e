//! The rows of series, one for each route.

#![expect(
    clippy::inline_always,
    reason = "of what every request takes, parts that are called pass by memory what else stays in registers"
)]

#[cfg(feature = "axum")]
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use metrics::SharedString;

use crate::{
    age::Age,
    cache::Rows,
    config::{Config, ENDPOINT_OVERFLOW},
    instrument::{Instrument, Moment},
    key::{Field, Key},
    names::OTHER,
    recorder::RecorderId,
    slot::{At, ENDS, Place, Raised, Slot},
};

/// The series of one route, or of one gRPC method.
// With many routes every line of memory that a request touches is one more that is in no cache: what every
// request needs stands first, and what is the same in all rows is the configuration's.
#[repr(C)]
pub(crate) struct Row {
    config: Arc<Config>,
    name: SharedString,
    skipped: bool,
    is_usual: bool,
    /// Where requests start, by method: what they start with, and behind it what they end with.
    starts: [Place<Slot>; STARTS],
    recorder: RecorderId,
    rpc_type: Option<&'static str>,
    /// How many of axum's paths were kept for it.
    #[cfg(feature = "axum")]
    paths: AtomicUsize,
    /// Of everything else.
    slots: [Place<Slot>; 1 << SLOT_BITS],
    /// Those that have a name, if this is the row of all others: who is there learns the name late.
    named: Option<Rows>,
}

/// Enough for the usual methods to have a place each.
const STARTS: usize = 8;

const SLOT_BITS: u32 = 3;

/// Where in its row a request started, if what it started with has a place of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start(Option<u8>);

impl Row {
    pub(crate) fn new(name: SharedString, recorder: RecorderId, config: &Arc<Config>) -> Self {
        Self {
            skipped: config
                .skipped_routes
                .iter()
                .any(|skipped| **skipped == *name),
            is_usual: !config.reads_heads,
            rpc_type: config.rpc_methods.get(&*name).copied(),
            name,
            recorder,
            config: Arc::clone(config),
            starts: [const { OnceLock::new() }; STARTS],
            #[cfg(feature = "axum")]
            paths: AtomicUsize::new(0),
            slots: [const { OnceLock::new() }; 1 << SLOT_BITS],
            named: None,
        }
    }

    /// The row of everything that has none of its own, among these.
    pub(crate) fn other(recorder: RecorderId, config: &Arc<Config>, named: Rows) -> Self {
        Self {
            named: Some(named),
            is_usual: false,
            ..Self::new(SharedString::const_str(OTHER), recorder, config)
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) const fn recorder(&self) -> RecorderId {
        self.recorder
    }

    pub(crate) const fn name(&self) -> &SharedString {
        &self.name
    }

    pub(crate) const fn is_other(&self) -> bool {
        self.named.is_some()
    }

    /// The row of this name, if it is there and this is that of all others.
    #[inline]
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Self>> {
        self.named.as_ref()?.get(name)
    }

    /// The row of this name; this, which is that of all others, if it is over budget.
    #[inline]
    pub(crate) fn named<'a>(self: &'a Arc<Self>, name: &str, now: Age) -> &'a Arc<Self> {
        match self.get(name) {
            Some(row) => row,
            None => self.insert(name, now),
        }
    }

    #[cold]
    fn insert<'a>(self: &'a Arc<Self>, name: &str, now: Age) -> &'a Arc<Self> {
        let (Some(named), true) = (&self.named, name != OTHER) else {
            return self;
        };
        named.insert(name).unwrap_or_else(|| {
            let key = Key::default().with(Field::Detail, ENDPOINT_OVERFLOW);
            self.add(Instrument::LabelOverflow, key, now, 1);
            self
        })
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

    /// Whether its requests are recorded with what is known of them without a look at their heads. Those without a
    /// route may turn out to have one.
    pub(crate) const fn is_usual(&self) -> bool {
        self.is_usual
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

    /// Lowers a gauge that the first handles of its slot raised, on this row and with this key.
    #[inline]
    pub(crate) fn lower(&self, instrument: Instrument, key: Key) {
        self.at(instrument.moment(), key).lower(instrument);
    }

    /// Raises the gauge of active requests, and tells where the request started: its end need not look
    /// for that again.
    #[inline(always)]
    pub(crate) fn start(&self, key: Key, now: Age) -> (Start, Raised) {
        let key = self.masked(Moment::Start, key);
        let at = usize::from(key.get(Field::Method)) % STARTS;
        let [first, ..] = &self.starts;
        let place = self.starts.get(at).unwrap_or(first);
        let slot = match place.get() {
            Some(slot) => slot,
            None => Slot::put(place, Moment::Start, key),
        };
        if slot.key != key {
            return (Start::ELSEWHERE, self.raise(Instrument::Active, key, now));
        }
        #[expect(clippy::cast_possible_truncation, reason = "less than `STARTS`")]
        let start = Start(Some(at as u8));
        (start, At { row: self, slot }.started(now))
    }

    /// Lowers the gauge of active requests, if the first handles of its slot raised it.
    #[inline]
    pub(crate) fn lower_active(&self, started: Option<&Slot>, key: Key) {
        match started {
            Some(slot) => At { row: self, slot }.lower(Instrument::Active),
            None => self.lower(Instrument::Active, key),
        }
    }

    /// What a request ends with that started in this slot, if that is one of this row's.
    #[inline]
    pub(crate) fn end<'a>(&'a self, started: Option<&'a Slot>, key: Key) -> At<'a> {
        let Some(slot) = started else {
            return self.at(Moment::End, key);
        };
        let key = self.masked(Moment::End, key);
        let [first, ..] = &slot.ends;
        let place = slot.ends.get(usize::from(key.get(Field::Status)) % ENDS);
        self.find(place.unwrap_or(first), Moment::End, key)
    }

    /// Where the request started, if it has a place of its own.
    #[inline]
    pub(crate) fn started(&self, start: Start) -> Option<&Slot> {
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
            let slot = match place.get() {
                Some(slot) => slot,
                None => Slot::put(place, moment, key),
            };
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
