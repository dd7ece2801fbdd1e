//! `cargo xtask generate`: runs the package monitoring, whose dependencies are not to be this one's.

use std::path::Path;

use anyhow::Result;

use crate::command::Cmd;

pub(crate) const EXAMPLES: &str = "\
Examples:
  cargo xtask generate                  write what is committed anew
  cargo xtask generate --check          say what differs, and fail if anything does
  cargo xtask generate --prefix acme --out ops/monitoring
  cargo xtask generate -- --help        all options";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Options of the generator, such as --check, --prefix WORD, --requests NAMES and --out DIR.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "OPTIONS"
    )]
    options: Vec<String>,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    Cmd::cargo(root)
        .args(["run", "--quiet", "--package", "monitoring", "--"])
        .args(&args.options)
        .run()
}
