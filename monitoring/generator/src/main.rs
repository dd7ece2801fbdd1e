//! The command behind `cargo xtask generate`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Parser;
use monitoring::{Options, files, readme};

const EXAMPLES: &str = "\
Examples:
  cargo xtask generate                  write what is committed anew
  cargo xtask generate --check          say what would change, and change nothing
  cargo xtask generate --prefix acme --out ops/monitoring
      For a service whose series are acme_scans_total and so on, scraped as job acme
  cargo xtask generate --prefix acme --requests open-telemetry --grpc open-telemetry --scans open-telemetry \
      --out ops/monitoring
      The same with OpenTelemetry's names, where it has any
  cargo xtask generate --runbook-url https://example.com/runbook.md --out ops/monitoring
      With links in the alerts that can be followed";

/// Write rules, their tests, dashboards, the runbook and the README's table of series, from what the crates say
/// they record.
///
/// A rule, panel or chapter about a series that the chosen names do not have is left out, and said so. One that
/// names a series, a label or a bucket that nobody records is an error.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask generate", bin_name = "cargo xtask generate", after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// Where to write, instead of the committed files; the README is then left alone
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Say what differs, and write nothing; fails if anything does
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode> {
    let monitoring = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let out = cli.out.as_deref().unwrap_or(&monitoring);
    let mut written = Vec::new();
    for file in files(&cli.options)? {
        for line in &file.left_out {
            println!("{}: left out {line}", file.path.display());
        }
        written.push((out.join(&file.path), file.text));
    }
    if cli.out.is_none() {
        let path = monitoring.join("../README.md");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = readme(&text)?;
        written.push((path, text));
    }
    let mut differ = false;
    for (path, text) in written {
        if fs::read_to_string(&path).is_ok_and(|there| there == text) {
            continue;
        }
        differ = true;
        if cli.check {
            println!(
                "{} is not what `cargo xtask generate` writes",
                path.display()
            );
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(if cli.check && differ {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
