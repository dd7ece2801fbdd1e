//! Names of the series and of their labels, and of what the request's line is known by.

use metrics::{Key, Label, Metadata};
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

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), metrics::Level::INFO, Some(module_path!()));

/// A counter whose key is a constant, its hash included: the facade's macro would make one each time, as the
/// name is no literal.
macro_rules! counter {
    ($name:expr, $($label:literal => $value:literal),+) => {{
        static LABELS: &[Label] = &[$(Label::from_static_parts($label, $value)),+];
        static KEY: Key = Key::from_static_parts($name, LABELS);
        metrics::with_recorder(|recorder| recorder.register_counter(&KEY, &METADATA))
    }};
}

/// A counter of this name by level.
macro_rules! by_level {
    ($level:expr, $name:expr $(, $label:literal => $value:literal)*) => {
        match $level {
            Level::ERROR => counter!($name $(, $label => $value)*, "level" => "ERROR"),
            Level::WARN => counter!($name $(, $label => $value)*, "level" => "WARN"),
            Level::INFO => counter!($name $(, $label => $value)*, "level" => "INFO"),
            Level::DEBUG => counter!($name $(, $label => $value)*, "level" => "DEBUG"),
            Level::TRACE => counter!($name $(, $label => $value)*, "level" => "TRACE"),
        }
    };
}

/// Why a line was not written, where no sink is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lost {
    IoError,
    RateLimited,
    Sampled,
}

/// Counts a line that was written.
pub(crate) fn count_written(level: Level) {
    by_level!(level, LINES_TOTAL).increment(1);
}

/// Counts a line that was not.
pub(crate) fn count_lost(level: Level, reason: Lost) {
    let counter = match reason {
        Lost::IoError => by_level!(level, LINES_DROPPED_TOTAL, "reason" => "io_error"),
        Lost::RateLimited => by_level!(level, LINES_DROPPED_TOTAL, "reason" => "rate_limited"),
        Lost::Sampled => by_level!(level, LINES_DROPPED_TOTAL, "reason" => "sampled"),
    };
    counter.increment(1);
}

#[cfg(test)]
mod tests {
    use metrics_util::debugging::DebuggingRecorder;

    use super::*;

    #[test]
    fn a_lost_line_is_counted_by_its_reason_and_level() {
        for (reason, name) in [
            (Lost::IoError, IO_ERROR),
            (Lost::RateLimited, RATE_LIMITED),
            (Lost::Sampled, SAMPLED),
        ] {
            let recorder = DebuggingRecorder::new();
            let snapshotter = recorder.snapshotter();
            metrics::with_local_recorder(&recorder, || count_lost(Level::WARN, reason));
            let series = snapshotter.snapshot().into_vec();
            let [(key, ..)] = &series[..] else {
                panic!("{series:?}")
            };
            let (series, labels) = key.key().clone().into_parts();
            assert_eq!(series.as_str(), LINES_DROPPED_TOTAL);
            let labels: Vec<_> = labels.iter().map(|l| (l.key(), l.value())).collect();
            assert_eq!(labels, [(REASON, name), (LEVEL, "WARN")]);
        }
    }
}
