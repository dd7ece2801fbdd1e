//! `cargo xtask bench`: hands over to the programs in `benches/`.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::command::Cmd;
use crate::tools::{self, Folder, debian, python};

pub(crate) const EXAMPLES: &str = "\
Examples:
  cargo xtask bench                      everything; the report is target/bench/report.json
  cargo xtask bench --group json-line    one group
  cargo xtask bench --quick              few rounds, to see that it runs
  cargo xtask bench --json               the report on standard output, too
  cargo xtask bench --write              everything, and benches/REPORT.md and the README's figures from it
  cargo xtask bench --check              instructions and allocations against benches/baseline.json
  cargo xtask bench --bless              write that baseline anew
  cargo xtask bench -- --help            the options of the runner itself";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only this group.
    #[arg(long)]
    group: Option<String>,
    /// Few rounds: shows that everything runs, the numbers mean little.
    #[arg(long)]
    quick: bool,
    /// Write the report to standard output, as JSON, and the tables to standard error.
    #[arg(long)]
    json: bool,
    /// Write what is committed anew: benches/report.json, benches/REPORT.md, the README's figures. With a
    /// group, only its own, if the others were measured on this machine and day.
    #[arg(long, conflicts_with_all = ["quick"])]
    write: bool,
    /// Count instructions and allocations of our own layers, and fail if one is above its baseline by
    /// more than 3 %. No peer is compiled, and no clock is read.
    #[arg(long, conflicts_with_all = ["group", "quick", "json", "write"])]
    check: bool,
    /// Write the baseline of --check anew.
    #[arg(long, conflicts_with_all = ["group", "quick", "json", "write", "check"])]
    bless: bool,
    #[command(flatten)]
    tools: Folder,
    /// Further arguments for the runner.
    #[arg(last = true)]
    runner: Vec<String>,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let dir = args.tools.create(root)?;
    // Always this one, and not the machine's: what it counts depends on its version.
    debian::ensure(&dir, debian::BENCHES)?;
    if !args.check && !args.bless {
        python::ensure(&dir, &python::BENCHES)?;
    }
    let mut cmd = command(root, args).env(tools::FOLDER_VARIABLE, &dir);
    let is_served = args
        .group
        .as_deref()
        .is_none_or(|group| group == END_TO_END);
    if is_served && !args.check && !args.bless {
        cmd = cmd.env("BENCHES_PLATFORM", &platform(root)?);
    }
    cmd.run()
}

const END_TO_END: &str = "end-to-end";

/// Compiles the program that serves the scan platform. It has another set of features than the one that measures: what
/// the platform turns on in axum and others would cost all sides of all comparisons.
fn platform(root: &Path) -> Result<PathBuf> {
    let cmd = Cmd::cargo(root).args(["build", "--profile", "bench", "--quiet"]);
    let cmd = cmd.args(["--package", "benches", "--features", "platform"]);
    cmd.args(["--bin", "benches"]).run()?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let built = target.join("release/benches");
    let kept = target.join("release/benches-platform");
    fs::copy(&built, &kept)
        .with_context(|| format!("cannot copy {} to {}", built.display(), kept.display()))?;
    Ok(kept)
}

fn command(root: &Path, args: &Args) -> Cmd {
    let cmd = Cmd::cargo(root).args([
        "run",
        "--profile",
        "bench",
        "--quiet",
        "--package",
        "benches",
    ]);
    if args.check || args.bless {
        let cmd = cmd.args(["--features", "ours", "--bin", "steady", "--"]);
        let cmd = if args.bless { cmd.arg("--bless") } else { cmd };
        return cmd.args(&args.runner);
    }
    let mut cmd = cmd.args(["--features", "peers", "--bin", "benches", "--"]);
    if let Some(group) = &args.group {
        cmd = cmd.arg("--group").arg(group);
    }
    for (given, option) in [
        (args.quick, "--quick"),
        (args.json, "--json"),
        (args.write, "--write"),
    ] {
        if given {
            cmd = cmd.arg(option);
        }
    }
    cmd.args(&args.runner)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn given(arguments: &[&str]) -> String {
        let cli = Cli::try_parse_from([&["bench"], arguments].concat()).unwrap();
        command(Path::new("/"), &cli.args).to_string()
    }

    #[test]
    fn the_options_are_passed_on() {
        assert_eq!(
            given(&["--group", "json-line", "--quick", "--", "--rounds=3"]),
            "cargo run --profile bench --quiet --package benches --features peers --bin benches -- \
             --group json-line --quick --rounds=3"
        );
    }

    #[test]
    fn the_check_compiles_no_peer() {
        let cmd =
            "cargo run --profile bench --quiet --package benches --features ours --bin steady --";
        assert_eq!(given(&["--check"]), cmd);
        assert_eq!(given(&["--bless"]), format!("{cmd} --bless"));
    }

    #[test]
    fn figures_that_mean_little_are_not_written() {
        assert!(Cli::try_parse_from(["bench", "--write", "--quick"]).is_err());
    }
}
