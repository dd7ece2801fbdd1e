//! The thread that writes.

use std::{io, time::Duration};

use tower_observe::{Clock, Moment};

use super::{
    announce::Announce,
    counts::{Counts, DropReason},
    output::Output,
    queue::Chunk,
    record,
    shared::{Again, Failure, Shared, Task},
};

/// Between attempts: the pause doubles from the first to the second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pauses {
    pub(crate) blocked: (Duration, Duration),
    pub(crate) failed: (Duration, Duration),
}

impl Pauses {
    pub(crate) const DEFAULT: Self = Self {
        blocked: (Duration::from_millis(1), Duration::from_millis(64)),
        failed: (Duration::from_millis(10), Duration::from_secs(1)),
    };
}

pub(crate) struct Worker<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) output: Output,
    pub(crate) announce: Announce,
    pub(crate) pauses: Pauses,
    pub(crate) clock: Clock,
    /// Bytes of the queue.
    pub(crate) capacity: usize,
    /// When series are to be made again.
    pub(crate) zero_due: Option<Moment>,
}

/// The process's recorder may be installed after the sink is built, and may forget series.
const ZERO_AGAIN: Duration = Duration::from_secs(10);

/// Everything is given up.
struct GivenUp;

impl Worker<'_> {
    /// Writes until the sink is closed.
    pub(crate) fn run(mut self, mut chunk: Chunk) {
        let _gone = Gone(self.shared);
        let mut batch = Batch::default();
        loop {
            match self.shared.next(&mut chunk) {
                Task::Write => {
                    self.record();
                    self.announce(&chunk, &mut batch.announcement);
                    let written = self.write(&chunk, &mut batch);
                    self.record();
                    batch.clear();
                    chunk.clear();
                    if written.is_err() {
                        break;
                    }
                }
                Task::Reopen(request) => self.reopen(request),
                Task::Exit => break,
            }
        }
        self.record();
    }

    fn record(&mut self) {
        record::queued(self.shared.totals().queued_bytes, self.capacity);
        let now = self.clock.now();
        if self.zero_due.is_none_or(|due| now >= due) {
            record::zero();
            self.zero_due = now.checked_add(ZERO_AGAIN);
        }
    }

    fn announce(&mut self, chunk: &Chunk, line: &mut Vec<u8>) {
        if chunk.lost_before().is_none() {
            return;
        }
        (self.announce)(chunk.lost_before(), line);
    }

    /// Writes a batch to its end, however often the output fails.
    fn write(&mut self, chunk: &Chunk, batch: &mut Batch) -> Result<(), GivenUp> {
        let (mut blocked, mut failed) = (self.pauses.blocked.0, self.pauses.failed.0);
        while !batch.flushed {
            let again = match self.attempt(chunk, batch) {
                Ok(true) => {
                    (blocked, failed) = (self.pauses.blocked.0, self.pauses.failed.0);
                    continue;
                }
                Ok(false) => return Err(GivenUp),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let pause = blocked;
                    blocked = (blocked * 2).min(self.pauses.blocked.1);
                    self.shared.pause(pause)
                }
                Err(error) => {
                    let pause = failed;
                    failed = (failed * 2).min(self.pauses.failed.1);
                    self.shared.failed(failure(&error), pause)
                }
            };
            match again {
                Again::Retry => {}
                Again::Reopen(request) => {
                    self.reopen(request);
                    batch.back_to_line(chunk);
                }
                Again::GiveUp => return Err(GivenUp),
            }
        }
        Ok(())
    }

    /// Writes, or flushes, once. False if everything was given up meanwhile.
    fn attempt(&mut self, chunk: &Chunk, batch: &mut Batch) -> io::Result<bool> {
        let bytes = batch.left(chunk);
        if bytes.is_empty() {
            let flushed = self.output.flush();
            if flushed.as_ref().is_err_and(is_error) {
                record::write_error();
            }
            flushed?;
            batch.flushed = true;
            return Ok(true);
        }
        let start = self.clock.now();
        let written = self.output.write(bytes);
        let took = self.clock.now().saturating_duration_since(start);
        record::write(took, written.as_ref().is_err_and(is_error));
        let written = written?;
        let (lines, bytes) = batch.advance(chunk, written);
        let counted = self.shared.wrote(&lines, bytes);
        record::written_bytes(written);
        if counted {
            record::written(&lines);
        }
        Ok(counted)
    }

    fn reopen(&mut self, request: u64) {
        let reopened = self.output.reopen();
        if reopened.is_err() {
            record::write_error();
        }
        let failed = reopened.err().map(|error| failure(&error));
        self.shared.reopened(request, failed);
    }
}

/// Whether the output failed, rather than that it asks to be called again.
fn is_error(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
    )
}

fn failure(error: &io::Error) -> Failure {
    Failure {
        kind: error.kind(),
        text: error.to_string(),
    }
}

/// How far a chunk is written.
#[derive(Debug, Default)]
struct Batch {
    /// Comes before the chunk.
    announcement: Vec<u8>,
    announced: usize,
    /// Bytes of the chunk.
    written: usize,
    /// Lines of the chunk that are written to their end.
    lines: usize,
    flushed: bool,
}

impl Batch {
    fn left<'a>(&'a self, chunk: &'a Chunk) -> &'a [u8] {
        match self.announcement.get(self.announced..) {
            Some(left) if !left.is_empty() => left,
            _ => chunk.bytes().get(self.written..).unwrap_or_default(),
        }
    }

    /// Counts written bytes, and tells which lines are now complete and how many of the bytes were lines'.
    fn advance(&mut self, chunk: &Chunk, written: usize) -> (Counts, usize) {
        let mut lines = Counts::default();
        if self.announced < self.announcement.len() {
            self.announced += written;
            return (lines, 0);
        }
        self.written += written;
        let ends = chunk.ends().iter().skip(self.lines);
        for end in ends.take_while(|end| end.end() <= self.written) {
            lines.one(end.level());
            self.lines += 1;
        }
        (lines, written)
    }

    /// Forgets the part of a line: another output gets it whole.
    fn back_to_line(&mut self, chunk: &Chunk) {
        if self.announced < self.announcement.len() {
            self.announced = 0;
        }
        let before = self.lines.checked_sub(1);
        let end = before.and_then(|before| chunk.ends().get(before));
        self.written = end.map_or(0, |end| end.end());
    }

    fn clear(&mut self) {
        self.announcement.clear();
        (self.announced, self.written, self.lines) = (0, 0, 0);
        self.flushed = false;
    }
}

/// Counts what is left as lost and tells that the worker is gone, also if it panicked.
struct Gone<'a>(&'a Shared);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        record::lost(DropReason::IoError, &self.0.give_up());
        self.0.gone();
    }
}
