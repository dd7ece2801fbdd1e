//! `cargo xtask test`: the programs that tests start, and all tests, in four parts.

use std::path::Path;

use anyhow::{Result, bail};

use crate::command::Cmd;
use crate::summary::Summary;
use crate::tools::{self, cargo::NEXTEST};

pub(crate) const EXAMPLES: &str = "\
Examples:
  cargo xtask test                           everything
  cargo xtask test --quick                   without real servers, and fetching none
  cargo xtask test -- client_gone            tests with that in their names
  cargo xtask test --quick -- -p tower-observe
  NEXTEST_PROFILE=ci cargo xtask test        failures shown at once, and again at the end";

/// The programs that tests start. A test that finds one missing has it built, and may not last as long.
const PROGRAMS: [&str; 4] = ["--package", "scan-platform", "--package", "scan-worker"];

/// The libraries. Some of their features, such as TLS, no other member turns on.
const LIBRARIES: &str = "tower-*";

/// The package whose tests start servers of others.
const SERVER_TESTS: &str = "server-tests";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave out the tests against real servers, and fetch none.
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    tools: tools::Folder,
    /// Arguments for cargo-nextest, such as a filter; the doctests are then left out.
    #[arg(last = true, value_name = "NEXTEST ARGUMENTS")]
    nextest: Vec<String>,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let dir = args.tools.create(root)?;
    tools::cargo::ensure(&dir, &[&NEXTEST])?;
    if !args.quick {
        tools::debian::ensure(&dir, tools::debian::SUITES)?;
        tools::node::ensure(&dir)?;
    }
    let nextest = || {
        NEXTEST
            .command(&dir, root)
            .args(["nextest", "run"])
            .env(tools::FOLDER_VARIABLE, &dir)
    };
    let mut summary = Summary::new("test");
    if args.nextest.is_empty() {
        // These parts compile the same packages with the same features, so that nothing is compiled
        // twice; what is run is chosen by an expression.
        let part = |expression: String| {
            nextest()
                .args(["--workspace", "-E", &expression])
                .run()
                .map(nothing_to_say)
        };
        summary.part("programs", || {
            let build = Cmd::cargo(root).arg("build").args(PROGRAMS);
            build.run().map(nothing_to_say)
        });
        summary.part("unit and integration", || {
            part(format!("not package(={SERVER_TESTS})"))
        });
        summary.part("libraries with all features", || {
            nextest()
                .args(["--package", LIBRARIES, "--all-features"])
                .run()
                .map(nothing_to_say)
        });
        summary.part("doctests", || doctests(root));
        if !args.quick {
            summary.part("real servers", || part(format!("package(={SERVER_TESTS})")));
        }
    } else {
        let packages = packages(args.quick, &args.nextest);
        summary.part("chosen tests", || {
            nextest()
                .args(packages)
                .args(&args.nextest)
                .run()
                .map(nothing_to_say)
        });
    }
    if args.quick {
        println!("\nLeft out by --quick: the tests against real servers (package {SERVER_TESTS}).");
    }
    if !args.nextest.is_empty() {
        println!("\nLeft out because tests were chosen: the doctests.");
    }
    summary.finish()
}

fn nothing_to_say((): ()) -> String {
    String::new()
}

/// The packages to choose tests from, unless the arguments name some. An expression would not do
/// here: one among the arguments would add to it, not narrow it.
fn packages(quick: bool, arguments: &[String]) -> &'static [&'static str] {
    if arguments
        .iter()
        .any(|argument| argument.starts_with("-p") || argument.starts_with("--package"))
    {
        &[]
    } else if quick {
        &["--workspace", "--exclude", SERVER_TESTS]
    } else {
        &["--workspace"]
    }
}

/// cargo-nextest does not run doctests. Members without a library have none.
fn doctests(root: &Path) -> Result<String> {
    let (output, verdict) = Cmd::cargo(root)
        .args(["test", "--doc", "--workspace", "--no-fail-fast"])
        .tee()?;
    verdict?;
    match passed(&output) {
        0 => bail!("no doctest ran"),
        count => Ok(format!("{count} passed")),
    }
}

/// The passed tests in libtest's output, which has a line `test result: ok. 3 passed; 0 failed; …`
/// for each package.
fn passed(output: &str) -> u32 {
    let count = |line: &str| {
        line.strip_prefix("test result: ok. ")?
            .split(' ')
            .next()?
            .parse::<u32>()
            .ok()
    };
    output.lines().filter_map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_that_the_arguments_name_are_the_only_ones() {
        let packages = |quick, arguments: &[&str]| {
            packages(
                quick,
                &arguments
                    .iter()
                    .map(|&argument| argument.to_owned())
                    .collect::<Vec<_>>(),
            )
            .join(" ")
        };
        assert_eq!(packages(false, &["client_gone"]), "--workspace");
        assert_eq!(
            packages(true, &["-E", "test(gone)"]),
            "--workspace --exclude server-tests"
        );
        assert_eq!(packages(true, &["-p", "tower-observe"]), "");
        assert_eq!(packages(false, &["gone", "--package=tower-observe"]), "");
    }

    #[test]
    fn passed_doctests_are_counted_over_all_packages() {
        let output = "\nrunning 2 tests\ntest crates/a/src/lib.rs - (line 8) ... ok\n\n\
                      test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.20s\n\n\
                      running 0 tests\n\n\
                      test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
                      test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(passed(output), 5);
        assert_eq!(passed(""), 0);
    }
}
