//! How many lines, by level and by what became of them.

/// The levels, the most severe first.
pub(crate) const LEVELS: [&str; 5] = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

/// Where a level stands in [`LEVELS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u8);

impl Slot {
    const LAST: u8 = 4;

    /// The slot of this number, or the last.
    pub(crate) const fn new(number: u8) -> Self {
        Self(if number < Self::LAST {
            number
        } else {
            Self::LAST
        })
    }

    pub(crate) const fn number(self) -> u8 {
        self.0
    }
}

/// Lines by level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts([u64; LEVELS.len()]);

impl Counts {
    pub(crate) fn one(&mut self, level: Slot) {
        if let Some(count) = self.0.get_mut(usize::from(level.number())) {
            *count += 1;
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (count, other) in self.0.iter_mut().zip(other.0) {
            *count += other;
        }
    }

    /// What is left of these without those.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        let mut left = *self;
        for (count, other) in left.0.iter_mut().zip(other.0) {
            *count = count.saturating_sub(other);
        }
        left
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(crate) fn by_level(&self) -> impl Iterator<Item = (Slot, u64)> {
        (0..).map(Slot::new).zip(self.0)
    }

    pub(crate) fn of(&self, level: Slot) -> u64 {
        self.0
            .get(usize::from(level.number()))
            .copied()
            .unwrap_or_default()
    }
}

/// Why a line was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The queue had no room: lines come faster than the output takes them, or it takes none.
    QueueFull,
    /// The queue had no room while the output failed, or the output failed when the sink was closed.
    IoError,
    /// The line was longer than a [batch](crate::SinkBuilder::batch).
    Oversize,
    /// The sink was closed before, or its output did not take the line in the time that closing had.
    Shutdown,
}

impl DropReason {
    pub(crate) const ALL: [Self; 4] = [
        Self::QueueFull,
        Self::IoError,
        Self::Oversize,
        Self::Shutdown,
    ];

    /// The label's value: `queue_full`, `io_error`, `oversize` or `shutdown`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::IoError => "io_error",
            Self::Oversize => "oversize",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Lost lines, by reason and level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses([Counts; DropReason::ALL.len()]);

impl Losses {
    pub(crate) fn add(&mut self, reason: DropReason, lines: &Counts) {
        if let Some(counts) = self.0.get_mut(reason as usize) {
            counts.add(lines);
        }
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        for (counts, other) in self.0.iter_mut().zip(&other.0) {
            counts.add(other);
        }
    }

    pub(crate) fn of(&self, reason: DropReason) -> Counts {
        self.0.get(reason as usize).copied().unwrap_or_default()
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.iter().map(Counts::total).sum()
    }

    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
