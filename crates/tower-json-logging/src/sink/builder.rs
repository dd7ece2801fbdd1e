use std::{error::Error, fmt, io, path::PathBuf, sync::Arc, thread, time::Duration};

use tower_observe::Clock;

use crate::Schema;

use super::{
    announce,
    handle::{Owner, Sink},
    output::Target,
    queue::Size,
    shared::{Full, Pace, Shared},
    stats::SinkReport,
    worker::{Pauses, Worker},
};

/// What happens to a line for which the queue has no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// It is lost. Who logs never waits.
    #[default]
    DropNewest,
    /// The oldest batch of lines is lost for it, whatever is in it. Who logs never waits.
    DropOldest,
    /// Who logs waits for this long at most, then the line is lost. Not for an asynchronous service: the
    /// thread is blocked. An output that fails, rather than is slow, is not waited for.
    Block(Duration),
}

/// Builds a [`Sink`]: see [`Sink::stdout`], [`Sink::stderr`], [`Sink::file`], [`Sink::writer`] and
/// [`Sink::open_with`].
#[must_use]
pub struct SinkBuilder {
    target: Target,
    capacity: usize,
    batch: usize,
    reserve: f64,
    overflow: Overflow,
    linger: Duration,
    close_timeout: Duration,
    schema: Schema,
    on_close: Option<OnClose>,
}

/// Gets the report of the end.
pub(crate) type OnClose = Box<dyn FnOnce(&SinkReport) + Send>;

impl SinkBuilder {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            capacity: 8 << 20,
            batch: 64 << 10,
            reserve: 0.25,
            overflow: Overflow::default(),
            linger: Duration::from_millis(5),
            close_timeout: Duration::from_secs(2),
            schema: Schema::seed(),
            on_close: None,
        }
    }

    /// The most bytes of lines that wait, at least four [batches](Self::batch). Default: 8 MiB.
    ///
    /// One batch more is with the output. The memory, a sixteenth above that, is asked for at once, so
    /// that no line asks for any; what is never used costs address space only.
    pub fn capacity(mut self, bytes: usize) -> Self {
        self.capacity = bytes;
        self
    }

    /// The most bytes that are written at once, and of a line: a longer one is lost. From 1 KiB to 256
    /// MiB. Default: 64 KiB.
    pub fn batch(mut self, bytes: usize) -> Self {
        self.batch = bytes;
        self
    }

    /// How much of the capacity, from 0 up to but without 1, only [important](crate::Importance) lines
    /// may use, rounded to whole batches. Default: 0.25.
    ///
    /// With [`Overflow::DropOldest`] no line is refused, so there is no reserve.
    pub fn reserve_for_important(mut self, part: f64) -> Self {
        self.reserve = part;
        self
    }

    /// What happens to a line for which there is no room. Default: [`Overflow::DropNewest`].
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// How long the thread waits after a batch for the next to grow, unless it is full. Default: 5 ms.
    ///
    /// It is how late a line may come to the output, and how much of what was logged last is lost with a
    /// process that is killed. Longer means fewer and larger writes, and fewer lines that have to wake the
    /// thread: it sleeps after ten such waits without a line, and what wakes it is written at once.
    pub fn linger(mut self, time: Duration) -> Self {
        self.linger = time;
        self
    }

    /// How long the drop of the last handle, or of a [guard](Sink::guard), waits for the output to take
    /// what is queued. Default: 2 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// The keys of the line that tells of lost lines: a `WARN` with `lines_lost`, and `lost_<reason>` for
    /// each reason. Give it what the layer has. Default: [`Schema::seed`].
    pub fn schema(mut self, schema: Schema) -> Self {
        self.schema = schema;
        self
    }

    /// Is given the report of the end, however it comes: by [`Sink::close`], or by the drop of a
    /// [guard](Sink::guard) or the last handle. Default: nothing.
    pub fn on_close(mut self, report: impl FnOnce(&SinkReport) + Send + 'static) -> Self {
        self.on_close = Some(Box::new(report));
        self
    }

    /// Opens the output and starts the thread that writes, `json-log-sink`.
    ///
    /// # Errors
    ///
    /// [`SinkError`], if a size does not fit the others, the output cannot be opened, or there is no
    /// thread to be had.
    pub fn build(self) -> Result<Sink, SinkError> {
        let size = self.size()?;
        let output = self.target.open().map_err(SinkError::open)?;
        let full = match self.overflow {
            Overflow::DropNewest => Full::LoseLine,
            Overflow::DropOldest => Full::LoseOldest,
            Overflow::Block(time) => Full::Wait(time),
        };
        let pace = Pace {
            linger: self.linger,
            idle_lingers: 10,
        };
        let (shared, chunk) = Shared::new(size, full, pace);
        let shared = Arc::new(shared);
        let of_thread = Arc::clone(&shared);
        let announce = announce::in_schema(self.schema);
        let thread = thread::Builder::new()
            .name("json-log-sink".to_owned())
            .spawn(move || {
                let worker = Worker {
                    shared: &of_thread,
                    output,
                    announce,
                    pauses: Pauses::DEFAULT,
                    clock: Clock::system(),
                    capacity: size.chunks * size.chunk_bytes,
                    zero_due: None,
                };
                worker.run(chunk);
            })
            .map_err(SinkError::spawn)?;
        Ok(Sink::new(Owner::new(
            shared,
            thread,
            self.close_timeout,
            self.on_close,
        )))
    }

    fn size(&self) -> Result<Size, SinkError> {
        if !(1024..=Size::MOST_BYTES).contains(&self.batch) {
            return Err(SinkError::invalid(format!(
                "a batch of {} bytes: it must be from 1024 to {}",
                self.batch,
                Size::MOST_BYTES
            )));
        }
        let chunks = self.capacity / self.batch;
        if chunks < 4 {
            return Err(SinkError::invalid(format!(
                "a capacity of {} bytes for batches of {}: it must be at least 4 batches, {} bytes",
                self.capacity,
                self.batch,
                4 * self.batch
            )));
        }
        if !(0.0..1.0).contains(&self.reserve) {
            return Err(SinkError::invalid(format!(
                "a reserve of {}: it must be from 0 up to, but not including, 1",
                self.reserve
            )));
        }
        let reserved = match self.overflow {
            Overflow::DropOldest => 0,
            Overflow::DropNewest | Overflow::Block(_) => part(chunks, self.reserve),
        };
        Ok(Size {
            chunks,
            chunk_bytes: self.batch,
            reserved,
        })
    }
}

/// That part of the chunks, rounded; one at least is left.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the part is from 0 to 1, and a float that is too large saturates"
)]
fn part(chunks: usize, part: f64) -> usize {
    ((chunks as f64 * part).round() as usize).min(chunks - 1)
}

impl fmt::Debug for SinkBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkBuilder")
            .field("target", &self.target)
            .field("capacity", &self.capacity)
            .field("batch", &self.batch)
            .field("reserve", &self.reserve)
            .field("overflow", &self.overflow)
            .field("linger", &self.linger)
            .field("close_timeout", &self.close_timeout)
            .finish_non_exhaustive()
    }
}

/// Why a [`Sink`] could not be built.
#[derive(Debug)]
pub struct SinkError {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Invalid(String),
    Open(io::Error),
    Spawn(io::Error),
}

impl SinkError {
    const fn invalid(text: String) -> Self {
        Self {
            kind: Kind::Invalid(text),
        }
    }

    const fn open(error: io::Error) -> Self {
        Self {
            kind: Kind::Open(error),
        }
    }

    const fn spawn(error: io::Error) -> Self {
        Self {
            kind: Kind::Spawn(error),
        }
    }

    /// Whether a setting is outside of its bounds.
    pub const fn is_invalid(&self) -> bool {
        matches!(self.kind, Kind::Invalid(_))
    }

    /// Whether the output could not be opened.
    pub const fn is_open(&self) -> bool {
        matches!(self.kind, Kind::Open(_))
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Invalid(text) => f.write_str(text),
            Kind::Open(_) => f.write_str("the log's output cannot be opened"),
            Kind::Spawn(_) => f.write_str("the log's thread cannot be started"),
        }
    }
}

impl Error for SinkError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            Kind::Invalid(_) => None,
            Kind::Open(error) | Kind::Spawn(error) => Some(error),
        }
    }
}

impl Sink {
    /// A sink that writes to standard output, through a descriptor of its own: a reader that stalls does
    /// not keep the process from printing.
    pub fn stdout() -> SinkBuilder {
        SinkBuilder::new(Target::stdout())
    }

    /// A sink that writes to standard error, through a descriptor of its own.
    pub fn stderr() -> SinkBuilder {
        SinkBuilder::new(Target::stderr())
    }

    /// A sink that appends to the file at `path`, which is made if it is not there; a last line without an
    /// end gets one.
    /// [`reopen`](Self::reopen) opens that path again.
    pub fn file(path: impl Into<PathBuf>) -> SinkBuilder {
        SinkBuilder::new(Target::file(path.into()))
    }

    /// A sink that writes to `writer`, in whole lines but for what the writer itself does not take at
    /// once. It cannot be opened again.
    pub fn writer(writer: impl io::Write + Send + 'static) -> SinkBuilder {
        SinkBuilder::new(Target::writer(writer))
    }

    /// A sink that writes to what `open` gives, when it is built and again for each
    /// [`reopen`](Self::reopen).
    pub fn open_with<W: io::Write + Send + 'static>(
        open: impl FnMut() -> io::Result<W> + Send + 'static,
    ) -> SinkBuilder {
        SinkBuilder::new(Target::open_with(open))
    }
}
