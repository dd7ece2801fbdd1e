//! `cargo xtask bench`: hands over to the runner in `benches/`.

use std::path::Path;

use anyhow::Result;

use crate::command::Cmd;

pub(crate) const EXAMPLES: &str = "\
Examples:
  cargo xtask bench                      everything
  cargo xtask bench --group json-line    one group
  cargo xtask bench --quick              few rounds, to see that it runs
  cargo xtask bench -- --help            the options of the runner itself";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only this group.
    #[arg(long)]
    group: Option<String>,
    /// Few rounds: shows that everything runs, the numbers mean little.
    #[arg(long)]
    quick: bool,
    /// Further arguments for the runner.
    #[arg(last = true)]
    runner: Vec<String>,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    command(root, args).run()
}

fn command(root: &Path, args: &Args) -> Cmd {
    let profile = ["run", "--profile", "bench", "--quiet"];
    let package = ["--package", "benches", "--features", "peers", "--"];
    let mut cmd = Cmd::cargo(root).args(profile).args(package);
    if let Some(group) = &args.group {
        cmd = cmd.arg("--group").arg(group);
    }
    if args.quick {
        cmd = cmd.arg("--quick");
    }
    cmd.args(&args.runner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_are_passed_on() {
        let args = Args {
            group: Some("json-line".into()),
            quick: true,
            runner: vec!["--rounds=3".into()],
        };
        assert_eq!(
            command(Path::new("/"), &args).to_string(),
            "cargo run --profile bench --quiet --package benches --features peers -- \
             --group json-line --quick --rounds=3"
        );
    }
}
