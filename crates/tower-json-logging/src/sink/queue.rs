//! The queue: whole lines in chunks of fixed size. It knows no lock, no time and no output.

use std::{collections::VecDeque, mem};

use super::counts::{Counts, DropReason, Losses, Slot};

/// How large a queue is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// How many chunks there are, at least two.
    pub(crate) chunks: usize,
    /// Bytes of a chunk, below [`Size::MOST_BYTES`].
    pub(crate) chunk_bytes: usize,
    /// How many of the chunks only important lines may begin.
    pub(crate) reserved: usize,
}

impl Size {
    /// A line's end must leave room for its level in 32 bits.
    pub(crate) const MOST_BYTES: usize = 1 << 28;

    /// Lines of a chunk: room for short ones, at a sixteenth of the bytes.
    const fn chunk_lines(self) -> usize {
        self.chunk_bytes / 64 + 1
    }
}

/// Lines that are written at once.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Rises by one from chunk to chunk as they are begun.
    number: u64,
    bytes: Vec<u8>,
    ends: Vec<LineEnd>,
    lines: Counts,
    /// What was lost just before the first line.
    lost_before: Losses,
}

/// Where in its chunk a line ends, and its level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineEnd(u32);

impl LineEnd {
    const BITS: u32 = 3;

    fn new(end: usize, level: Slot) -> Self {
        let end = u32::try_from(end).unwrap_or(u32::MAX >> Self::BITS);
        Self(end << Self::BITS | u32::from(level.number()))
    }

    pub(crate) const fn end(self) -> usize {
        (self.0 >> Self::BITS) as usize
    }

    pub(crate) const fn level(self) -> Slot {
        Slot::new((self.0 & ((1 << Self::BITS) - 1)) as u8)
    }
}

impl Chunk {
    fn new(size: Size) -> Self {
        Self {
            number: 0,
            bytes: Vec::with_capacity(size.chunk_bytes),
            ends: Vec::with_capacity(size.chunk_lines()),
            lines: Counts::default(),
            lost_before: Losses::default(),
        }
    }

    /// Forgets the lines.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.lines = Counts::default();
        self.lost_before = Losses::default();
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn ends(&self) -> &[LineEnd] {
        &self.ends
    }

    pub(crate) const fn lost_before(&self) -> &Losses {
        &self.lost_before
    }

    fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.lost_before.is_none()
    }
}

/// What the worker has taken and not yet written.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    chunk: u64,
    lines: Counts,
    bytes: usize,
}

/// Why there is no room for a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// There is none now.
    Full,
    /// There never is.
    Oversize,
}

/// How many lines there are, and what became of the others.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) offered: Counts,
    pub(crate) written: Counts,
    pub(crate) lost: Losses,
    pub(crate) queued: Counts,
    pub(crate) queued_bytes: usize,
}

/// Lines between those who log and the worker: what is offered is written, lost or here, at all times.
#[derive(Debug)]
pub(crate) struct Queue {
    size: Size,
    /// Takes lines.
    open: Chunk,
    /// Wait for the worker, the oldest first.
    full: VecDeque<Chunk>,
    free: Vec<Chunk>,
    in_flight: Option<InFlight>,
    offered: Counts,
    written: Counts,
    lost: Losses,
    /// What was lost since a chunk was begun last.
    unannounced: Losses,
}

impl Queue {
    /// A queue, and the worker's chunk. All memory is taken here.
    pub(crate) fn new(size: Size) -> (Self, Chunk) {
        let queue = Self {
            size,
            open: Chunk::new(size),
            full: VecDeque::with_capacity(size.chunks),
            free: (1..size.chunks).map(|_| Chunk::new(size)).collect(),
            in_flight: None,
            offered: Counts::default(),
            written: Counts::default(),
            lost: Losses::default(),
            unannounced: Losses::default(),
        };
        (queue, Chunk::new(size))
    }

    /// Takes a line if there is room for it.
    pub(crate) fn push(&mut self, line: &[u8], level: Slot, important: bool) -> Result<(), NoRoom> {
        if line.len() > self.size.chunk_bytes {
            return Err(NoRoom::Oversize);
        }
        let reserved = if important { 0 } else { self.size.reserved };
        if self.open.bytes.len() + line.len() > self.size.chunk_bytes
            || self.open.ends.len() >= self.size.chunk_lines()
        {
            if self.free.len() <= reserved {
                return Err(NoRoom::Full);
            }
            self.rotate()?;
        } else if self.free.len() < reserved {
            return Err(NoRoom::Full);
        }
        if self.open.ends.is_empty() {
            self.announce();
        }
        self.offered.one(level);
        let open = &mut self.open;
        open.bytes.extend_from_slice(line);
        open.ends.push(LineEnd::new(open.bytes.len(), level));
        open.lines.one(level);
        Ok(())
    }

    /// Closes the open chunk and opens a free one.
    fn rotate(&mut self) -> Result<(), NoRoom> {
        let mut next = self.free.pop().ok_or(NoRoom::Full)?;
        next.number = self.open.number + 1;
        self.full.push_back(mem::replace(&mut self.open, next));
        Ok(())
    }

    /// Makes the open chunk tell what was lost before it.
    fn announce(&mut self) {
        self.open
            .lost_before
            .add_all(&mem::take(&mut self.unannounced));
    }

    /// Counts a line that was offered and is lost.
    pub(crate) fn lose(&mut self, level: Slot, reason: DropReason) {
        let mut line = Counts::default();
        line.one(level);
        self.offered.one(level);
        self.lost.add(reason, &line);
        self.unannounced.add(reason, &line);
    }

    /// Makes room by the loss of the oldest lines that the worker has not taken. None if there are none.
    pub(crate) fn lose_oldest(&mut self, reason: DropReason) -> Option<Counts> {
        let mut oldest = self.full.pop_front()?;
        let lines = oldest.lines;
        self.lost.add(reason, &lines);
        // The gap is where the chunk was.
        let next = self.full.front_mut().unwrap_or(&mut self.open);
        next.lost_before.add_all(&oldest.lost_before);
        next.lost_before.add(reason, &lines);
        oldest.clear();
        self.free.push(oldest);
        Some(lines)
    }

    /// Gives the worker the oldest lines for its empty chunk. False if there are none.
    pub(crate) fn take(&mut self, chunk: &mut Chunk) -> bool {
        if let Some(oldest) = self.full.pop_front() {
            self.free.push(mem::replace(chunk, oldest));
        } else {
            if self.open.ends.is_empty() {
                self.announce();
            }
            if self.open.is_empty() {
                return false;
            }
            chunk.number = self.open.number + 1;
            mem::swap(chunk, &mut self.open);
        }
        self.in_flight = Some(InFlight {
            chunk: chunk.number,
            lines: chunk.lines,
            bytes: chunk.bytes.len(),
        });
        true
    }

    /// Counts what is written of what the worker took.
    pub(crate) fn wrote(&mut self, lines: &Counts, bytes: usize) {
        // None if it was given up meanwhile: it is counted as lost already.
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.lines = in_flight.lines.minus(lines);
            in_flight.bytes = in_flight.bytes.saturating_sub(bytes);
            self.written.add(lines);
        }
    }

    /// The worker is done with what it took.
    pub(crate) fn settle(&mut self) {
        self.in_flight = None;
    }

    /// Loses everything, also what the worker took, and tells how much that was.
    pub(crate) fn lose_all(&mut self, reason: DropReason) -> Counts {
        let lines = self.totals().queued;
        self.lost.add(reason, &lines);
        self.in_flight = None;
        self.open.clear();
        for mut chunk in self.full.drain(..) {
            chunk.clear();
            self.free.push(chunk);
        }
        self.open.number += 1;
        self.unannounced = Losses::default();
        lines
    }

    /// The oldest chunk that still has to be written.
    pub(crate) fn oldest(&self) -> u64 {
        let in_flight = self.in_flight.map(|in_flight| in_flight.chunk);
        in_flight
            .or_else(|| self.full.front().map(|chunk| chunk.number))
            .unwrap_or(self.open.number)
    }

    /// The first chunk that no line stands in yet, nor in those after it.
    pub(crate) fn end(&self) -> u64 {
        let used = u64::from(!self.open.is_empty());
        let to_announce = u64::from(!self.unannounced.is_none());
        if self.open.ends.is_empty() {
            self.open.number + used.max(to_announce)
        } else {
            self.open.number + used + to_announce
        }
    }

    /// Whether the worker should not wait for more.
    pub(crate) fn has_full_chunk(&self) -> bool {
        !self.full.is_empty()
    }

    /// Whether there is something to write, if only what was lost.
    pub(crate) fn has_lines(&self) -> bool {
        self.has_full_chunk() || !self.open.is_empty() || !self.unannounced.is_none()
    }

    /// Whether more than half of what ordinary lines may use is in use.
    pub(crate) fn is_half_full(&self) -> bool {
        let ordinary = self.size.chunks - self.size.reserved;
        self.full.len() >= ordinary.div_ceil(2)
    }

    pub(crate) fn totals(&self) -> Totals {
        let mut queued = self.open.lines;
        let mut queued_bytes = self.open.bytes.len();
        for chunk in &self.full {
            queued.add(&chunk.lines);
            queued_bytes += chunk.bytes.len();
        }
        if let Some(in_flight) = &self.in_flight {
            queued.add(&in_flight.lines);
            queued_bytes += in_flight.bytes;
        }
        Totals {
            offered: self.offered,
            written: self.written,
            lost: self.lost,
            queued,
            queued_bytes,
        }
    }
}
