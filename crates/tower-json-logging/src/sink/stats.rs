use std::fmt;

use tracing_core::Level;

use super::{
    counts::{Counts, DropReason, Slot},
    queue::Totals,
    shared::{Failure, Waited},
};

/// The slot of a level.
pub(crate) const fn slot(level: Level) -> Slot {
    Slot::new(match level {
        Level::ERROR => 0,
        Level::WARN => 1,
        Level::INFO => 2,
        Level::DEBUG => 3,
        Level::TRACE => 4,
    })
}

/// A number of lines, by level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCount(Counts);

impl LineCount {
    /// Of all levels.
    pub fn total(&self) -> u64 {
        self.0.total()
    }

    /// Of this level.
    pub fn of(&self, level: Level) -> u64 {
        self.0.of(slot(level))
    }
}

/// What became of a [`Sink`](crate::Sink)'s lines, at one moment.
///
/// `offered` = `written` + `dropped` + `queued`, of each level and at every moment. Lines that the sink
/// writes of its own accord, about lost ones, are in none of them.
#[derive(Clone, Copy, Debug)]
pub struct SinkStats {
    totals: Totals,
}

impl SinkStats {
    pub(crate) const fn new(totals: &Totals) -> Self {
        Self { totals: *totals }
    }

    /// Lines that were given to the sink.
    pub const fn offered(&self) -> LineCount {
        LineCount(self.totals.offered)
    }

    /// Lines that the output took.
    pub const fn written(&self) -> LineCount {
        LineCount(self.totals.written)
    }

    /// Lines that wait for the output, those included that it is about to take.
    pub const fn queued(&self) -> LineCount {
        LineCount(self.totals.queued)
    }

    /// The bytes of the lines that wait.
    pub const fn queued_bytes(&self) -> usize {
        self.totals.queued_bytes
    }

    /// Lines that were lost, for whatever reason.
    pub fn dropped(&self) -> LineCount {
        let mut all = Counts::default();
        for reason in DropReason::ALL {
            all.add(&self.totals.lost.of(reason));
        }
        LineCount(all)
    }

    /// Lines that were lost for this reason.
    pub fn dropped_for(&self, reason: DropReason) -> LineCount {
        LineCount(self.totals.lost.of(reason))
    }
}

/// `12 lines written, 3 lost (queue_full 1, io_error 2), 4 queued`.
impl fmt::Display for SinkStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lost = self.dropped().total();
        write!(f, "{} lines written, {lost} lost", self.written().total())?;
        let mut before = " (";
        for reason in DropReason::ALL {
            let lines = self.dropped_for(reason).total();
            if lines > 0 {
                write!(f, "{before}{} {lines}", reason.as_str())?;
                before = ", ";
            }
        }
        if lost > 0 {
            f.write_str(")")?;
        }
        write!(f, ", {} queued", self.queued().total())
    }
}

/// How a flush or the end of a [`Sink`](crate::Sink) went.
#[derive(Clone, Debug)]
#[must_use = "it tells whether lines were lost"]
pub struct SinkReport {
    stats: SinkStats,
    waited: Waited,
}

impl SinkReport {
    pub(crate) const fn new(stats: &SinkStats, waited: Waited) -> Self {
        Self {
            stats: *stats,
            waited,
        }
    }

    /// What became of all lines since the sink was built.
    pub const fn stats(&self) -> &SinkStats {
        &self.stats
    }

    /// Whether every line that was offered before is settled, written or lost, and the output has no part
    /// of any left in a buffer.
    pub fn is_complete(&self) -> bool {
        self.waited == Waited::Done
    }

    /// Whether the time was over before that.
    pub fn is_timed_out(&self) -> bool {
        self.waited == Waited::TimedOut
    }

    /// How the output failed, if that is why not every line is settled, or why lines are lost at the end.
    pub fn error(&self) -> Option<&str> {
        match &self.waited {
            Waited::Failed(Failure { text, .. }) => Some(text),
            Waited::Done | Waited::TimedOut => None,
        }
    }

    /// Whether no line was lost since the sink was built, and none is left.
    pub fn is_lossless(&self) -> bool {
        self.is_complete() && self.stats.dropped().total() == 0
    }
}

/// As [`SinkStats`], and why no more could be written.
impl fmt::Display for SinkReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats.fmt(f)?;
        match &self.waited {
            Waited::Done => Ok(()),
            Waited::TimedOut => f.write_str("; the output did not take them in time"),
            Waited::Failed(failure) => write!(f, "; the output failed: {}", failure.text),
        }
    }
}
