//! Names of the series and of their labels, and of what the request's line is known by.

use metrics::{Counter, counter};
use tower_observe::{Spec, Unit};
use tracing_core::Level;

/// Counter of lines that the writer took. Label: [`LEVEL`].
pub const LINES_TOTAL: &str = "log_lines_total";

/// Counter of lines that were lost or held back. Labels: [`REASON`], [`LEVEL`].
pub const LINES_DROPPED_TOTAL: &str = "log_lines_dropped_total";

/// Counter of the bytes that the sink's output took, those that tell of lost lines included.
pub const WRITTEN_BYTES_TOTAL: &str = "log_written_bytes_total";

/// Counter of calls of the sink's output to write, one for many lines.
pub const WRITES_TOTAL: &str = "log_writes_total";

/// Counter of calls of the sink's output that failed: to write, to flush, or to open it.
pub const WRITE_ERRORS_TOTAL: &str = "log_write_errors_total";

/// Histogram of how long a call of the sink's output to write took, in seconds.
pub const WRITE_SECONDS: &str = "log_write_seconds";

/// Gauge of the bytes of the lines that wait for the sink's output, as the sink's thread last saw it.
pub const QUEUE_BYTES: &str = "log_queue_bytes";

/// Gauge of the most bytes that may wait for the sink's output.
pub const QUEUE_CAPACITY_BYTES: &str = "log_queue_capacity_bytes";

/// The level as the line has it: `TRACE`, `DEBUG`, `INFO`, `WARN` or `ERROR`.
pub const LEVEL: &str = "level";

/// Why a line was lost: what [`DropReason::as_str`](crate::DropReason::as_str) gives, or [`IO_ERROR`],
/// [`RATE_LIMITED`], [`SAMPLED`].
pub const REASON: &str = "reason";

/// The writer failed.
pub const IO_ERROR: &str = "io_error";

/// A limit of how often was reached.
pub const RATE_LIMITED: &str = "rate_limited";

/// The line of a request was not among those that are written by chance.
pub const SAMPLED: &str = "sampled";

/// The target of a request's line and of its span, for filters: `RUST_LOG=info,http.access=off`.
pub const TARGET: &str = "http.access";

/// The target of a panic's line. What is logged with it is searched for credentials, as errors are.
pub const PANIC_TARGET: &str = "panic";

/// What is counted: names, labels and help texts, for the exporter.
pub fn specs() -> Vec<Spec> {
    vec![
        Spec::counter(LINES_TOTAL, "Log lines that were written.").labels([LEVEL]),
        Spec::counter(
            LINES_DROPPED_TOTAL,
            "Log lines that were lost or held back, by reason.",
        )
        .labels([REASON, LEVEL]),
        Spec::counter(
            WRITTEN_BYTES_TOTAL,
            "Bytes that were written to the log's output.",
        )
        .unit(Unit::Bytes),
        Spec::counter(WRITES_TOTAL, "Writes to the log's output."),
        Spec::counter(
            WRITE_ERRORS_TOTAL,
            "Failures to write to the log's output, to flush it or to open it.",
        ),
        Spec::histogram(
            WRITE_SECONDS,
            Unit::Seconds,
            "Duration of writes to the log's output.",
        )
        .buckets([0.000_01, 0.000_1, 0.001, 0.01, 0.1, 1.0, 10.0]),
        Spec::gauge(QUEUE_BYTES, "Bytes of log lines that wait to be written.").unit(Unit::Bytes),
        Spec::gauge(
            QUEUE_CAPACITY_BYTES,
            "The most bytes of log lines that may wait to be written.",
        )
        .unit(Unit::Bytes),
    ]
}

/// Counts a line that was written.
pub(crate) fn count_written(level: Level) {
    // The labels are literals: only so does the facade make no allocation for them.
    let counter = match level {
        Level::ERROR => counter!(LINES_TOTAL, "level" => "ERROR"),
        Level::WARN => counter!(LINES_TOTAL, "level" => "WARN"),
        Level::INFO => counter!(LINES_TOTAL, "level" => "INFO"),
        Level::DEBUG => counter!(LINES_TOTAL, "level" => "DEBUG"),
        Level::TRACE => counter!(LINES_TOTAL, "level" => "TRACE"),
    };
    counter.increment(1);
}

/// Counts a line that was not.
pub(crate) fn count_lost(level: Level, reason: &'static str) {
    lost(level, reason).increment(1);
}

fn lost(level: Level, reason: &'static str) -> Counter {
    counter!(LINES_DROPPED_TOTAL, "reason" => reason, "level" => level.as_str())
}
