//! What those who log and the worker share: the queue under its lock, and who waits for whom.

use std::{mem, sync::PoisonError, time::Duration};

use tower_observe::Moment;

use super::{
    counts::{Counts, DropReason, Slot},
    queue::{Chunk, NoRoom, Queue, Size, Totals},
    sync::{Condvar, Mutex, MutexGuard, nap, wait_until},
};

/// What happens to a line that finds no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    LoseLine,
    LoseOldest,
    /// Its caller waits this long, then it is lost.
    Wait(Duration),
}

/// How the worker waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Between two batches, so that the later has more lines.
    pub(crate) linger: Duration,
    /// How many lingers without a line before it sleeps until it is woken.
    pub(crate) idle_lingers: u32,
}

/// What became of a line, and of others for its sake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    Queued,
    /// It is queued, and these are lost.
    QueuedFor(Counts),
    Lost(DropReason),
}

/// Why a line is not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Closed,
    NoRoom(NoRoom),
}

impl Refused {
    const FULL: Self = Self::NoRoom(NoRoom::Full);
}

/// What the worker is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Write what is now in its chunk.
    Write,
    /// Open the output again; this is the number of the request.
    Reopen(u64),
    /// Nothing any more.
    Exit,
}

/// What the worker is to do about an output that does not take lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// The same again.
    Retry,
    /// Open it again, then what is left of the batch; this is the number of the request.
    Reopen(u64),
    /// Nothing: everything is counted as lost.
    GiveUp,
}

/// How the output failed last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: std::io::ErrorKind,
    pub(crate) text: String,
}

/// How a wait for the worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Done,
    TimedOut,
    Failed(Failure),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worker {
    Busy,
    /// Looks again by itself, or when the queue fills.
    Lingering,
    /// Tries again by itself: lines make no difference.
    Pausing,
    /// Looks again when it is woken.
    Asleep,
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Life {
    Open,
    /// No more lines are taken.
    Closed,
    /// What was left is counted as lost; the worker has only to go.
    GivenUp,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    worker: Worker,
    /// Threads that wait for the worker.
    waiting: usize,
    /// Somebody waits: no lingering, and no pause before the next attempt.
    hurry: bool,
    life: Life,
    /// The last attempt to write failed.
    failing: bool,
    failures: u64,
    last_failure: Option<Failure>,
    reopens_asked: u64,
    reopens_done: u64,
    reopen_failure: Option<Failure>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// The worker waits for lines.
    work: Condvar,
    /// Others wait for the worker.
    progress: Condvar,
    full: Full,
    pace: Pace,
}

impl Shared {
    /// The shared part, and the worker's chunk.
    pub(crate) fn new(size: Size, full: Full, pace: Pace) -> (Self, Chunk) {
        let (queue, chunk) = Queue::new(size);
        let state = State {
            queue,
            worker: Worker::Busy,
            waiting: 0,
            hurry: false,
            life: Life::Open,
            failing: false,
            failures: 0,
            last_failure: None,
            reopens_asked: 0,
            reopens_done: 0,
            reopen_failure: None,
        };
        let shared = Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            progress: Condvar::new(),
            full,
            pace,
        };
        (shared, chunk)
    }

    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a line, or counts it as lost. `deadline` is asked only if the caller is to wait for room.
    #[inline]
    pub(crate) fn offer(
        &self,
        line: &[u8],
        level: Slot,
        important: bool,
        deadline: impl FnOnce(Duration) -> Option<Moment>,
    ) -> Offered {
        let mut state = self.lock();
        match state.offer(line, level, important) {
            Ok(()) => {
                self.unlock(state);
                Offered::Queued
            }
            Err(refused) => {
                let again = |state: &mut State| state.offer(line, level, important);
                self.offer_again(state, refused, level, again, deadline)
            }
        }
    }

    /// Does what is to be done about a line that was refused, in which `again` offers it once more.
    #[cold]
    #[inline(never)]
    fn offer_again<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        refused: Refused,
        level: Slot,
        again: impl Fn(&mut State) -> Result<(), Refused>,
        deadline: impl FnOnce(Duration) -> Option<Moment>,
    ) -> Offered {
        let mut taken = Err(refused);
        let mut lost = None;
        if refused == Refused::FULL {
            match self.full {
                Full::LoseLine => {}
                Full::LoseOldest => {
                    lost = state.queue.lose_oldest(DropReason::QueueFull);
                    if lost.is_some() {
                        taken = again(&mut state);
                    }
                }
                Full::Wait(time) => {
                    let deadline = deadline(time);
                    let mut in_time = true;
                    // An output that fails is not waited for.
                    while in_time && !state.failing && taken == Err(Refused::FULL) {
                        (state, in_time) = self.wait(state, deadline);
                        taken = again(&mut state);
                    }
                }
            }
        }
        let offered = match taken {
            Ok(()) => lost.map_or(Offered::Queued, Offered::QueuedFor),
            Err(refused) => {
                let reason = match refused {
                    Refused::Closed => DropReason::Shutdown,
                    Refused::NoRoom(NoRoom::Oversize) => DropReason::Oversize,
                    Refused::NoRoom(NoRoom::Full) if state.failing => DropReason::IoError,
                    Refused::NoRoom(NoRoom::Full) => DropReason::QueueFull,
                };
                state.queue.lose(level, reason);
                Offered::Lost(reason)
            }
        };
        self.unlock(state);
        offered
    }

    /// Lets go of the lock, and wakes the worker if it is to look at what is new.
    #[inline]
    fn unlock(&self, mut state: MutexGuard<'_, State>) {
        let wake = match state.worker {
            Worker::Asleep => true,
            Worker::Lingering => state.queue.is_half_full(),
            Worker::Busy | Worker::Pausing | Worker::Gone => false,
        };
        if wake {
            state.worker = Worker::Busy;
        }
        drop(state);
        if wake {
            self.work.notify_one();
        }
    }

    /// Waits until the worker has got on, or until `deadline`. False after the deadline.
    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        deadline: Option<Moment>,
    ) -> (MutexGuard<'a, State>, bool) {
        state.waiting += 1;
        let (mut state, in_time) = wait_until(&self.progress, state, deadline);
        state.waiting -= 1;
        (state, in_time)
    }

    /// Tells the worker that somebody waits for it.
    fn hurry(&self, state: &mut State) {
        state.hurry = true;
        self.work.notify_one();
    }

    /// Tells those who wait that the worker has got on.
    fn progressed(&self, state: &State) {
        if state.waiting > 0 {
            self.progress.notify_all();
        }
    }

    /// Waits until all lines that were offered before are written or lost, until the output fails once
    /// more, or until `deadline`.
    pub(crate) fn flush(&self, deadline: Option<Moment>) -> Waited {
        let mut state = self.lock();
        let end = state.queue.end();
        let failures = state.failures;
        let mut in_time = true;
        loop {
            if state.queue.oldest() >= end || state.worker == Worker::Gone {
                return Waited::Done;
            }
            let failure = state.last_failure.as_ref();
            if let Some(failure) = failure.filter(|_| state.failures != failures) {
                return Waited::Failed(failure.clone());
            }
            if !in_time {
                return Waited::TimedOut;
            }
            self.hurry(&mut state);
            (state, in_time) = self.wait(state, deadline);
        }
    }

    /// Takes no more lines, and waits until the worker is gone. What is not written at `deadline` is
    /// counted as lost.
    ///
    /// The lines given up here are in the result; the worker counts those that it gives up.
    pub(crate) fn close(&self, deadline: Option<Moment>) -> (Waited, Counts) {
        let mut state = self.lock();
        state.life = state.life.max(Life::Closed);
        let failures = state.failures;
        let mut in_time = state.life != Life::GivenUp;
        while state.worker != Worker::Gone {
            if !in_time {
                let lost = state.give_up(DropReason::Shutdown);
                self.hurry(&mut state);
                self.progressed(&state);
                return (Waited::TimedOut, lost);
            }
            self.hurry(&mut state);
            (state, in_time) = self.wait(state, deadline);
        }
        let waited = match &state.last_failure {
            Some(failure) if state.failures != failures => Waited::Failed(failure.clone()),
            _ => Waited::Done,
        };
        (waited, Counts::default())
    }

    /// Asks for the output to be opened again, and waits for it.
    pub(crate) fn reopen(&self, deadline: Option<Moment>) -> Waited {
        let mut state = self.lock();
        state.reopens_asked += 1;
        let mine = state.reopens_asked;
        let mut in_time = true;
        while state.reopens_done < mine {
            if !in_time || state.worker == Worker::Gone {
                return Waited::TimedOut;
            }
            self.hurry(&mut state);
            (state, in_time) = self.wait(state, deadline);
        }
        state
            .reopen_failure
            .clone()
            .map_or(Waited::Done, Waited::Failed)
    }

    pub(crate) fn totals(&self) -> Totals {
        self.lock().queue.totals()
    }

    pub(crate) fn last_failure(&self) -> Option<Failure> {
        self.lock().last_failure.clone()
    }

    /// The worker asks what to do, with its chunk empty, and waits until there is something.
    pub(crate) fn next(&self, chunk: &mut Chunk) -> Task {
        let mut state = self.lock();
        state.queue.settle();
        self.progressed(&state);
        // What came since the last batch is too little for the next.
        let mut lingered = self.pace.linger.is_zero();
        let mut idle = 0;
        let task = loop {
            if state.life == Life::GivenUp {
                break Task::Exit;
            }
            if state.reopens_done < state.reopens_asked {
                break Task::Reopen(state.reopens_asked);
            }
            if (lingered || state.hurry || state.life != Life::Open || state.queue.has_full_chunk())
                && state.queue.take(chunk)
            {
                break Task::Write;
            }
            if !state.queue.has_lines() {
                state.hurry = false;
                if state.life != Life::Open {
                    break Task::Exit;
                }
            }
            if lingered && idle >= self.pace.idle_lingers {
                state.worker = Worker::Asleep;
                (state, _) = wait_until(&self.work, state, None);
            } else {
                state.worker = Worker::Lingering;
                state = nap(&self.state, &self.work, state, self.pace.linger);
                idle += 1;
            }
            lingered = true;
            state.worker = Worker::Busy;
        };
        self.progressed(&state);
        task
    }

    /// The worker has written lines of its chunk. False if they were given up before, with the rest.
    pub(crate) fn wrote(&self, lines: &Counts, bytes: usize) -> bool {
        let mut state = self.lock();
        state.queue.wrote(lines, bytes);
        state.failing = false;
        state.life != Life::GivenUp
    }

    /// The output would not take bytes now: waits for `pause`.
    pub(crate) fn pause(&self, pause: Duration) -> Again {
        let mut state = self.lock();
        if state.life == Life::GivenUp {
            return Again::GiveUp;
        }
        state.worker = Worker::Pausing;
        // Nobody's hurry makes it take them.
        state = nap(&self.state, &self.work, state, pause);
        state.worker = Worker::Busy;
        state.again()
    }

    /// The output failed: waits for `pause`, or until somebody waits for it.
    pub(crate) fn failed(&self, failure: Failure, pause: Duration) -> Again {
        let mut state = self.lock();
        state.failing = true;
        state.failures += 1;
        state.last_failure = Some(failure);
        state.hurry = false;
        self.progressed(&state);
        if state.life != Life::Open {
            return Again::GiveUp;
        }
        state.worker = Worker::Pausing;
        if state.reopens_done == state.reopens_asked {
            state = nap(&self.state, &self.work, state, pause);
        }
        state.worker = Worker::Busy;
        state.again()
    }

    /// The worker has opened the output again, or not, for the requests up to this number.
    pub(crate) fn reopened(&self, request: u64, failure: Option<Failure>) {
        let mut state = self.lock();
        state.reopens_done = request;
        state.reopen_failure = failure;
        self.progressed(&state);
    }

    /// The worker gives up what is left, and tells how much that is.
    pub(crate) fn give_up(&self) -> Counts {
        let mut state = self.lock();
        state.give_up(DropReason::IoError)
    }

    /// The worker is gone.
    pub(crate) fn gone(&self) {
        let mut state = self.lock();
        state.worker = Worker::Gone;
        state.life = state.life.max(Life::Closed);
        self.progressed(&state);
    }
}

impl State {
    fn offer(&mut self, line: &[u8], level: Slot, important: bool) -> Result<(), Refused> {
        if self.life != Life::Open {
            return Err(Refused::Closed);
        }
        self.queue
            .push(line, level, important)
            .map_err(Refused::NoRoom)
    }

    fn again(&self) -> Again {
        if self.life == Life::GivenUp {
            Again::GiveUp
        } else if self.reopens_done < self.reopens_asked {
            Again::Reopen(self.reopens_asked)
        } else {
            Again::Retry
        }
    }

    fn give_up(&mut self, reason: DropReason) -> Counts {
        if mem::replace(&mut self.life, Life::GivenUp) == Life::GivenUp {
            return Counts::default();
        }
        self.queue.lose_all(reason)
    }
}
