use std::{
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tower_observe::{Clock, Moment, Spec, Unit};

use super::{
    CollectedFamily, Collector, Samples,
    samples::{Faults, Reason, SampleRules},
};
use crate::{format::Number, panic::panic_text};

const DURATION: &str = "exporter_collector_duration_seconds";
const DURATION_HELP: &str =
    "Time that the last run of a collector took, or the present one so far.";
const STALE: &str = "exporter_collector_stale_seconds";
const STALE_HELP: &str = "Age of a collector's values: 0 if they were read for this page.";
const ERRORS: &str = "exporter_collector_errors_total";
const ERRORS_HELP: &str = "Runs of collectors that failed, and samples that were left out.";

/// What is told of each collector.
pub(crate) fn specs() -> [Spec; 3] {
    [
        Spec::gauge(DURATION, DURATION_HELP)
            .unit(Unit::Seconds)
            .labels(["collector"]),
        Spec::gauge(STALE, STALE_HELP)
            .unit(Unit::Seconds)
            .labels(["collector"]),
        Spec::counter(ERRORS, ERRORS_HELP).labels(["collector", "reason"]),
    ]
}

/// One collector.
pub(super) struct Slot {
    name: String,
    collector: Box<dyn Collector>,
    is_blocking: bool,
    budget: Duration,
    rules: Arc<SampleRules>,
    clock: Clock,
    state: Mutex<State>,
    /// A run was asked for, has ended, or there will be no more.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How many runs were asked for, and how many of them have ended. They differ by one at most if the
    /// collector blocks.
    asked: u64,
    ended: u64,
    /// When the run was asked for that has not ended yet.
    since: Option<Moment>,
    /// Whether the collector is being called.
    is_running: bool,
    thread: Thread,
    good: Option<Good>,
    took: Duration,
    faults: Faults,
    /// Whether the log says already that something is wrong.
    is_reported: bool,
}

/// The thread of a collector that blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Thread {
    #[default]
    NotStarted,
    Started,
    /// It ends as soon as it can.
    Stopped,
}

/// What a run gave that ended well.
#[derive(Clone, Debug)]
pub(super) struct Good {
    pub(super) families: Arc<[CollectedFamily]>,
    pub(super) at: Moment,
    pub(super) run: u64,
}

impl Slot {
    pub(super) fn new(
        name: String,
        collector: Box<dyn Collector>,
        rules: Arc<SampleRules>,
        clock: Clock,
    ) -> Self {
        Self {
            name,
            is_blocking: collector.is_blocking(),
            budget: collector.budget(),
            collector,
            rules,
            clock,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn is_blocking(&self) -> bool {
        self.is_blocking
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers a run. If the collector blocks, its thread is told to start it, unless it is still at one:
    /// then it is that.
    pub(super) fn begin(self: &Arc<Self>) -> u64 {
        let mut state = self.state();
        if self.is_blocking {
            if state.is_asked() {
                return state.asked;
            }
            if !self.has_thread(&mut state) {
                return state.asked + 1;
            }
            state.since = Some(self.clock.now());
            self.changed.notify_all();
        }
        state.asked += 1;
        state.asked
    }

    /// Whether there is a thread for it; the first who asks starts it.
    fn has_thread(self: &Arc<Self>, state: &mut State) -> bool {
        if state.thread == Thread::NotStarted {
            let this = Arc::clone(self);
            // With a zero in its name, starting it would panic.
            let name = format!("collect-{}", self.name).replace('\0', "_");
            let thread = thread::Builder::new().name(name);
            match thread.spawn(move || this.run_when_asked()) {
                Ok(_) => state.thread = Thread::Started,
                Err(error) => {
                    state.faults.add(Reason::Error);
                    self.report(state, &format!("its thread could not be started: {error}"));
                }
            }
        }
        state.thread == Thread::Started
    }

    fn run_when_asked(&self) {
        loop {
            let idle = |state: &mut State| !state.is_asked() && state.thread != Thread::Stopped;
            let state = self.changed.wait_while(self.state(), idle);
            let mut state = state.unwrap_or_else(PoisonError::into_inner);
            if state.thread == Thread::Stopped {
                return;
            }
            let run = state.asked;
            state.is_running = true;
            drop(state);
            self.run(run);
            let mut state = self.state();
            state.is_running = false;
            state.end();
            self.changed.notify_all();
        }
    }

    /// Calls the collector on this thread.
    pub(super) fn run(&self, run: u64) {
        let start = self.clock.now();
        let mut samples = Samples::new(Arc::clone(&self.rules));
        let collect = AssertUnwindSafe(|| self.collector.collect(&mut samples));
        let outcome = panic::catch_unwind(collect);
        let at = self.clock.now();

        let mut state = self.state();
        state.took = at.saturating_duration_since(start);
        let wrong = match outcome {
            Ok(()) => {
                let (families, faults, error) = samples.into_parts();
                state.faults.add_all(&faults);
                let families = families.into();
                // Of two that ran at the same time, the last to end is as good for both.
                let run = state.good.as_ref().map_or(run, |good| good.run.max(run));
                state.good = Some(Good { families, at, run });
                error
            }
            Err(payload) => {
                state.faults.add(Reason::Panic);
                Some(format!("it panicked: {}", panic_text(&*payload)))
            }
        };
        match wrong {
            Some(error) => self.report(&mut state, &error),
            None => state.is_reported = false,
        }
    }

    /// Logs what goes wrong, but not at every scrape.
    fn report(&self, state: &mut State, error: &str) {
        if !std::mem::replace(&mut state.is_reported, true) {
            tracing::warn!(
                collector = &*self.name,
                error,
                "a collector has no fresh values, or not all of them; \
                 exporter_collector_errors_total counts how often"
            );
        }
    }

    /// Waits for a run, if it is another thread's, until the budget is used up; gives the last good one.
    pub(super) fn wait(&self, run: u64) -> Option<Good> {
        let state = self.state();
        if !self.is_blocking {
            return state.good.clone();
        }
        // One that has been stuck for longer than its budget already is not waited for again.
        let budget = self
            .budget
            .saturating_sub(self.running_for(&state).unwrap_or_default());
        let is_missing = |state: &mut State| state.is_asked() && state.ended < run;
        let waited = self.changed.wait_timeout_while(state, budget, is_missing);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if is_missing(&mut state) {
            state.faults.add(Reason::Timeout);
            self.report(
                &mut state,
                &format!("it took longer than its budget of {:?}", self.budget),
            );
        }
        state.good.clone()
    }

    /// How long the present run has taken so far.
    fn running_for(&self, state: &State) -> Option<Duration> {
        let since = state.since?;
        Some(self.clock.now().saturating_duration_since(since))
    }

    /// Adds what there is to say about it, now that a page is written.
    pub(super) fn tell(&self, own: &mut Samples, faults: &Faults, age: Duration) {
        let mut state = self.state();
        state.faults.add_all(faults);
        let took = self.running_for(&state).unwrap_or(state.took);
        let collector = ("collector", &*self.name);
        own.gauge(DURATION, DURATION_HELP)
            .unit("seconds")
            .sample([collector], took);
        own.gauge(STALE, STALE_HELP)
            .unit("seconds")
            .sample([collector], age);
        let mut errors = own.counter(ERRORS, ERRORS_HELP);
        for (reason, count) in state.faults.iter() {
            let count = Number::Whole(count).as_f64();
            errors.sample([collector, ("reason", reason)], count);
        }
    }

    /// Whether it is stuck.
    pub(super) fn stop(&self) -> bool {
        let mut state = self.state();
        state.thread = Thread::Stopped;
        if !state.is_running {
            state.end();
        }
        self.changed.notify_all();
        state.is_running
    }
}

impl State {
    /// Whether a run was asked for that has not ended yet.
    const fn is_asked(&self) -> bool {
        self.asked > self.ended
    }

    fn end(&mut self) {
        self.ended = self.asked;
        self.since = None;
    }
}

#[cfg(test)]
impl Slot {
    /// Whether the collector is being called.
    pub(super) fn is_running(&self) -> bool {
        self.state().is_running
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("name", &self.name)
            .field("is_blocking", &self.is_blocking)
            .field("budget", &self.budget)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
