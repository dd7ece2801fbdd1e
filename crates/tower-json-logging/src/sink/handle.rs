use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle, ThreadId},
    time::Duration,
};

use tower_observe::{Clock, Moment};
use tracing_core::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::{
    builder::OnClose,
    counts::DropReason,
    record,
    shared::{Offered, Shared, Waited},
    stats::{SinkReport, SinkStats, slot},
};
use crate::names;

/// Whether a line may use the part of the queue that is reserved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Importance {
    /// It may not.
    #[default]
    Normal,
    /// It may: a warning, an error, the line of a request, an audit line.
    Important,
}

impl Importance {
    /// Important are warnings, errors, and events with the target of the request's line,
    /// [`names::TARGET`].
    pub fn of(metadata: &Metadata<'_>) -> Self {
        if *metadata.level() <= Level::WARN || metadata.target() == names::TARGET {
            Self::Important
        } else {
            Self::Normal
        }
    }
}

/// Writes lines on a thread of its own, so that who logs does not wait for the output.
///
/// Clones are handles of one sink. It is closed by [`close`](Self::close), by the drop of a
/// [guard](Self::guard), or by the drop of its last handle: a subscriber that is the process's default
/// keeps its handle to the end, so a `main` needs one of the others.
///
/// See [the module's documentation](crate#the-sink) for what it promises.
#[derive(Clone)]
pub struct Sink {
    owner: Arc<Owner>,
}

impl Sink {
    pub(crate) fn new(owner: Owner) -> Self {
        Self {
            owner: Arc::new(owner),
        }
    }

    /// Gives the sink one line, its newline included, and tells whether it is queued. One that is not is
    /// counted as lost.
    ///
    /// Neither allocates nor waits for the output, unless the sink is built to
    /// [block](crate::Overflow::Block).
    pub fn offer(&self, line: &[u8], level: Level, importance: Importance) -> bool {
        let level = slot(level);
        let important = importance == Importance::Important;
        let offered = self.owner.shared.offer(line, level, important, |time| {
            // The sink's own thread would wait for itself.
            let now = Clock::system().now();
            if self.owner.is_own_thread() {
                Some(now)
            } else {
                now.checked_add(time)
            }
        });
        match offered {
            Offered::Queued => true,
            Offered::QueuedFor(lost) => {
                record::lost(DropReason::QueueFull, &lost);
                true
            }
            Offered::Lost(reason) => {
                record::lost_one(reason, level);
                false
            }
        }
    }

    /// Waits until every line that was offered before is written or lost and the output flushed, until
    /// the output fails, or until `timeout` is over.
    ///
    /// It blocks the thread; in an asynchronous service call it where blocking is allowed.
    pub fn flush(&self, timeout: Duration) -> SinkReport {
        let waited = if self.owner.is_own_thread() {
            Waited::TimedOut
        } else {
            self.owner.shared.flush(deadline(timeout))
        };
        SinkReport::new(&self.stats(), waited)
    }

    /// Opens the output again and waits for it until `timeout` is over: after a file was renamed, as
    /// logrotate's `create` does, on the signal that it sends.
    ///
    /// Lines that were written before are in the old output, those offered from now on in the new.
    ///
    /// # Errors
    ///
    /// - what opening failed with: the sink goes on with the output it has
    /// - [`Unsupported`](io::ErrorKind::Unsupported) if the sink was given a writer
    /// - [`TimedOut`](io::ErrorKind::TimedOut) if the output kept the thread: it is opened again as soon as
    ///   that is over. Or the sink is closed.
    pub fn reopen(&self, timeout: Duration) -> io::Result<()> {
        match self.owner.shared.reopen(deadline(timeout)) {
            Waited::Done => Ok(()),
            Waited::TimedOut => Err(io::ErrorKind::TimedOut.into()),
            Waited::Failed(failure) => Err(io::Error::new(failure.kind, failure.text)),
        }
    }

    /// Takes no more lines, and waits until those that are queued are written, but no longer than
    /// `timeout`: what is left then is lost, and counted so. An output that fails is not tried again.
    ///
    /// Lines that are offered later are lost.
    pub fn close(&self, timeout: Duration) -> SinkReport {
        self.owner.close(timeout)
    }

    /// What became of the lines so far.
    pub fn stats(&self) -> SinkStats {
        SinkStats::new(&self.owner.shared.totals())
    }

    /// How the output failed last, if it ever did.
    pub fn last_error(&self) -> Option<io::Error> {
        let failure = self.owner.shared.last_failure()?;
        Some(io::Error::new(failure.kind, failure.text))
    }

    /// A guard that closes the sink when it is dropped, for the end of `main`.
    pub fn guard(&self) -> SinkGuard {
        SinkGuard { sink: self.clone() }
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// None is so far that nobody waits for it.
fn deadline(timeout: Duration) -> Option<Moment> {
    Clock::system().now().checked_add(timeout)
}

/// Closes its [`Sink`] when it is dropped, as [`Sink::close`] does within the sink's
/// [`close_timeout`](crate::SinkBuilder::close_timeout).
#[derive(Debug)]
#[must_use = "the sink is closed when the guard is dropped"]
pub struct SinkGuard {
    sink: Sink,
}

impl Drop for SinkGuard {
    fn drop(&mut self) {
        let owner = &self.sink.owner;
        drop(owner.close(owner.close_timeout));
    }
}

/// What all handles own together: the thread ends with it.
pub(crate) struct Owner {
    shared: Arc<Shared>,
    thread_id: ThreadId,
    close_timeout: Duration,
    end: Mutex<End>,
}

/// What closing needs once.
struct End {
    thread: Option<JoinHandle<()>>,
    on_close: Option<OnClose>,
}

impl Owner {
    pub(crate) fn new(
        shared: Arc<Shared>,
        thread: JoinHandle<()>,
        close_timeout: Duration,
        on_close: Option<OnClose>,
    ) -> Self {
        Self {
            shared,
            thread_id: thread.thread().id(),
            close_timeout,
            end: Mutex::new(End {
                thread: Some(thread),
                on_close,
            }),
        }
    }

    fn is_own_thread(&self) -> bool {
        thread::current().id() == self.thread_id
    }

    fn close(&self, timeout: Duration) -> SinkReport {
        let own_thread = self.is_own_thread();
        // The sink's own thread cannot wait for itself: it goes once it is back in its loop.
        let deadline = if own_thread {
            deadline(Duration::ZERO)
        } else {
            deadline(timeout)
        };
        let (waited, lost) = self.shared.close(deadline);
        record::lost(DropReason::Shutdown, &lost);
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let thread = end.thread.take();
        let on_close = end.on_close.take();
        drop(end);
        // A thread that the output keeps is left to it.
        if let Some(thread) = thread.filter(|_| waited != Waited::TimedOut && !own_thread) {
            // It does not panic.
            drop(thread.join());
        }
        let report = SinkReport::new(&SinkStats::new(&self.shared.totals()), waited);
        if let Some(on_close) = on_close {
            on_close(&report);
        }
        report
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let closed = self.end.get_mut().is_ok_and(|end| end.thread.is_none());
        if !closed {
            drop(self.close(self.close_timeout));
        }
    }
}

/// For another formatter, if it writes each line whole, with one call. [`JsonLayer`](crate::JsonLayer) is
/// given the sink by [`to`](crate::JsonLayer::to): a writer's lines it would count itself, too.
impl<'a> MakeWriter<'a> for Sink {
    type Writer = SinkWriter<'a>;

    /// A writer of `INFO` lines.
    fn make_writer(&'a self) -> Self::Writer {
        SinkWriter {
            sink: self,
            level: Level::INFO,
            importance: Importance::Normal,
        }
    }

    /// A writer of lines with the event's level, and [its importance](Importance::of).
    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        SinkWriter {
            sink: self,
            level: *metadata.level(),
            importance: Importance::of(metadata),
        }
    }
}

/// Gives each write to its [`Sink`] as one line. It never fails: what is lost is counted.
#[derive(Debug)]
pub struct SinkWriter<'a> {
    sink: &'a Sink,
    level: Level,
    importance: Importance,
}

impl io::Write for SinkWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.sink.offer(line, self.level, self.importance);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
