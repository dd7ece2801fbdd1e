//! Overhead against the peers, side by side in one process. Run by `cargo xtask bench`.

mod bare;
mod groups;
mod harness;
mod route;

use clap::{Parser, ValueEnum};

use self::harness::Effort;

#[global_allocator]
static ALLOCATOR: test_support::alloc::CountingAllocator = test_support::alloc::CountingAllocator;

/// Measures what the layers cost a request, beside their peers, in turn and in one process.
///
/// The floor is a layer that only wraps the response body; `+ns` and `+allocs` are above it, and `of
/// peer` is the ratio of what a side adds to what the last side adds.
#[derive(Debug, Parser)]
struct Cli {
    /// Measure only this group
    #[arg(long, value_enum)]
    group: Option<Group>,
    /// Fewer and shorter rounds: enough to see that it runs, not to quote
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    RequestMetrics,
    JsonLine,
}

fn main() {
    let Cli { group, quick } = Cli::parse();
    let effort = if quick {
        Effort {
            rounds: 3,
            operations: 2_000,
        }
    } else {
        Effort {
            rounds: 15,
            operations: 50_000,
        }
    };
    let chosen = |candidate| group.is_none_or(|group| group == candidate);
    if chosen(Group::RequestMetrics) {
        groups::request_metrics::run(effort);
    }
    if chosen(Group::JsonLine) {
        groups::json_line::run(effort);
    }
}
