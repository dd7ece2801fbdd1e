//! Names of the series and of their labels, and of what the request's line is known by.

use tower_observe::Spec;

/// Counter of lines that the writer took. Label: [`LEVEL`].
pub const LINES_TOTAL: &str = "log_lines_total";

/// Counter of lines that were lost. Label: [`REASON`].
pub const LINES_DROPPED_TOTAL: &str = "log_lines_dropped_total";

/// The level as the line has it: `TRACE`, `DEBUG`, `INFO`, `WARN` or `ERROR`.
pub const LEVEL: &str = "level";

/// Why a line was lost: [`IO_ERROR`].
pub const REASON: &str = "reason";

/// The writer failed.
pub const IO_ERROR: &str = "io_error";

/// The target of a request's line and of its span, for filters: `RUST_LOG=info,http.access=off`.
pub const TARGET: &str = "http.access";

/// What is counted: names, labels and help texts, for the exporter.
pub fn specs() -> Vec<Spec> {
    vec![
        Spec::counter(LINES_TOTAL, "Log lines that were written.").labels([LEVEL]),
        Spec::counter(
            LINES_DROPPED_TOTAL,
            "Log lines that were lost, by what lost them.",
        )
        .labels([REASON]),
    ]
}
