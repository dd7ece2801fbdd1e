//! The sink of tower-json-logging: those who log, its thread, and who waits for it.

#[allow(dead_code, reason = "here is used what threads share")]
#[path = "../../../../crates/tower-json-logging/src/sink/counts.rs"]
mod counts;
#[allow(dead_code, reason = "here is used what threads share")]
#[path = "../../../../crates/tower-json-logging/src/sink/queue.rs"]
mod queue;
#[allow(dead_code, reason = "here is used what threads share")]
#[path = "../../../../crates/tower-json-logging/src/sink/shared.rs"]
mod shared;

mod sync {
    use std::time::Duration;

    use tower_observe::Moment;

    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    use loom::thread;

    /// Without a deadline: only a notification ends it. With one: it is over.
    pub(crate) fn wait_until<'a, T>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        deadline: Option<Moment>,
    ) -> (MutexGuard<'a, T>, bool) {
        match deadline {
            None => (condvar.wait(guard).unwrap(), true),
            Some(_) => (guard, false),
        }
    }

    /// Is over at once: others may run in between.
    pub(crate) fn nap<'a, T>(
        mutex: &'a Mutex<T>,
        _: &Condvar,
        guard: MutexGuard<'a, T>,
        _: Duration,
    ) -> MutexGuard<'a, T> {
        drop(guard);
        thread::yield_now();
        mutex.lock().unwrap()
    }
}

use std::{io::ErrorKind, time::Duration};

use loom::{
    model::Builder,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};
use tower_observe::Clock;

use self::{
    counts::{Counts, DropReason, Slot},
    queue::{Chunk, Size},
    shared::{Again, Failure, Full, Offered, Pace, Shared, Task, Waited},
};

const LEVEL: Slot = Slot::new(2);

/// Every line fills a chunk.
fn sink(chunks: usize, full: Full) -> (Arc<Shared>, Chunk) {
    let size = Size {
        chunks,
        chunk_bytes: 1,
        reserved: 0,
    };
    let pace = Pace {
        linger: Duration::ZERO,
        idle_lingers: 0,
    };
    let (shared, chunk) = Shared::new(size, full, pace);
    (Arc::new(shared), chunk)
}

fn offer(shared: &Shared) -> Offered {
    shared.offer(b"x", LEVEL, false, |_| None)
}

/// The thread that writes; this many attempts fail.
fn work(shared: &Shared, mut chunk: Chunk, mut failing: usize, opened: &AtomicU64) {
    let reopen = |request| {
        opened.fetch_add(1, Ordering::SeqCst);
        shared.reopened(request, None);
    };
    loop {
        match shared.next(&mut chunk) {
            Task::Write => {
                while failing > 0 {
                    failing -= 1;
                    let failure = Failure {
                        kind: ErrorKind::BrokenPipe,
                        text: String::new(),
                    };
                    match shared.failed(failure, Duration::ZERO) {
                        Again::Retry => {}
                        Again::Reopen(request) => reopen(request),
                        Again::GiveUp => {
                            shared.give_up();
                            shared.gone();
                            return;
                        }
                    }
                }
                let mut lines = Counts::default();
                for end in chunk.ends() {
                    lines.one(end.level());
                }
                let bytes = chunk.bytes().len();
                if !shared.wrote(&lines, bytes) {
                    break;
                }
                chunk.clear();
            }
            Task::Reopen(request) => reopen(request),
            Task::Exit => break,
        }
    }
    shared.give_up();
    shared.gone();
}

fn law(shared: &Shared) {
    let totals = shared.totals();
    let sum = totals.written.total() + totals.lost.total() + totals.queued.total();
    assert_eq!(totals.offered.total(), sum);
}

/// Every interleaving in which threads are taken off in mid-step twice at most; with three times they take
/// minutes, and found nothing more.
fn model(test: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(test);
}

#[test]
fn lines_of_two_threads_are_written_before_the_end() {
    model(|| {
        let (shared, chunk) = sink(4, Full::LoseLine);
        let [worker, one, two] = [0, 1, 2].map(|_| Arc::clone(&shared));
        let worker = thread::spawn(move || work(&worker, chunk, 0, &AtomicU64::new(0)));
        let one = thread::spawn(move || offer(&one));
        assert_eq!(offer(&two), Offered::Queued);
        law(&shared);
        assert_eq!(one.join().unwrap(), Offered::Queued);
        let (waited, lost) = shared.close(None);
        assert_eq!((waited, lost.total()), (Waited::Done, 0));
        worker.join().unwrap();
        assert_eq!(shared.totals().written.total(), 2);
        law(&shared);
    });
}

#[test]
fn a_flush_sees_what_was_offered_before_it_written() {
    model(|| {
        let (shared, chunk) = sink(4, Full::LoseLine);
        let [worker, other] = [0, 1].map(|_| Arc::clone(&shared));
        let worker = thread::spawn(move || work(&worker, chunk, 0, &AtomicU64::new(0)));
        let other = thread::spawn(move || {
            offer(&other);
            assert_eq!(other.flush(None), Waited::Done);
            assert!(other.totals().written.total() >= 1);
        });
        offer(&shared);
        assert_eq!(shared.flush(None), Waited::Done);
        assert!(shared.totals().written.total() >= 1);
        other.join().unwrap();
        shared.close(None);
        worker.join().unwrap();
    });
}

#[test]
fn who_waits_for_room_gets_it() {
    model(|| {
        let (shared, chunk) = sink(2, Full::Wait(Duration::ZERO));
        let [worker, other] = [0, 1].map(|_| Arc::clone(&shared));
        let worker = thread::spawn(move || work(&worker, chunk, 0, &AtomicU64::new(0)));
        let other = thread::spawn(move || {
            for _ in 0..2 {
                assert_eq!(offer(&other), Offered::Queued);
            }
        });
        for _ in 0..2 {
            assert_eq!(offer(&shared), Offered::Queued);
        }
        other.join().unwrap();
        shared.close(None);
        worker.join().unwrap();
        assert_eq!(shared.totals().written.total(), 4);
    });
}

#[test]
fn a_line_is_written_or_lost_whatever_overflows() {
    for full in [Full::LoseLine, Full::LoseOldest] {
        model(move || {
            let (shared, chunk) = sink(2, full);
            let [worker, other] = [0, 1].map(|_| Arc::clone(&shared));
            let worker = thread::spawn(move || work(&worker, chunk, 0, &AtomicU64::new(0)));
            let other = thread::spawn(move || {
                offer(&other);
                offer(&other);
            });
            offer(&shared);
            offer(&shared);
            law(&shared);
            other.join().unwrap();
            shared.close(None);
            worker.join().unwrap();
            let totals = shared.totals();
            assert_eq!(totals.offered.total(), 4);
            assert_eq!(totals.queued.total(), 0);
            law(&shared);
        });
    }
}

#[test]
fn what_is_given_up_at_the_deadline_is_counted_once() {
    model(|| {
        let (shared, chunk) = sink(4, Full::LoseLine);
        let worker = Arc::clone(&shared);
        let worker = thread::spawn(move || work(&worker, chunk, 0, &AtomicU64::new(0)));
        offer(&shared);
        offer(&shared);
        // A deadline is always over.
        let over = Some(Clock::system().now());
        let (_, lost) = shared.close(over);
        let given_up = shared.totals().lost.of(DropReason::Shutdown);
        assert_eq!(given_up, lost);
        worker.join().unwrap();
        let totals = shared.totals();
        assert_eq!(totals.written.total() + lost.total(), 2);
        law(&shared);
    });
}

#[test]
fn a_failing_output_ends_a_flush_and_the_sink() {
    model(|| {
        let (shared, chunk) = sink(4, Full::LoseLine);
        let worker = Arc::clone(&shared);
        let worker = thread::spawn(move || work(&worker, chunk, 2, &AtomicU64::new(0)));
        offer(&shared);
        let waited = shared.flush(None);
        if waited == Waited::Done {
            assert_eq!(shared.totals().written.total(), 1);
        }
        law(&shared);
        shared.close(None);
        worker.join().unwrap();
        let totals = shared.totals();
        assert_eq!(totals.written.total() + totals.lost.total(), 1);
    });
}

#[test]
fn a_request_to_reopen_is_answered_by_an_opening_after_it() {
    model(|| {
        let (shared, chunk) = sink(4, Full::LoseLine);
        let [worker, other] = [0, 1].map(|_| Arc::clone(&shared));
        let opened = Arc::new(AtomicU64::new(0));
        let [by_worker, by_other] = [0, 1].map(|_| Arc::clone(&opened));
        let worker = thread::spawn(move || work(&worker, chunk, 1, &by_worker));
        let reopen = |shared: &Shared, opened: &AtomicU64| {
            let before = opened.load(Ordering::SeqCst);
            assert_eq!(shared.reopen(None), Waited::Done);
            assert!(opened.load(Ordering::SeqCst) > before);
        };
        let other = thread::spawn(move || reopen(&other, &by_other));
        offer(&shared);
        reopen(&shared, &opened);
        other.join().unwrap();
        shared.close(None);
        worker.join().unwrap();
    });
}
