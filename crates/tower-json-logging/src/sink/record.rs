//! What the sink records in the `metrics` facade.

use std::time::Duration;

use metrics::{Counter, counter, gauge, histogram};

use super::counts::{Counts, DropReason, LEVELS, Slot};
use crate::names;

/// Lines that the output took.
pub(crate) fn written(lines: &Counts) {
    for (level, count) in lines.by_level() {
        if count > 0 {
            lines_total(level).increment(count);
        }
    }
}

/// Bytes that the output took.
pub(crate) fn written_bytes(bytes: usize) {
    counter!(names::WRITTEN_BYTES_TOTAL).increment(bytes as u64);
}

/// One call of the output.
pub(crate) fn write(took: Duration, failed: bool) {
    counter!(names::WRITES_TOTAL).increment(1);
    histogram!(names::WRITE_SECONDS).record(took);
    if failed {
        write_error();
    }
}

/// The output failed, in writing, flushing or opening.
pub(crate) fn write_error() {
    counter!(names::WRITE_ERRORS_TOTAL).increment(1);
}

/// Lines that were lost.
pub(crate) fn lost(reason: DropReason, lines: &Counts) {
    for (level, count) in lines.by_level() {
        if count > 0 {
            dropped_total(reason, level).increment(count);
        }
    }
}

/// A line that was lost.
pub(crate) fn lost_one(reason: DropReason, level: Slot) {
    dropped_total(reason, level).increment(1);
}

/// The bytes that wait, of those that may.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
pub(crate) fn queued(bytes: usize, capacity: usize) {
    gauge!(names::QUEUE_BYTES).set(bytes as f64);
    gauge!(names::QUEUE_CAPACITY_BYTES).set(capacity as f64);
}

/// Has every series of a counter start at zero, so that who looks at rates sees the first that is counted.
pub(crate) fn zero() {
    for (level, _) in Counts::default().by_level() {
        lines_total(level).increment(0);
        for reason in DropReason::ALL {
            dropped_total(reason, level).increment(0);
        }
    }
    counter!(names::WRITE_ERRORS_TOTAL).increment(0);
}

/// A match over literals: only for labels that are literals makes the facade no allocation.
macro_rules! by_level {
    ($level:expr, $name:expr $(, $label:literal => $value:literal)*) => {
        match LEVELS.get(usize::from($level.number())).copied() {
            Some("ERROR") => counter!($name $(, $label => $value)*, "level" => "ERROR"),
            Some("WARN") => counter!($name $(, $label => $value)*, "level" => "WARN"),
            Some("INFO") => counter!($name $(, $label => $value)*, "level" => "INFO"),
            Some("DEBUG") => counter!($name $(, $label => $value)*, "level" => "DEBUG"),
            _ => counter!($name $(, $label => $value)*, "level" => "TRACE"),
        }
    };
}

fn lines_total(level: Slot) -> Counter {
    by_level!(level, names::LINES_TOTAL)
}

fn dropped_total(reason: DropReason, level: Slot) -> Counter {
    match reason {
        DropReason::QueueFull => {
            by_level!(level, names::LINES_DROPPED_TOTAL, "reason" => "queue_full")
        }
        DropReason::IoError => by_level!(level, names::LINES_DROPPED_TOTAL, "reason" => "io_error"),
        DropReason::Oversize => {
            by_level!(level, names::LINES_DROPPED_TOTAL, "reason" => "oversize")
        }
        DropReason::Shutdown => {
            by_level!(level, names::LINES_DROPPED_TOTAL, "reason" => "shutdown")
        }
    }
}
