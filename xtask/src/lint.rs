//! `cargo xtask lint`: everything that can be checked without running the code.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::command::Cmd;
use crate::summary::Summary;
use crate::tools::{self, cargo::DENY, cargo::MACHETE};
use crate::weight;
use crate::workspace::{self, Package};

pub(crate) const EXAMPLES: &str = "\
Examples:
  cargo xtask lint                     all checks
  cargo xtask lint --list              what is checked
  cargo xtask lint --only fmt,clippy   some checks";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only these checks.
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    only: Vec<Check>,
    /// List the checks; run none.
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    tools: tools::Folder,
}

/// The checks in the order they are run: the quick ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Check {
    /// The format is rustfmt's.
    Fmt,
    /// No manifest has a key that cargo does not know, or anything else cargo warns of.
    Manifests,
    /// Every member has a table of lints.
    LintTables,
    /// Clippy has nothing to say, with all features.
    Clippy,
    /// Each published crate compiles without features, with each alone, with all.
    Features,
    /// The docs have no broken links and no other warnings.
    Docs,
    /// No published crate brings more crates than the README says, nor more than its budget.
    Weight,
    /// Licences, duplicates and sources of the dependencies are those of deny.toml.
    Dependencies,
    /// No member states a dependency it does not use.
    Unused,
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Manifests => "manifests",
            Self::LintTables => "lint-tables",
            Self::Clippy => "clippy",
            Self::Features => "features",
            Self::Docs => "docs",
            Self::Weight => "weight",
            Self::Dependencies => "dependencies",
            Self::Unused => "unused",
        }
    }

    fn run(self, root: &Path, tools: &tools::Folder) -> Result<String> {
        match self {
            Self::Fmt => Cmd::cargo(root).args(["fmt", "--all", "--check"]).run()?,
            Self::Manifests => manifests(root)?,
            Self::LintTables => lint_tables(root)?,
            Self::Clippy => {
                let scope = [
                    "clippy",
                    "--workspace",
                    "--exclude",
                    PEERS,
                    "--all-targets",
                    "--all-features",
                    "--keep-going",
                ];
                Cmd::cargo(root).args(scope).args(DENY_WARNINGS).run()?;
                let ours = [
                    "clippy",
                    "--package",
                    PEERS,
                    "--features",
                    "ours",
                    "--all-targets",
                ];
                Cmd::cargo(root).args(ours).args(DENY_WARNINGS).run()?;
            }
            Self::Features => return features(root),
            Self::Docs => Cmd::cargo(root)
                .args([
                    "doc",
                    "--workspace",
                    "--exclude",
                    PEERS,
                    "--no-deps",
                    "--all-features",
                    "--keep-going",
                ])
                .env("RUSTDOCFLAGS", "-D warnings")
                .run()?,
            Self::Weight => return weight::check(root),
            Self::Dependencies => dependencies(root, tools)?,
            Self::Unused => {
                let dir = tools.create(root)?;
                tools::cargo::ensure(&dir, &[&MACHETE])?;
                MACHETE.command(&dir, root).run()?;
            }
        }
        Ok(String::new())
    }
}

/// With all features it brings every peer, which only `cargo xtask bench` is to compile.
const PEERS: &str = "benches";

/// Flags in the environment would have everything compiled anew, dependencies included;
/// `build.warnings` came with cargo 1.97.
const DENY_WARNINGS: [&str; 3] = ["--", "-D", "warnings"];

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    if args.list {
        for check in Check::value_variants() {
            let help = check
                .to_possible_value()
                .and_then(|value| value.get_help().map(ToString::to_string));
            println!("{:<13} {}", check.name(), help.unwrap_or_default());
        }
        return Ok(());
    }
    let mut summary = Summary::new("lint");
    for check in Check::value_variants() {
        if args.only.is_empty() || args.only.contains(check) {
            summary.part(check.name(), || check.run(root, &args.tools));
        }
    }
    summary.finish()
}

/// Of the commands that do not compile, `cargo fetch` alone warns of manifests.
fn manifests(root: &Path) -> Result<()> {
    // By itself first, so that words about the network are not taken for words about a manifest.
    Cmd::cargo(root).args(["fetch", "--quiet"]).run()?;
    let mut cmd = Cmd::cargo(root).args(["fetch", "--offline"]);
    let output = cmd.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let warnings = warnings(&said);
    if !output.status.success() {
        bail!("`{cmd}` failed: {}\n{}", output.status, said.trim_end());
    }
    if !warnings.is_empty() {
        bail!("cargo warns of the manifests:\n{}", warnings.join("\n"));
    }
    Ok(())
}

fn warnings(said: &str) -> Vec<&str> {
    said.lines()
        .filter(|line| line.trim_start().starts_with("warning"))
        .collect()
}

fn lint_tables(root: &Path) -> Result<()> {
    let mut without = Vec::new();
    for package in workspace::packages(root)? {
        let text = fs::read_to_string(&package.manifest)
            .with_context(|| format!("cannot read {}", package.manifest.display()))?;
        if !has_lint_table(&text) {
            without.push(package.name);
        }
    }
    if !without.is_empty() {
        bail!(
            "no table of lints, write `[lints]` with `workspace = true` into the manifest of: {}",
            without.join(", ")
        );
    }
    Ok(())
}

fn has_lint_table(manifest: &str) -> bool {
    manifest
        .lines()
        .any(|line| line.starts_with("[lints]") || line.starts_with("[lints."))
}

fn features(root: &Path) -> Result<String> {
    let mut failed = Vec::new();
    let mut count = 0;
    for package in workspace::packages(root)?
        .iter()
        .filter(|package| package.published)
    {
        for set in feature_sets(package) {
            let cmd = Cmd::cargo(root)
                .args([
                    "clippy",
                    "--quiet",
                    "--lib",
                    "--package",
                    &package.name,
                    "--no-default-features",
                ])
                .args(&set)
                .args(DENY_WARNINGS);
            count += 1;
            if cmd.run().is_err() {
                let set = if set.is_empty() {
                    "--no-default-features".to_owned()
                } else {
                    set.join(" ")
                };
                failed.push(format!("{} {set}", package.name));
            }
        }
    }
    if !failed.is_empty() {
        bail!(
            "{} of {count} sets of features do not compile without warnings: {}",
            failed.len(),
            failed.join("; ")
        );
    }
    if count == 0 {
        bail!("no published crate was found");
    }
    Ok(format!("{count} sets"))
}

/// None, each alone, all; the latter only where it differs.
fn feature_sets(package: &Package) -> Vec<Vec<String>> {
    let mut sets = vec![Vec::new()];
    sets.extend(
        package
            .features
            .iter()
            .map(|feature| vec!["--features".to_owned(), feature.clone()]),
    );
    if package.features.len() > 1 {
        sets.push(vec!["--all-features".to_owned()]);
    }
    sets
}

/// The advisories are left out: their database is a git repository that would have to be fetched
/// each time.
fn dependencies(root: &Path, tools: &tools::Folder) -> Result<()> {
    let dir = tools.create(root)?;
    tools::cargo::ensure(&dir, &[&DENY])?;
    // All members for where the code comes from; for the rest what deny.toml says: what users
    // compile.
    Cmd::cargo(root).args(["fetch", "--quiet"]).run()?;
    let deny = || DENY.command(&dir, root).arg("--offline");
    // A licence or an exception that nothing needs any more is a warning.
    let check = ["check", "--deny", "warnings"];
    let users = deny()
        .args(["--exclude-unpublished", "--exclude-dev"])
        .args(check)
        .args(["bans", "licenses"])
        .run();
    let everything = deny().args(check).arg("sources").run();
    users.and(everything)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_checks_are_those_of_the_command_line() {
        for check in Check::value_variants() {
            assert_eq!(check.to_possible_value().unwrap().get_name(), check.name());
        }
    }

    #[test]
    fn features_are_tried_alone_and_together() {
        let package = |features: &[&str]| Package {
            name: "a".into(),
            manifest: "/a/Cargo.toml".into(),
            features: features.iter().map(|&feature| feature.into()).collect(),
            published: true,
        };
        let sets = |features| {
            feature_sets(&package(features))
                .iter()
                .map(|set| set.join(" "))
                .collect::<Vec<_>>()
        };
        assert_eq!(sets(&[]), [""]);
        assert_eq!(sets(&["axum"]), ["", "--features axum"]);
        assert_eq!(
            sets(&["axum", "tracing"]),
            [
                "",
                "--features axum",
                "--features tracing",
                "--all-features"
            ]
        );
    }

    #[test]
    fn a_table_of_lints_is_found_in_either_form() {
        assert!(has_lint_table(
            "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n"
        ));
        assert!(has_lint_table("[lints.rust]\nunsafe_code = \"forbid\"\n"));
        assert!(!has_lint_table(
            "[package]\n# [lints]\n[workspace.lints.rust]\n[lintser]\n"
        ));
    }

    #[test]
    fn warnings_are_told_from_progress() {
        let said =
            "    Updating index\nwarning: /w/Cargo.toml: unused manifest key: profile.dev.zork\n";
        assert_eq!(
            warnings(said),
            ["warning: /w/Cargo.toml: unused manifest key: profile.dev.zork"]
        );
        assert!(warnings("  Downloaded warning-crate v1.0.0\n").is_empty());
    }
}
