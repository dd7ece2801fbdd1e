//! All series, by name and labels.

mod family;
mod life;
mod names;
mod own;
mod rules;
mod series;
mod shard;
mod sweep;

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasher as _,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak},
};

use metrics::{Key, SharedString};
use rapidhash::quality::RandomState;

pub use self::rules::{DEFAULT_BUCKETS, DEFAULT_LIMIT, DEFAULT_SIZE_BUCKETS, Matcher};
use self::shard::{Entry, Shard};
pub(crate) use self::{
    family::{Family, FamilyOptions},
    names::{HISTOGRAM_SUFFIXES, Naming},
    own::{Own, specs},
    rules::{Matched, Rules},
    series::{Series, Value},
};
use crate::format::{FamilyKind, LabelError, Labels, MAX_LABEL_VALUE};

/// Finds the series of a key, makes those that are new, and keeps them in order for those who read.
#[derive(Debug)]
pub(crate) struct Registry {
    shards: [RwLock<Shard>; 1 << SHARD_BITS],
    /// Of a seed of its own: labels' values may come from outside, and the facade's hash has a seed that
    /// everybody knows.
    hasher: RandomState,
    families: RwLock<BTreeMap<Box<str>, Arc<Family>>>,
    help: RwLock<HashMap<Box<str>, SharedString>>,
    rules: Rules,
    own: Own,
    this: Weak<Self>,
}

const SHARD_BITS: u32 = 4;

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    pub(crate) fn new(rules: Rules) -> Arc<Self> {
        let registry = Arc::new_cyclic(|this| Self {
            shards: Default::default(),
            hasher: RandomState::new(),
            families: RwLock::default(),
            help: RwLock::default(),
            rules,
            own: Own::new(Weak::clone(this)),
            this: Weak::clone(this),
        });
        registry.own.init();
        registry
    }

    pub(crate) const fn own(&self) -> &Own {
        &self.own
    }

    /// The series of this key, made if there is none; `None` if it cannot be had.
    pub(crate) fn series(&self, key: &Key, kind: FamilyKind) -> Option<Arc<Series>> {
        let hash = self.hash(key);
        let shard = self.shard(hash)?;
        let known = read(shard).find(hash, key);
        match known {
            Some(series) if series.kind() == kind => {
                series.touch();
                Some(series)
            }
            _ => self.register(key, kind, hash),
        }
    }

    // The facade's hash is there already, but anybody can make values that collide in it: theirs, which are
    // all that comes from outside, are hashed again. Labels may come in any order.
    fn hash(&self, key: &Key) -> u64 {
        let values = key
            .labels()
            .map(|label| self.hasher.hash_one(label.value()));
        values.fold(key.get_hash(), u64::wrapping_add)
    }

    fn shard(&self, hash: u64) -> Option<&RwLock<Shard>> {
        let shard = usize::try_from(hash >> (u64::BITS - SHARD_BITS)).ok()?;
        self.shards.get(shard)
    }

    #[cold]
    fn register(&self, key: &Key, kind: FamilyKind, hash: u64) -> Option<Arc<Series>> {
        let naming = self.rules.naming(key.name());
        if self.rules.denies(&naming.name) {
            return None;
        }
        let family = self.family(&naming, key.name(), kind)?;
        if key
            .labels()
            .any(|label| label.value().len() > MAX_LABEL_VALUE)
        {
            self.own.rejected(own::Reason::LabelTooLong);
            return Some(family.over());
        }
        let labels = self.labels(&naming.name, key);
        let series = match family.series(labels) {
            Ok(series) => series,
            // What has no series of its own is not kept: whoever sends ever new labels would fill the
            // memory with them.
            Err(overflow) => return Some(overflow),
        };
        write(self.shard(hash)?).insert(Entry::new(hash, key, &series));
        if family.facade_name() != key.name() {
            self.own.collision(family.name());
        }
        Some(series)
    }

    /// The labels of a series of this family.
    fn labels(&self, family: &str, key: &Key) -> Labels {
        let (labels, error) = Labels::new(self.rules.labels(family, key));
        if error == Some(LabelError::Duplicate) {
            self.own.rejected(own::Reason::DuplicateLabel);
        }
        labels
    }

    /// The family of this name, made if there is none; `None` if it is of another kind or unit, or would
    /// write samples of another's.
    fn family(
        &self,
        naming: &Naming<'_>,
        facade_name: &str,
        kind: FamilyKind,
    ) -> Option<Arc<Family>> {
        let name = &*naming.name;
        let known = read(&self.families).get(name).cloned();
        let family = if let Some(family) = known {
            family
        } else {
            let mut families = write(&self.families);
            if names::clashes(&families, name, kind) {
                drop(families);
                self.own.rejected(own::Reason::NameClash);
                return None;
            }
            let family = families.entry(name.into()).or_insert_with(|| {
                let options = self.rules.options(naming, kind);
                let this = Weak::clone(&self.this);
                Arc::new(Family::new(name, facade_name, options, this))
            });
            Arc::clone(family)
        };
        if family.kind() != kind {
            self.own.rejected(own::Reason::Kind);
            return None;
        }
        // Values cannot be told apart once they are added up.
        if family.scale().to_bits() != naming.scale.to_bits() {
            self.own.rejected(own::Reason::Unit);
            return None;
        }
        Some(family)
    }

    /// Sets the help text of a family, whether or not it is there yet.
    pub(crate) fn describe(&self, name: &str, help: SharedString) {
        let naming = self.rules.naming(name);
        write(&self.help).insert(naming.name.into(), help);
    }

    pub(crate) fn help(&self, family: &str) -> SharedString {
        let help = read(&self.help).get(family).cloned();
        help.unwrap_or(SharedString::const_str(""))
    }

    /// All families, by name.
    pub(crate) fn families(&self) -> Vec<Arc<Family>> {
        read(&self.families).values().cloned().collect()
    }

    /// Whether a collector's family of this name is shown: not if a rule hides it, or if it would write
    /// what a registered one writes, which is counted.
    pub(crate) fn takes_collected(&self, name: &str) -> bool {
        if self.rules.denies(name) {
            return false;
        }
        let families = read(&self.families);
        let clashes =
            families.contains_key(name) || names::clashes(&families, name, FamilyKind::Gauge);
        drop(families);
        if clashes {
            self.own.rejected(own::Reason::NameClash);
        }
        !clashes
    }

    /// The family of what the facade calls by this name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Family>> {
        let naming = self.rules.naming(name);
        read(&self.families).get(&*naming.name).cloned()
    }

    /// The labels of a series of this family, as they are written.
    pub(crate) fn labels_of(&self, family: &str, labels: &[(&str, &str)]) -> Labels {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| metrics::Label::new((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.labels(family, &Key::from_parts("", labels))
    }

    /// Removes what was unused for its family's time to live, and forgets the keys of what is gone.
    /// `now` is nanoseconds from any moment.
    pub(crate) fn expire(&self, now: u64) {
        for family in self.families() {
            family.expire(now);
        }
        for shard in &self.shards {
            write(shard).sweep();
        }
    }

    /// How many keys are known.
    #[cfg(test)]
    fn keys(&self) -> usize {
        self.shards.iter().map(|shard| read(shard).len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metrics::{CounterFn as _, Label};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn registry(change: impl FnOnce(&mut Rules)) -> Arc<Registry> {
        let mut rules = Rules::default();
        change(&mut rules);
        Registry::new(rules)
    }

    fn key(value: &str) -> Key {
        Key::from_parts("c_total", vec![Label::new("v", value.to_owned())])
    }

    fn counter(registry: &Registry, value: &str) -> Arc<Series> {
        registry.series(&key(value), FamilyKind::Counter).unwrap()
    }

    fn shown(registry: &Registry) -> Vec<String> {
        let listed = registry.find("c_total").unwrap().list();
        listed
            .iter()
            .map(|series| series.labels().text().to_owned())
            .collect()
    }

    #[test]
    fn the_key_of_what_is_over_the_limit_is_not_kept() {
        let registry = registry(|rules| rules.limits.push(Matcher::Any, 2));
        let own = registry.keys();
        for value in 0..1000 {
            counter(&registry, &value.to_string()).increment(1);
        }
        // Two, and what is told of the overflow.
        assert_eq!(registry.keys(), own + 3);
        let family = registry.find("c_total").unwrap();
        let overflow = family
            .find(&Labels::new([("otel_metric_overflow", "true")]).0)
            .unwrap();
        assert!(matches!(&overflow.value, Value::Counter(count)
            if count.load() == 998));
    }

    #[test]
    fn what_is_unused_for_its_time_to_live_expires_and_its_key_is_forgotten() {
        let ttl = Duration::from_secs(10);
        let registry = registry(|rules| rules.ttls.push(Matcher::full("c_total"), ttl));
        let own = registry.keys();
        let held = counter(&registry, "held");
        counter(&registry, "idle");
        registry.expire(0);
        registry.expire(9 * SECOND);
        assert_eq!(shown(&registry).len(), 2);
        counter(&registry, "busy");
        registry.expire(10 * SECOND);
        assert_eq!(shown(&registry), ["v=\"busy\""]);
        assert_eq!(registry.keys(), own + 2);
        // The held one comes back as the same series, by its handle or by its name.
        held.increment(3);
        assert_eq!(shown(&registry), ["v=\"busy\"", "v=\"held\""]);
        registry.expire(11 * SECOND);
        registry.expire(30 * SECOND);
        assert_eq!(shown(&registry), Vec::<String>::new());
        assert!(Arc::ptr_eq(&held, &counter(&registry, "held")));
        assert_eq!(shown(&registry), ["v=\"held\""]);
    }

    #[test]
    fn what_is_removed_leaves_no_more_behind_than_what_lives() {
        let registry = registry(|_| {});
        counter(&registry, "stays").increment(1);
        let family = registry.find("c_total").unwrap();
        for value in 0..10_000 {
            let value = value.to_string();
            let held = counter(&registry, &value);
            let labels = Labels::new([("v", &*value)]).0;
            // As when the last lease is given back; nothing expires, and nobody makes a page.
            assert!(family.remove(&labels));
            drop(held);
        }
        assert_eq!(shown(&registry), ["v=\"stays\""]);
        // 64 for each of the shards, and for the family.
        assert!(registry.keys() <= 64 << SHARD_BITS, "{}", registry.keys());
        assert!(family.buried() <= 64, "{}", family.buried());
    }

    #[test]
    fn nobody_can_know_where_a_value_is_kept() {
        let [one, other] = [registry(|_| {}), registry(|_| {})];
        let differ = (0..16).any(|value| {
            let key = key(&value.to_string());
            one.hash(&key) != other.hash(&key)
        });
        assert!(differ);
    }

    #[test]
    fn keys_that_differ_in_the_order_of_their_labels_are_one() {
        let registry = registry(|_| {});
        let labels = |one: [&'static str; 2], other: [&'static str; 2]| {
            let label = |[name, value]: [&'static str; 2]| Label::new(name, value);
            Key::from_parts("c_total", vec![label(one), label(other)])
        };
        let one = registry.series(&labels(["a", "1"], ["b", "2"]), FamilyKind::Counter);
        let other = registry.series(&labels(["b", "2"], ["a", "1"]), FamilyKind::Counter);
        assert!(Arc::ptr_eq(&one.unwrap(), &other.unwrap()));
        let swapped = registry.series(&labels(["a", "2"], ["b", "1"]), FamilyKind::Counter);
        drop(swapped);
        assert_eq!(shown(&registry).len(), 2);
    }
}
