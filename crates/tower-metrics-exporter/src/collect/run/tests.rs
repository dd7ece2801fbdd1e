use std::{
    sync::{
        Mutex, Weak,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use tower_observe::ManualClock;

use super::*;
use crate::{
    Matcher,
    collect::{CollectedFamily, CollectorFn, collector_fn},
    format::{Encode as _, Text},
};

/// More than any test takes.
const LONG: Duration = Duration::from_secs(60);

fn collectors<const N: usize>(
    clock: &ManualClock,
    collectors: [Box<dyn Collector>; N],
) -> Collectors {
    Collectors::new(collectors, SampleRules::default(), clock.clock())
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
            "label_too_long",
            "limit",
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
        until(|| idle.calls() == 2 && !collectors.slots[1].is_running());
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
        SampleRules {
            common_labels: vec![("region".to_owned(), "eu".to_owned())],
            ..SampleRules::default()
        },
        Clock::system(),
    );
    let page = page(&collectors);
    assert_lines(&page, ["g{region=\"eu\"} 1", "g{region=\"own\"} 2"]);
    assert!(page.contains("exporter_collector_stale_seconds{collector=\"c\",region=\"eu\"} 0"));
}

#[test]
fn a_family_has_no_more_series_than_its_limit() {
    let collector = collector_fn("c", |samples: &mut Samples| {
        for value in 0..20_000 {
            let value = value.to_string();
            let labels = [("v", &*value)];
            samples.gauge("many", "").sample(labels, 1.0);
            samples.gauge("few", "").sample(labels, 1.0);
        }
    });
    let mut rules = SampleRules::default();
    rules.limits.push(Matcher::Any, 10_000);
    rules.limits.push(Matcher::prefix("exporter_"), 0);
    rules.limits.push(Matcher::full("few"), 3);
    let collector: Box<dyn Collector> = Box::new(collector);
    let page = page(&Collectors::new([collector], rules, Clock::system()));
    assert_eq!(page.matches("\nmany{").count(), 10_000);
    assert_eq!(page.matches("\nfew{").count(), 3);
    let errors = "exporter_collector_errors_total{collector=\"c\",reason=\"limit\"} 29997";
    assert_lines(&page, ["few{v=\"0\"} 1", "few{v=\"2\"} 1", errors]);
}
