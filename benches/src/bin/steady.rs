//! Counts the instructions and allocations of our own layers, and compares them with those that are
//! committed. Run by `cargo xtask bench --check`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};
use benches::{
    callgrind,
    steady::{CASES, Case},
};
use clap::Parser;
use serde::{Deserialize, Serialize};

#[global_allocator]
static ALLOCATOR: test_support::alloc::CountingAllocator = test_support::alloc::CountingAllocator;

/// More than this part above the baseline is a regression.
const TOLERANCE: f64 = 0.03;
/// The same if another compiler made the baseline: its code is not ours to compare.
const OTHER_COMPILER: f64 = 0.25;

/// Counts the instructions (by valgrind's callgrind) and allocations of our own layers.
///
/// A case runs twice, the second time with twice as many operations: the difference is what the operations
/// took, without the start of the program. Nothing depends on the clock.
#[derive(Debug, Parser)]
struct Cli {
    /// Compare with the figures in this file, and fail if one is more than 3 % above
    #[arg(long, value_name = "FILE", default_value = "benches/baseline.json")]
    baseline: PathBuf,
    /// Write the figures into the file instead
    #[arg(long)]
    bless: bool,
    /// Only the cases whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Only run this case, and tell its allocations: how the program asks itself
    #[arg(long, hide = true, requires = "operations")]
    run: Option<String>,
    #[arg(long, hide = true)]
    operations: Option<usize>,
}

/// What is committed.
#[derive(Debug, Deserialize, Serialize)]
struct Baseline {
    /// What compiled it, as `rustc --version` says.
    compiler: String,
    cases: BTreeMap<String, Figures>,
}

/// Of one operation.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
struct Figures {
    instructions: f64,
    allocations: f64,
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    if let (Some(name), Some(operations)) = (&cli.run, cli.operations) {
        let case = CASES.iter().find(|case| case.name == name);
        println!("{}", run(case.context("no such case")?, operations));
        return Ok(ExitCode::SUCCESS);
    }
    let compiler = compiler()?;
    let chosen = CASES.iter().filter(|case| case.name.contains(&cli.only));
    let mut now = BTreeMap::new();
    for case in chosen {
        eprintln!("counting {}", case.name);
        now.insert(case.name.to_owned(), count(case)?);
    }
    if now.is_empty() {
        bail!("no case is called {:?}", cli.only);
    }
    if cli.bless {
        return bless(&cli, compiler, now).map(|()| ExitCode::SUCCESS);
    }
    let then = read(&cli.baseline)?;
    let same = then.compiler == compiler;
    let tolerance = if same { TOLERANCE } else { OTHER_COMPILER };
    if !same {
        println!(
            "the baseline was compiled by {}, this by {compiler}: instructions may be {:.0} % more, not {:.0} %",
            then.compiler,
            OTHER_COMPILER * 100.0,
            TOLERANCE * 100.0,
        );
    }
    let all = cli.only.is_empty();
    let broken = compare(&then.cases, &now, tolerance, all);
    if broken.is_empty() {
        println!("all within the baseline");
        return Ok(ExitCode::SUCCESS);
    }
    println!("\n{}", broken.join("\n"));
    println!(
        "where it is meant, write the new figures: cargo xtask bench --bless, and say why in the commit"
    );
    Ok(ExitCode::FAILURE)
}

/// The allocations of this many operations, after as many that are not counted.
fn run(case: &Case, operations: usize) -> u64 {
    let mut work = (case.make)();
    work(case.operations);
    test_support::alloc::count(|| work(operations)).allocations
}

fn count(case: &Case) -> Result<Figures> {
    // Of all operations between the readings, in all processes.
    let (mut instructions, mut allocations) = (0.0, 0.0);
    for _ in 0..case.processes {
        let once = count_of(case, case.operations)?;
        let twice = count_of(case, 2 * case.operations)?;
        instructions += twice.0 as f64 - once.0 as f64;
        allocations += twice.1 as f64 - once.1 as f64;
    }
    let operations = (case.operations * case.processes) as f64;
    Ok(Figures {
        instructions: round(instructions / operations),
        allocations: round(allocations / operations),
    })
}

/// What is left is not a difference anybody looks for.
fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// The instructions of the whole process, and the allocations of the operations.
fn count_of(case: &Case, operations: usize) -> Result<(u64, u64)> {
    let operations = operations.to_string();
    let arguments = ["--run", case.name, "--operations", &operations];
    let (instructions, said) = callgrind::count(arguments, None)?;
    Ok((instructions, said.trim().parse()?))
}

/// Prints each, and gives what is worse than it was.
fn compare(
    then: &BTreeMap<String, Figures>,
    now: &BTreeMap<String, Figures>,
    tolerance: f64,
    all: bool,
) -> Vec<String> {
    let mut broken = Vec::new();
    println!(
        "{:<44} {:>14} {:>14} {:>8} {:>10} {:>10}",
        "an operation", "instructions", "baseline", "", "allocs", "baseline"
    );
    for (name, new) in now {
        let Some(old) = then.get(name) else {
            broken.push(format!("{name}: not in the baseline"));
            continue;
        };
        let more = new.instructions / old.instructions - 1.0;
        println!(
            "{name:<44} {:>14.1} {:>14.1} {:>+7.1}% {:>10.2} {:>10.2}",
            new.instructions,
            old.instructions,
            more * 100.0,
            new.allocations,
            old.allocations,
        );
        if more > tolerance {
            broken.push(format!(
                "{name}: {:.1} instructions, the baseline has {:.1}: {:.1} % more, at most {:.0} % are well",
                new.instructions,
                old.instructions,
                more * 100.0,
                tolerance * 100.0,
            ));
        }
        if new.allocations > old.allocations * (1.0 + TOLERANCE) {
            broken.push(format!(
                "{name}: {} allocations, the baseline has {}",
                new.allocations, old.allocations
            ));
        }
    }
    if all {
        let gone = then.keys().filter(|name| !now.contains_key(*name));
        broken.extend(gone.map(|name| format!("{name}: in the baseline, but no case any more")));
    }
    broken
}

fn read(path: &Path) -> Result<Baseline> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("the baseline {} cannot be read", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no baseline", path.display()))
}

fn bless(cli: &Cli, compiler: String, now: BTreeMap<String, Figures>) -> Result<()> {
    let mut cases = match read(&cli.baseline) {
        Ok(then) if !cli.only.is_empty() && then.compiler == compiler => then.cases,
        _ if cli.only.is_empty() => BTreeMap::new(),
        _ => bail!("the baseline is of another compiler: bless all cases"),
    };
    cases.extend(now);
    let text = serde_json::to_string_pretty(&Baseline { compiler, cases })?;
    fs::write(&cli.baseline, text + "\n")
        .with_context(|| format!("{} cannot be written", cli.baseline.display()))?;
    println!("written: {}", cli.baseline.display());
    Ok(())
}

fn compiler() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output();
    let output = output.context("rustc cannot be asked for its version")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(instructions: f64, allocations: f64) -> BTreeMap<String, Figures> {
        let figures = Figures {
            instructions,
            allocations,
        };
        BTreeMap::from([("case".to_owned(), figures)])
    }

    #[test]
    fn what_costs_more_than_the_tolerance_is_broken() {
        let then = figures(1_000.0, 0.0);
        let broken = |now| compare(&then, &now, TOLERANCE, true).len();
        assert_eq!(broken(figures(1_029.0, 0.0)), 0);
        assert_eq!(broken(figures(500.0, 0.0)), 0);
        assert_eq!(broken(figures(1_031.0, 0.0)), 1);
        assert_eq!(broken(figures(1_031.0, 0.001)), 2);
        assert_eq!(broken(BTreeMap::new()), 1);
        assert_eq!(compare(&BTreeMap::new(), &then, TOLERANCE, true).len(), 1);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CASES.len());
    }
}
