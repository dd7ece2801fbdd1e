use std::{
    any::Any,
    collections::HashSet,
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tower_observe::Clock;

use super::{
    Collected, CollectedFamily, Collector, Samples,
    samples::{Faults, Merged, Reason},
};
use crate::format::Number;

/// Runs collectors, those that block on a thread of its own each, and keeps what they gave last.
#[derive(Debug)]
pub(crate) struct Collectors {
    slots: Vec<Arc<Slot>>,
    common_labels: Arc<[(String, String)]>,
    clock: Clock,
    created: Instant,
}

/// One collector.
struct Slot {
    name: String,
    collector: Box<dyn Collector>,
    is_blocking: bool,
    budget: Duration,
    common_labels: Arc<[(String, String)]>,
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
    since: Option<Instant>,
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
struct Good {
    families: Arc<[CollectedFamily]>,
    at: Instant,
    run: u64,
}

impl Collectors {
    /// `common_labels` are added to every series that has none of the name.
    pub(crate) fn new(
        collectors: impl IntoIterator<Item = Box<dyn Collector>>,
        common_labels: impl Into<Arc<[(String, String)]>>,
        clock: Clock,
    ) -> Self {
        let common_labels = common_labels.into();
        let mut names = HashSet::new();
        let slots = collectors.into_iter().map(|collector| {
            let name = unique(&names, collector.name());
            names.insert(name.clone());
            Arc::new(Slot {
                name,
                is_blocking: collector.is_blocking(),
                budget: collector.budget(),
                collector,
                common_labels: Arc::clone(&common_labels),
                clock: clock.clone(),
                state: Mutex::default(),
                changed: Condvar::new(),
            })
        });
        Self {
            slots: slots.collect(),
            created: clock.now(),
            common_labels,
            clock,
        }
    }

    /// Runs all of them, waits for those that block no longer than for their budgets, and gives what there
    /// is.
    pub(crate) fn collect(&self) -> Collected {
        // Those that block are busy while the others are run.
        let runs: Vec<_> = self.slots.iter().map(Slot::begin).collect();
        for (slot, run) in self.slots.iter().zip(&runs) {
            if !slot.is_blocking {
                slot.run(*run);
            }
        }
        let mut merged = Merged::default();
        let mut own = Samples::new(Arc::clone(&self.common_labels));
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

    /// Ends the threads of the collectors that block, and names those that are stuck: their threads end
    /// when they do.
    pub(crate) fn stop(&self) -> Vec<&str> {
        let stuck = self.slots.iter().filter(|slot| slot.stop());
        stuck.map(|slot| slot.name.as_str()).collect()
    }
}

impl Drop for Collectors {
    fn drop(&mut self) {
        self.stop();
    }
}

fn unique(names: &HashSet<String>, name: &str) -> String {
    if !names.contains(name) {
        return name.to_owned();
    }
    let mut numbered = (2..).map(|number: u64| format!("{name}_{number}"));
    let free = numbered.find(|numbered| !names.contains(numbered));
    free.unwrap_or_default()
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers a run. If the collector blocks, its thread is told to start it, unless it is still at one:
    /// then it is that.
    fn begin(self: &Arc<Self>) -> u64 {
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
    fn run(&self, run: u64) {
        let start = self.clock.now();
        let mut samples = Samples::new(Arc::clone(&self.common_labels));
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
    fn wait(&self, run: u64) -> Option<Good> {
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
    fn tell(&self, own: &mut Samples, faults: &Faults, age: Duration) {
        let mut state = self.state();
        state.faults.add_all(faults);
        let took = self.running_for(&state).unwrap_or(state.took);
        let collector = ("collector", &*self.name);
        own.gauge(
            "exporter_collector_duration_seconds",
            "Time that the last run of a collector took, or the present one so far.",
        )
        .unit("seconds")
        .sample([collector], took);
        own.gauge(
            "exporter_collector_stale_seconds",
            "Age of a collector's values: 0 if they were read for this page.",
        )
        .unit("seconds")
        .sample([collector], age);
        let mut errors = own.counter(
            "exporter_collector_errors_total",
            "Runs of collectors that failed, and samples that were left out.",
        );
        for (reason, count) in state.faults.iter() {
            let count = Number::Whole(count).as_f64();
            errors.sample([collector, ("reason", reason)], count);
        }
    }

    /// Whether it is stuck.
    fn stop(&self) -> bool {
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

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(no text)")
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Weak,
        atomic::{AtomicU64, Ordering},
        mpsc,
    };

    use tower_observe::ManualClock;

    use super::*;
    use crate::{
        collect::{CollectorFn, collector_fn},
        format::{Encode as _, Text},
    };

    /// More than any test takes.
    const LONG: Duration = Duration::from_secs(60);

    fn collectors<const N: usize>(
        clock: &ManualClock,
        collectors: [Box<dyn Collector>; N],
    ) -> Collectors {
        Collectors::new(collectors, [], clock.clock())
    }

    fn page(collectors: &Collectors) -> String {
        let mut page = Vec::new();
        let mut text = Text::prometheus(&mut page);
        for family in collectors.collect().families() {
            family.encode(false, &mut text);
        }
        text.finish();
        String::from_utf8(page).unwrap()
    }

    #[track_caller]
    fn assert_lines<const N: usize>(page: &str, lines: [&str; N]) {
        for line in lines {
            assert!(
                page.lines().any(|found| found == line),
                "no line {line:?} in\n{page}"
            );
        }
    }

    #[track_caller]
    fn until(mut is_so: impl FnMut() -> bool) {
        let clock = Clock::system();
        let start = clock.now();
        while !is_so() {
            assert!(
                clock.now() - start < LONG,
                "it is not so even after a long time"
            );
            thread::yield_now();
        }
    }

    fn gauge(name: &'static str, value: f64) -> Box<dyn Collector> {
        Box::new(collector_fn(name, move |samples: &mut Samples| {
            samples.gauge(name, "A gauge.").value(value);
        }))
    }

    /// Gives the number of the run, and at certain runs waits until it is let go.
    struct Gated {
        calls: Arc<AtomicU64>,
        entered: mpsc::Receiver<u64>,
        /// Dropping it lets all go.
        gate: mpsc::Sender<()>,
    }

    impl Gated {
        fn new(hangs: fn(u64) -> bool) -> (Self, CollectorFn<impl Fn(&mut Samples) + Send + Sync>) {
            let calls = Arc::new(AtomicU64::new(0));
            let (enter, entered) = mpsc::channel();
            let (gate, closed) = mpsc::channel();
            let this = Self {
                calls: Arc::clone(&calls),
                entered,
                gate,
            };
            let (enter, closed) = (Mutex::new(enter), Mutex::new(closed));
            let collect = move |samples: &mut Samples| {
                let call = calls.fetch_add(1, Ordering::Relaxed) + 1;
                if hangs(call) {
                    enter.lock().unwrap().send(call).unwrap();
                    assert!(
                        closed.lock().unwrap().recv_timeout(LONG)
                            != Err(mpsc::RecvTimeoutError::Timeout)
                    );
                }
                let call = u32::try_from(call).unwrap();
                samples.gauge("gated", "Runs.").value(call);
            };
            (this, collector_fn("gated", collect).blocking().budget(LONG))
        }

        fn calls(&self) -> u64 {
            self.calls.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn all_collectors_are_on_one_page_by_name() {
        let blocking = collector_fn("b", |samples: &mut Samples| {
            samples
                .counter("b_seconds_total", "Time.")
                .unit("seconds")
                .value(0.25);
        });
        let blocking = blocking.blocking().budget(LONG);
        let collectors = collectors(
            &ManualClock::new(),
            [gauge("c", 3.0), Box::new(blocking), gauge("a", 1.0)],
        );
        let collected = collectors.collect();
        let names: Vec<_> = collected
            .families()
            .iter()
            .map(CollectedFamily::name)
            .collect();
        assert!(names.is_sorted(), "{names:?}");
        assert!(names.iter().all(|name| collected.has_family(name)));
        assert!(!collected.has_family("b"));
        let page = page(&collectors);
        assert_lines(
            &page,
            [
                "a 1",
                "b_seconds_total 0.25",
                "# TYPE b_seconds_total counter",
                "c 3",
            ],
        );
        for collector in ["a", "b", "c"] {
            assert_lines(
                &page,
                [
                    &format!("exporter_collector_duration_seconds{{collector=\"{collector}\"}} 0"),
                    &format!("exporter_collector_stale_seconds{{collector=\"{collector}\"}} 0"),
                ],
            );
            for reason in [
                "panic",
                "timeout",
                "error",
                "duplicate",
                "duplicate_label",
                "kind",
                "value",
            ] {
                let labels = format!("collector=\"{collector}\",reason=\"{reason}\"");
                assert_lines(
                    &page,
                    [&format!("exporter_collector_errors_total{{{labels}}} 0")],
                );
            }
        }
    }

    #[test]
    fn there_is_nothing_to_say_of_no_collectors() {
        assert_eq!(page(&collectors(&ManualClock::new(), [])), "");
    }

    #[test]
    fn a_panic_leaves_the_last_good_values_and_all_others() {
        for is_blocking in [false, true] {
            let calls = AtomicU64::new(0);
            let panics = collector_fn("panics", move |samples: &mut Samples| {
                let call = calls.fetch_add(1, Ordering::Relaxed);
                samples.gauge("half", "Given before the panic.").value(1.0);
                assert!(call % 2 == 0, "an odd run");
                samples
                    .gauge("even", "Runs.")
                    .value(u32::try_from(call).unwrap());
            });
            let panics = if is_blocking {
                panics.blocking().budget(LONG)
            } else {
                panics
            };
            let clock = ManualClock::new();
            let collectors = collectors(&clock, [Box::new(panics), gauge("other", 5.0)]);

            assert_lines(&page(&collectors), ["even 0", "half 1", "other 5"]);
            clock.advance(Duration::from_secs(7));
            assert_lines(
                &page(&collectors),
                [
                    "even 0",
                    "half 1",
                    "other 5",
                    "exporter_collector_stale_seconds{collector=\"panics\"} 7",
                    "exporter_collector_stale_seconds{collector=\"other\"} 0",
                    "exporter_collector_errors_total{collector=\"panics\",reason=\"panic\"} 1",
                ],
            );
            assert_lines(
                &page(&collectors),
                [
                    "even 2",
                    "exporter_collector_stale_seconds{collector=\"panics\"} 0",
                ],
            );
        }
    }

    #[test]
    fn one_that_was_never_good_is_as_stale_as_the_exporter_is_old() {
        let panics = collector_fn("panics", |_: &mut Samples| panic!("always"));
        let clock = ManualClock::new();
        let collectors = collectors(&clock, [Box::new(panics)]);
        clock.advance(Duration::from_secs(9));
        let page = page(&collectors);
        assert_lines(
            &page,
            ["exporter_collector_stale_seconds{collector=\"panics\"} 9"],
        );
    }

    #[test]
    fn one_that_hangs_is_not_started_twice_and_its_last_good_values_are_shown() {
        let clock = ManualClock::new();
        let (gated, collector) = Gated::new(|call| call == 2);
        let collectors = collectors(&clock, [Box::new(collector), gauge("other", 5.0)]);
        assert_lines(&page(&collectors), ["gated 1"]);

        let slot = &collectors.slots[0];
        let run = slot.begin();
        assert_eq!(gated.entered.recv_timeout(LONG), Ok(2));
        // Its budget is used up: who comes now does not wait.
        clock.advance(LONG);
        for timeouts in 1..=3 {
            let errors = format!(
                "exporter_collector_errors_total{{collector=\"gated\",reason=\"timeout\"}} {timeouts}"
            );
            assert_lines(
                &page(&collectors),
                [
                    "gated 1",
                    "other 5",
                    "exporter_collector_stale_seconds{collector=\"gated\"} 60",
                    "exporter_collector_duration_seconds{collector=\"gated\"} 60",
                    "exporter_collector_stale_seconds{collector=\"other\"} 0",
                    &errors,
                ],
            );
        }
        assert_eq!(gated.calls(), 2);

        gated.gate.send(()).unwrap();
        until(|| slot.wait(run).unwrap().run == run);
        assert_eq!(gated.calls(), 2);
        assert_lines(
            &page(&collectors),
            [
                "gated 3",
                "exporter_collector_stale_seconds{collector=\"gated\"} 0",
            ],
        );
    }

    #[test]
    fn what_comes_too_late_for_a_page_is_kept_for_the_next() {
        let (gated, collector) = Gated::new(|call| call == 1);
        let collectors = collectors(
            &ManualClock::new(),
            [Box::new(collector.budget(Duration::ZERO))],
        );
        assert!(!page(&collectors).contains("\ngated "));
        assert_eq!(gated.entered.recv_timeout(LONG), Ok(1));
        assert!(!page(&collectors).contains("\ngated "));
        gated.gate.send(()).unwrap();
        // Without a budget nobody ever waits for it.
        until(|| page(&collectors).contains("\ngated "));
    }

    #[test]
    fn two_scrapes_at_once_share_a_run() {
        let (gated, collector) = Gated::new(|call| call == 1);
        let collectors = collectors(&ManualClock::new(), [Box::new(collector)]);
        thread::scope(|scope| {
            let one = scope.spawn(|| page(&collectors));
            assert_eq!(gated.entered.recv_timeout(LONG), Ok(1));
            let slot = &collectors.slots[0];
            let run = slot.begin();
            let two = scope.spawn(move || slot.wait(run).unwrap().run);
            gated.gate.send(()).unwrap();
            assert_lines(&one.join().unwrap(), ["gated 1"]);
            assert_eq!(two.join().unwrap(), 1);
        });
        assert_eq!(gated.calls(), 1);
    }

    #[test]
    fn stopping_names_those_that_are_stuck_and_starts_none() {
        let clock = ManualClock::new();
        let (stuck, stuck_collector) = Gated::new(|call| call == 2);
        let (idle, idle_collector) = Gated::new(|_| false);
        let collectors = collectors(
            &clock,
            [Box::new(stuck_collector), Box::new(idle_collector)],
        );
        page(&collectors);
        thread::scope(|scope| {
            scope.spawn(|| page(&collectors));
            assert_eq!(stuck.entered.recv_timeout(LONG), Ok(2));
            until(|| idle.calls() == 2 && !collectors.slots[1].state().is_running);
            assert_eq!(collectors.stop(), ["gated"]);
            stuck.gate.send(()).unwrap();
        });
        until(|| collectors.stop().is_empty());
        clock.advance(Duration::from_secs(4));
        let page = page(&collectors);
        assert_lines(
            &page,
            [
                "gated 2",
                "exporter_collector_stale_seconds{collector=\"gated\"} 4",
                "exporter_collector_stale_seconds{collector=\"gated_2\"} 4",
            ],
        );
        assert_eq!((stuck.calls(), idle.calls()), (2, 2));
    }

    #[test]
    fn threads_end_with_the_collectors() {
        let held = Arc::new(());
        let weak: Weak<()> = Arc::downgrade(&held);
        let collector = collector_fn("holds", move |samples: &mut Samples| {
            samples
                .gauge("held", "")
                .value(if Arc::strong_count(&held) > 0 {
                    1.0
                } else {
                    0.0
                });
        });
        let collectors = collectors(
            &ManualClock::new(),
            [Box::new(collector.blocking().budget(LONG))],
        );
        page(&collectors);
        drop(collectors);
        until(|| weak.strong_count() == 0);
    }

    #[test]
    fn each_that_blocks_has_one_thread_that_bears_its_name() {
        let threads = Arc::new(Mutex::new(Vec::new()));
        let collector = |name: &str| -> Box<dyn Collector> {
            let threads = Arc::clone(&threads);
            let collect = move |_: &mut Samples| {
                let thread = thread::current();
                threads
                    .lock()
                    .unwrap()
                    .push((thread.name().unwrap().to_owned(), thread.id()));
            };
            Box::new(collector_fn(name, collect).blocking().budget(LONG))
        };
        let collectors = collectors(
            &ManualClock::new(),
            [collector("db"), collector("db"), collector("\0")],
        );
        page(&collectors);
        page(&collectors);
        let mut threads = threads.lock().unwrap().clone();
        threads.sort_by(|one, other| one.0.cmp(&other.0));
        threads.dedup();
        let names: Vec<_> = threads.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["collect-_", "collect-db", "collect-db_2"]);
    }

    #[test]
    fn what_cannot_be_shown_is_counted_and_the_rest_is_shown() {
        let collector = collector_fn("bad", |samples: &mut Samples| {
            samples
                .gauge("a.b", "First.")
                .sample([("x.y", "1"), ("x-y", "2")], 1.0);
            samples
                .gauge("a-b", "Second.")
                .sample([("x_y", "1")], 2.0)
                .sample([("x_y", "3")], 3.0);
            samples.counter("a_b", "A counter.").value(1.0);
            samples
                .counter("c_total", "")
                .sample([("at", "0")], -1.0)
                .sample([("at", "1")], f64::NAN)
                .sample([("at", "2")], 0.0);
            samples.gauge("nothing", "Without samples.").unit("seconds");
            samples.error("a file is not there");
        });
        let page = page(&collectors(&ManualClock::new(), [Box::new(collector)]));
        assert_lines(
            &page,
            [
                "# HELP a_b First.",
                "a_b{x_y=\"1\"} 1",
                "a_b{x_y=\"3\"} 3",
                "c_total{at=\"2\"} 0",
            ],
        );
        assert!(
            !page.contains("nothing") && !page.contains("at=\"1\""),
            "{page}"
        );
        for (reason, count) in [
            ("panic", 0),
            ("timeout", 0),
            ("error", 1),
            ("duplicate", 1),
            ("duplicate_label", 1),
            ("kind", 1),
            ("value", 2),
        ] {
            let labels = format!("collector=\"bad\",reason=\"{reason}\"");
            assert_lines(
                &page,
                [&format!(
                    "exporter_collector_errors_total{{{labels}}} {count}"
                )],
            );
        }
    }

    #[test]
    fn two_collectors_can_give_series_of_one_family() {
        let queue = |name: &'static str, queue: &'static str, value: f64| -> Box<dyn Collector> {
            Box::new(collector_fn(name, move |samples: &mut Samples| {
                samples
                    .gauge("queue_jobs", "Jobs.")
                    .sample([("queue", queue)], value);
            }))
        };
        let counter = collector_fn("counter", |samples: &mut Samples| {
            samples.counter("queue_jobs", "Jobs.").value(1.0);
            samples
                .gauge("exporter_collector_stale_seconds", "Mine.")
                .value(1.0);
        });
        let page = page(&collectors(
            &ManualClock::new(),
            [
                queue("one", "a", 1.0),
                queue("two", "b", 2.0),
                queue("three", "b", 3.0),
                Box::new(counter),
            ],
        ));
        assert_lines(
            &page,
            [
                "queue_jobs{queue=\"a\"} 1",
                "queue_jobs{queue=\"b\"} 2",
                "exporter_collector_errors_total{collector=\"three\",reason=\"duplicate\"} 1",
                "exporter_collector_errors_total{collector=\"counter\",reason=\"kind\"} 1",
                "exporter_collector_errors_total{collector=\"one\",reason=\"duplicate\"} 0",
            ],
        );
        assert_eq!(page.matches("# TYPE queue_jobs ").count(), 1, "{page}");
        assert!(!page.contains("Mine."), "{page}");
    }

    #[test]
    fn common_labels_are_on_every_series_that_has_no_such_label() {
        let collector = collector_fn("c", |samples: &mut Samples| {
            samples
                .gauge("g", "")
                .value(1.0)
                .sample([("region", "own")], 2.0);
        });
        let collectors = Collectors::new(
            [Box::new(collector) as Box<dyn Collector>],
            [("region".to_owned(), "eu".to_owned())],
            Clock::system(),
        );
        let page = page(&collectors);
        assert_lines(&page, ["g{region=\"eu\"} 1", "g{region=\"own\"} 2"]);
        assert!(page.contains("exporter_collector_stale_seconds{collector=\"c\",region=\"eu\"} 0"));
    }
}
