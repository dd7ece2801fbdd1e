//! Overhead against the peers, side by side in one process. Run by `cargo xtask bench`.

mod backend;
mod bare;
mod by_hand;
mod groups;
mod harness;
mod kernel;
mod least;
mod lines;
mod scale;
mod served;

mod versions;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, ensure};
use benches::report::{Machine, Report, with_tables};
use clap::{Parser, ValueEnum};

use self::harness::{Effort, FULL, QUICK, Rows};

#[global_allocator]
static ALLOCATOR: test_support::alloc::CountingAllocator = test_support::alloc::CountingAllocator;

/// Measures what the layers cost a request, beside their peers, in turn and in one process.
///
/// The floor is a layer that only wraps the response body; `+bare` is what a side adds to no layer at all,
/// `+floor` what it adds to the floor: medians of the differences within each round, with half the
/// distance of their quartiles; `of peer` is how much of what the first peer adds that is.
///
/// In the end the instructions of the rows above are counted by valgrind, and everything is written to
/// target/bench/report.json. Fails if a layer allocates that must not; times are only told.
#[derive(Debug, Parser)]
struct Cli {
    /// Measure only this group
    #[arg(long, value_enum)]
    group: Option<Group>,
    /// Fewer and shorter rounds: enough to see that it runs, not to quote
    #[arg(long)]
    quick: bool,
    /// Write the report to standard output, as JSON, and the tables to standard error
    #[arg(long)]
    json: bool,
    /// Write benches/report.json, benches/REPORT.md and the README's tables from this run. With a group, the
    /// others are kept that were measured on this machine and day
    #[arg(long, conflicts_with_all = ["quick", "no_instructions"])]
    write: bool,
    /// Do not count instructions in the end
    #[arg(long)]
    no_instructions: bool,
    /// Only run the side of this name, for a profiler
    #[arg(long)]
    only: Option<String>,
    /// Only run the comparison with this title, as it is printed, and count no instructions
    #[arg(long, conflicts_with_all = ["write", "json"])]
    title: Option<String>,
    /// Tell all that was measured: how the program asks itself
    #[arg(long, hide = true, requires = "title")]
    tells: bool,
    /// Only tell by how much this makes the process grow: how the program asks itself
    #[arg(long, value_enum, hide = true)]
    resident: Option<groups::recorder::Resident>,
    /// Only serve, and tell the address: how the program loads itself
    #[arg(long, value_enum, hide = true, requires = "log")]
    serve: Option<served::Stack>,
    /// What to serve
    #[arg(long, value_enum, hide = true, default_value = "route")]
    inner: served::Inner,
    #[arg(long, hide = true)]
    log: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    RequestMetrics,
    JsonLine,
    LogSink,
    Recorder,
    Sinks,
    Scale,
    ScanLifecycle,
    WholeStack,
    EndToEnd,
}

impl Group {
    /// Whether nothing of ours allocated that must not.
    fn run(self, effort: Effort, rows: &mut Rows) -> Result<bool> {
        match self {
            Self::RequestMetrics => return groups::request_metrics::run(effort, rows),
            Self::JsonLine => groups::json_line::run(effort, rows),
            Self::LogSink => groups::log_sink::run(effort, rows),
            Self::Recorder => groups::recorder::run(effort, rows),
            Self::Sinks => groups::sinks::run(effort, rows),
            Self::Scale => groups::scale::run(effort, rows),
            Self::ScanLifecycle => groups::scan_lifecycle::run(effort, rows),
            Self::WholeStack => groups::whole_stack::run(effort, rows),
            Self::EndToEnd => groups::end_to_end::run(effort, rows)?,
        }
        Ok(true)
    }
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    if let Some(what) = cli.resident {
        groups::recorder::print_growth(what);
        return Ok(ExitCode::SUCCESS);
    }
    if let (Some(stack), Some(log)) = (cli.serve, cli.log) {
        served::serve(stack, cli.inner, &log)?;
        return Ok(ExitCode::SUCCESS);
    }
    if cli.json {
        return json();
    }
    let effort = if cli.quick { QUICK } else { FULL };
    // Kept to the end of the process.
    let kept = |text: Option<String>| text.map(|text| &*text.leak());
    let effort = Effort {
        only: kept(cli.only),
        title: kept(cli.title),
        tells: cli.tells,
        ..effort
    };
    let machine = Machine::this();
    let others = if cli.write && cli.group.is_some() {
        Some(others(&machine)?)
    } else {
        None
    };
    let mut rows = Rows::default();
    let mut kept = true;
    for group in Group::value_variants() {
        if cli.group.is_none_or(|chosen| chosen == *group) {
            kept &= group.run(effort, &mut rows)?;
        }
    }
    let ends = |kept| {
        Ok(if kept {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    };
    if effort.is_of_one() {
        return ends(kept);
    }
    if !cli.no_instructions {
        rows.count()?;
    }
    let report = Report {
        machine,
        ..rows.report
    };
    write("target/bench/report.json", &json_of(&report)?)?;
    if cli.write {
        publish(&match others {
            Some(others) => others.with(&report),
            None => report,
        })?;
    }
    ends(kept)
}

/// What is committed, for groups that are not measured again.
fn others(machine: &Machine) -> Result<Report> {
    let path = "benches/report.json";
    let text =
        fs::read_to_string(root().join(path)).with_context(|| format!("{path} cannot be read"))?;
    let others: Report = serde_json::from_str(&text)?;
    ensure!(
        others.machine == *machine,
        "{path} was measured on another machine or day: write it without --group"
    );
    Ok(others)
}

/// Runs the same, with its tables on standard error, and writes the report to standard output.
fn json() -> Result<ExitCode> {
    let arguments = env::args_os().skip(1).filter(|one| one != "--json");
    let status = Command::new(env::current_exe()?)
        .args(arguments)
        .stdout(io::stderr())
        .status()?;
    print!(
        "{}",
        fs::read_to_string(root().join("target/bench/report.json"))?
    );
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What is committed of a run.
fn publish(report: &Report) -> Result<()> {
    let read = |path: &str| {
        fs::read_to_string(root().join(path)).with_context(|| format!("{path} cannot be read"))
    };
    write("benches/report.json", &json_of(report)?)?;
    write(
        "benches/REPORT.md",
        &report.page(&read("benches/notes.md")?),
    )?;
    write("README.md", &with_tables(&read("README.md")?, report))
}

fn json_of(report: &Report) -> Result<String> {
    Ok(serde_json::to_string_pretty(report)? + "\n")
}

fn write(path: &str, text: &str) -> Result<()> {
    let place = root().join(path);
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&place, text).with_context(|| format!("{path} cannot be written"))?;
    eprintln!("written: {path}");
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
