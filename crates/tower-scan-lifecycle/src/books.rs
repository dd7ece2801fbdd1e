use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tower_observe::Moment;

/// Our own count of what waits and what runs.
///
/// A gauge that is only ever raised and lowered goes wrong for good when the recorder comes late or forgets
/// an idle series. The books stay right whatever the recorder does, and the gauges are set from them.
///
/// Nothing foreign is called under the lock.
pub(crate) struct Books {
    pages: Mutex<Pages>,
}

/// What a scan is in the books for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ledger {
    Active,
    Queued,
}

/// Where a scan stands in the books. Entries are in the order of their instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) since: Moment,
    number: u64,
}

impl Entry {
    /// That of a scan which is in no book: it does not run here.
    pub(crate) const fn of_none(since: Moment) -> Self {
        Self {
            since,
            number: u64::MAX,
        }
    }
}

struct Pages {
    next: u64,
    active: Box<[BTreeSet<Entry>]>,
    queued: Box<[BTreeSet<Entry>]>,
    stored: Box<[Option<Stored>]>,
    last_success: Box<[Option<SystemTime>]>,
}

/// What the store of a shared queue said last.
#[derive(Clone, Copy)]
struct Stored {
    depth: u64,
    oldest: Option<Duration>,
    at: Moment,
}

/// What the gauges of one type are to show.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) count: u64,
    pub(crate) of_all_types: u64,
    pub(crate) oldest: Duration,
    /// `None` if no store ever said.
    pub(crate) stored: Option<u64>,
}

impl Books {
    pub(crate) fn new(types: usize) -> Self {
        Self {
            pages: Mutex::new(Pages {
                next: 0,
                active: vec![BTreeSet::new(); types].into(),
                queued: vec![BTreeSet::new(); types].into(),
                stored: vec![None; types].into(),
                last_success: vec![None; types].into(),
            }),
        }
    }

    pub(crate) fn open(&self, ledger: Ledger, scan_type: usize, since: Moment) -> Entry {
        let mut pages = self.lock();
        let number = pages.next;
        pages.next = number.wrapping_add(1);
        let entry = Entry { since, number };
        if let Some(entries) = pages.ledger_mut(ledger).get_mut(scan_type) {
            entries.insert(entry);
        }
        entry
    }

    pub(crate) fn close(&self, ledger: Ledger, scan_type: usize, entry: Entry) {
        let mut pages = self.lock();
        if let Some(entries) = pages.ledger_mut(ledger).get_mut(scan_type) {
            entries.remove(&entry);
        }
    }

    pub(crate) fn stored(
        &self,
        scan_type: usize,
        depth: u64,
        oldest: Option<Duration>,
        at: Moment,
    ) {
        if let Some(stored) = self.lock().stored.get_mut(scan_type) {
            *stored = Some(Stored { depth, oldest, at });
        }
    }

    pub(crate) fn succeeded(&self, scan_type: usize, at: SystemTime) {
        if let Some(last) = self.lock().last_success.get_mut(scan_type) {
            *last = Some(at);
        }
    }

    pub(crate) fn last_success(&self, scan_type: usize) -> Option<SystemTime> {
        self.lock().last_success.get(scan_type).copied().flatten()
    }

    pub(crate) fn count(&self, ledger: Ledger) -> u64 {
        self.lock().count(ledger)
    }

    pub(crate) fn standing(&self, ledger: Ledger, scan_type: usize, now: Moment) -> Standing {
        let pages = self.lock();
        let age = |since: Moment| now.saturating_duration_since(since);
        let entries = pages.ledger(ledger).get(scan_type);
        let oldest = entries.and_then(BTreeSet::first);
        let oldest = oldest.map(|entry| age(entry.since)).unwrap_or_default();
        let stored = match ledger {
            Ledger::Active => None,
            Ledger::Queued => pages.stored.get(scan_type).copied().flatten(),
        };
        let oldest_stored = stored
            .filter(|stored| stored.depth > 0)
            .and_then(|stored| stored.oldest?.checked_add(age(stored.at)));
        Standing {
            count: entries.map_or(0, |entries| entries.len() as u64),
            of_all_types: pages.count(ledger),
            oldest: oldest.max(oldest_stored.unwrap_or_default()),
            stored: stored.map(|stored| stored.depth),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    const fn ledger(&self, ledger: Ledger) -> &[BTreeSet<Entry>] {
        match ledger {
            Ledger::Active => &self.active,
            Ledger::Queued => &self.queued,
        }
    }

    const fn ledger_mut(&mut self, ledger: Ledger) -> &mut [BTreeSet<Entry>] {
        match ledger {
            Ledger::Active => &mut self.active,
            Ledger::Queued => &mut self.queued,
        }
    }

    fn count(&self, ledger: Ledger) -> u64 {
        let entries = self.ledger(ledger).iter();
        entries.fold(0, |sum, entries| sum + entries.len() as u64)
    }
}
