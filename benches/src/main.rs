//! Overhead against the peers, side by side in one process. Run by `cargo xtask bench`.

mod backend;
mod bare;
mod groups;
mod harness;
mod least;

mod versions;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use self::harness::Effort;

#[global_allocator]
static ALLOCATOR: test_support::alloc::CountingAllocator = test_support::alloc::CountingAllocator;

/// Measures what the layers cost a request, beside their peers, in turn and in one process.
///
/// The floor is a layer that only wraps the response body; `+bare` is what a side adds to no layer at all,
/// `+floor` what it adds to the floor: medians of the differences within each round, with half the
/// distance of their quartiles; `of peer` is how much of what the first peer adds that is.
///
/// Fails if a layer allocates that must not. Times are only printed.
#[derive(Debug, Parser)]
struct Cli {
    /// Measure only this group
    #[arg(long, value_enum)]
    group: Option<Group>,
    /// Fewer and shorter rounds: enough to see that it runs, not to quote
    #[arg(long)]
    quick: bool,
    /// Only run the side of this name, for a profiler
    #[arg(long)]
    only: Option<String>,
    /// Only tell by how much this makes the process grow: how the program asks itself
    #[arg(long, value_enum, hide = true)]
    resident: Option<groups::recorder::Resident>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    RequestMetrics,
    JsonLine,
    LogSink,
    Recorder,
    ScanLifecycle,
}

fn main() -> ExitCode {
    let Cli {
        group,
        quick,
        only,
        resident,
    } = Cli::parse();
    if let Some(what) = resident {
        groups::recorder::print_growth(what);
        return ExitCode::SUCCESS;
    }
    // Kept to the end of the process.
    let only = only.map(|name| &*name.leak());
    let effort = if quick {
        Effort {
            only,
            rounds: 3,
            operations: 10_000,
            batch: 500,
        }
    } else {
        Effort {
            only,
            rounds: 41,
            operations: 400_000,
            batch: 2_000,
        }
    };
    let chosen = |candidate| group.is_none_or(|group| group == candidate);
    let mut kept = true;
    if chosen(Group::RequestMetrics) {
        kept &= groups::request_metrics::run(effort);
    }
    if chosen(Group::JsonLine) {
        groups::json_line::run(effort);
    }
    if chosen(Group::LogSink) {
        groups::log_sink::run(effort);
    }
    if chosen(Group::Recorder) {
        groups::recorder::run(effort);
    }
    if chosen(Group::ScanLifecycle) {
        groups::scan_lifecycle::run(effort);
    }
    if kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
