//! The line that tells of lost lines.

use std::time::Duration;

use super::counts::{DropReason, Losses};
use crate::format::timestamp;

/// Lines that were lost since the last such line, in the same place of the log.
#[derive(Clone, Copy, Debug)]
pub struct LostLines<'a> {
    losses: &'a Losses,
}

impl<'a> LostLines<'a> {
    pub(crate) const fn new(losses: &'a Losses) -> Self {
        Self { losses }
    }

    /// How many.
    pub fn total(&self) -> u64 {
        self.losses.total()
    }

    /// How many for this reason.
    pub fn of(&self, reason: DropReason) -> u64 {
        self.losses.of(reason).total()
    }

    /// The reasons there were, and how many lines for each.
    pub fn reasons(&self) -> impl Iterator<Item = (DropReason, u64)> {
        let all = DropReason::ALL.into_iter();
        all.map(|reason| (reason, self.of(reason)))
            .filter(|(_, lines)| *lines > 0)
    }
}

/// Writes the line that tells of them into an empty buffer, its newline included.
pub(crate) type Announce = Box<dyn FnMut(LostLines<'_>, &mut Vec<u8>) + Send>;

/// The line in the default schema, at this time since 1970.
pub(crate) fn line(since_epoch: Duration, lost: LostLines<'_>, line: &mut Vec<u8>) {
    line.extend_from_slice(b"{\"timestamp\":\"");
    timestamp::push(line, since_epoch);
    line.extend_from_slice(
        b"\",\"level\":\"WARN\",\"message\":\"log lines were lost\",\"module\":\"tower_json_logging::sink\",\"lines_lost\":",
    );
    let mut digits = itoa::Buffer::new();
    line.extend_from_slice(digits.format(lost.total()).as_bytes());
    for (reason, lines) in lost.reasons() {
        line.extend_from_slice(b",\"lost_");
        line.extend_from_slice(reason.as_str().as_bytes());
        line.extend_from_slice(b"\":");
        line.extend_from_slice(digits.format(lines).as_bytes());
    }
    line.extend_from_slice(b"}\n");
}
