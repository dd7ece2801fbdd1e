use std::sync::{Arc, Weak};

use hashbrown::HashTable;
use metrics::Key;

use super::{Series, sweep::Sweep};

/// A part of what the facade calls series by.
#[derive(Debug, Default)]
pub(super) struct Shard {
    entries: HashTable<Entry>,
    sweep: Sweep,
}

/// What the facade calls a series. The series itself belongs to its family.
#[derive(Debug)]
pub(super) struct Entry {
    hash: u64,
    key: Key,
    series: Weak<Series>,
}

impl Entry {
    pub(super) fn new(hash: u64, key: &Key, series: &Arc<Series>) -> Self {
        Self {
            hash,
            key: key.clone(),
            series: Arc::downgrade(series),
        }
    }

    #[inline]
    fn is(&self, hash: u64, key: &Key) -> bool {
        // Nearly always the labels come in the same order, which is faster to see.
        let is_same = || self.key.name() == key.name() && self.key.labels().eq(key.labels());
        self.hash == hash && (is_same() || self.key == *key)
    }
}

impl Shard {
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &Key) -> Option<Arc<Series>> {
        let entry = self.entries.find(hash, |entry| entry.is(hash, key))?;
        entry.series.upgrade()
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        let hash = entry.hash;
        let known = self
            .entries
            .find_mut(hash, |other| other.is(hash, &entry.key));
        if let Some(known) = known {
            *known = entry;
            return;
        }
        if self.sweep.is_due(self.entries.len()) {
            self.sweep();
        }
        self.entries.insert_unique(hash, entry, |entry| entry.hash);
    }

    /// Forgets the keys of series that nobody can reach any more.
    pub(super) fn sweep(&mut self) {
        self.entries.retain(|entry| entry.series.strong_count() > 0);
        self.sweep = Sweep::after(self.entries.len());
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
