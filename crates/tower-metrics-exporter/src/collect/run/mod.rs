use std::{collections::HashSet, sync::Arc, time::Duration};

use tower_observe::{Clock, Moment};

use super::{
    Collected, Collector, Samples,
    samples::{Merged, SampleRules},
    slot::Slot,
};
use crate::unique::unique;

#[cfg(test)]
mod tests;

/// Runs collectors, those that block on a thread of its own each, and keeps what they gave last.
#[derive(Debug)]
pub(crate) struct Collectors {
    slots: Vec<Arc<Slot>>,
    /// Of what is told of the collectors themselves.
    own: Arc<SampleRules>,
    clock: Clock,
    created: Moment,
}

impl Collectors {
    pub(crate) fn new(
        collectors: impl IntoIterator<Item = Box<dyn Collector>>,
        rules: SampleRules,
        clock: Clock,
    ) -> Self {
        // It has no limit of others'.
        let own = Arc::new(SampleRules {
            common_labels: rules.common_labels.clone(),
            ..SampleRules::default()
        });
        let rules = Arc::new(rules);
        let mut names = HashSet::new();
        let slots = collectors.into_iter().map(|collector| {
            let name = unique(&names, collector.name());
            names.insert(name.clone());
            let rules = Arc::clone(&rules);
            Arc::new(Slot::new(name, collector, rules, clock.clone()))
        });
        Self {
            slots: slots.collect(),
            created: clock.now(),
            own,
            clock,
        }
    }

    /// Runs all of them, waits for those that block no longer than for their budgets, and gives what there
    /// is.
    pub(crate) fn collect(&self) -> Collected {
        // Those that block are busy while the others are run.
        let runs: Vec<_> = self.slots.iter().map(Slot::begin).collect();
        for (slot, run) in self.slots.iter().zip(&runs) {
            if !slot.is_blocking() {
                slot.run(*run);
            }
        }
        let mut merged = Merged::default();
        let mut own = Samples::new(Arc::clone(&self.own));
        for (slot, run) in self.slots.iter().zip(runs) {
            let good = slot.wait(run);
            let families = good.as_ref().map(|good| &*good.families);
            let faults = merged.add(families.unwrap_or_default());
            let age = match good {
                Some(good) if good.run >= run => Duration::ZERO,
                good => {
                    let read_at = good.map_or(self.created, |good| good.at);
                    self.clock.now().saturating_duration_since(read_at)
                }
            };
            slot.tell(&mut own, &faults, age);
        }
        merged.replace(own.into_parts().0);
        merged.into_collected()
    }

    /// Whether any of them blocks.
    pub(crate) fn may_wait(&self) -> bool {
        self.slots.iter().any(|slot| slot.is_blocking())
    }

    /// Ends the threads of the collectors that block, and names those that are stuck: their threads end
    /// when they do.
    pub(crate) fn stop(&self) -> Vec<&str> {
        let stuck = self.slots.iter().filter(|slot| slot.stop());
        stuck.map(|slot| slot.name()).collect()
    }
}

impl Drop for Collectors {
    fn drop(&mut self) {
        self.stop();
    }
}
