//! The repository's own tasks; `cargo xtask --help` lists them.

mod bench;
mod command;
mod generate;
mod lint;
mod summary;
mod test;
mod tools;
mod weight;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The repository's own tasks: test, lint, bench, and the tools these need.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run all tests: unit and integration tests, doctests, tests against real servers.
    ///
    /// Runs the unit and integration tests with cargo-nextest, those of the libraries once more with all
    /// features, then the doctests, then the tests against real servers (package server-tests). All parts
    /// are run even if one fails; a part in which no test ran has failed.
    ///
    /// Needs a Rust toolchain. What else it needs (cargo-nextest, and for the full run the servers
    /// from Debian and clients in Python) it fetches into target/tools first; see `cargo xtask tools
    /// --help`. With --quick it fetches neither.
    ///
    /// Takes some minutes the first time, most of them to compile.
    #[command(after_long_help = test::EXAMPLES)]
    Test(test::Args),

    /// Check format, lints, docs, features, manifests, dependencies and how many there are.
    ///
    /// All checks are run even if one fails; they are listed with --list and chosen with --only.
    /// Warnings are errors here, and only here.
    ///
    /// Needs a Rust toolchain with rustfmt and clippy. The checks `dependencies` and `unused` need
    /// cargo-deny and cargo-machete at fixed versions, which are built into target/tools the first
    /// time (a minute or two).
    #[command(after_long_help = lint::EXAMPLES)]
    Lint(lint::Args),

    /// Fetch the programs that test and lint need into target/tools.
    ///
    /// From Debian trixie (fixed versions) and forky (current ones): Prometheus, Alertmanager,
    /// Pushgateway, postgres_exporter, etcd, docker-compose. They are unpacked, not installed. Needs
    /// apt-get, dpkg and a Debian archive within reach; takes about 15 seconds and 650 MB.
    ///
    /// From the crate registry: cargo-deny, cargo-machete, and cargo-nextest unless there is one on
    /// PATH. They are built from source; takes one to three minutes.
    ///
    /// From the Python Package Index: grpcio, lscl, prometheus-client and Node.js, at fixed versions
    /// and with their hashes, as wheels, in a virtual environment. Needs Python 3.11 or newer with
    /// venv and pip, which is installed from Debian where it is missing; takes a few seconds and
    /// 270 MB.
    ///
    /// From npm's registry, by that Node.js: Grafana's types and TypeScript, at fixed versions and
    /// with their hashes; takes a few seconds and 26 MB.
    ///
    /// What is there already is only asked for its version, without the network. To fetch anew,
    /// remove the folder.
    #[command(after_long_help = TOOLS_EXAMPLES)]
    Tools(tools::Args),

    /// Measure the overhead of the layers, side by side with their peers.
    ///
    /// Builds and runs the package benches in the release profile. Needs a quiet machine for
    /// numbers to be compared. Takes minutes; with --quick seconds, for a look at whether
    /// everything runs.
    #[command(after_long_help = bench::EXAMPLES)]
    Bench(bench::Args),

    /// Write the rules, dashboards and the runbook in monitoring/, and the README's table of series.
    ///
    /// They come from what the crates say they record, under the names that the options choose. With
    /// --check nothing is written, and what differs is an error: `cargo xtask test` does that, too.
    ///
    /// Builds and runs the package monitoring, which has options of its own: see
    /// `cargo xtask generate -- --help`.
    #[command(after_long_help = generate::EXAMPLES)]
    Generate(generate::Args),
}

const TOOLS_EXAMPLES: &str = "\
Examples:
  cargo xtask tools                 fetch whatever is missing
  cargo xtask tools --list          what is there, at which version, and where
  cargo xtask tools --only debian   only the servers
  cargo xtask tools --only python   only Python's packages and Node.js
  OBSERVABILITY_TOOLS=/opt/tools cargo xtask tools";

fn main() -> ExitCode {
    match run(&Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<()> {
    let root = workspace::root()?;
    match task {
        Task::Test(args) => test::run(&root, args),
        Task::Lint(args) => lint::run(&root, args),
        Task::Tools(args) => tools::run(&root, args),
        Task::Bench(args) => bench::run(&root, args),
        Task::Generate(args) => generate::run(&root, args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
