//! Cargo's companions, built from source at fixed versions into `cargo/` of the tools' folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::{Release, Row, check, lock};
use crate::command::{Cmd, on_path};
use crate::summary::seconds;

/// A package with one program of the same name.
#[derive(Debug)]
pub(crate) struct Tool {
    name: &'static str,
    release: Release,
    features: &'static [&'static str],
    /// Whether one on `PATH`, of whatever version, will do.
    any_on_path: bool,
}

pub(crate) const DENY: Tool = Tool {
    name: "cargo-deny",
    release: Release(&[0, 20, 2]),
    features: &[],
    any_on_path: false,
};

pub(crate) const MACHETE: Tool = Tool {
    name: "cargo-machete",
    release: Release(&[0, 9, 2]),
    features: &[],
    any_on_path: false,
};

/// Any version serves that `.config/nextest.toml` admits. Without `self-update`, which brings an
/// HTTP client.
pub(crate) const NEXTEST: Tool = Tool {
    name: "cargo-nextest",
    release: Release(&[0, 9, 143]),
    features: &["default-no-update"],
    any_on_path: true,
};

pub(crate) const ALL: &[&Tool] = &[&DENY, &MACHETE, &NEXTEST];

impl Tool {
    /// Where the program is, or where it would be put.
    pub(crate) fn path(&self, dir: &Path) -> PathBuf {
        let installed = || on_path(self.name).filter(|_| self.any_on_path);
        installed().unwrap_or_else(|| root(dir).join("bin").join(self.name))
    }

    fn wanted(&self, dir: &Path) -> Release {
        if self.path(dir).starts_with(dir) {
            self.release
        } else {
            Release(&[])
        }
    }

    /// What is wrong with the program, if anything is.
    pub(crate) fn check(&self, dir: &Path) -> Result<()> {
        check(&self.path(dir), self.wanted(dir)).map(drop)
    }

    /// The program, without the name after `cargo-` that cargo would give it as its first argument.
    pub(crate) fn command(&self, dir: &Path, workspace: &Path) -> Cmd {
        Cmd::new(self.path(dir)).dir(workspace)
    }
}

/// What cargo takes for its `--root`.
fn root(dir: &Path) -> PathBuf {
    dir.join("cargo")
}

pub(super) fn list(dir: &Path) -> Vec<Row> {
    let row = |tool: &&Tool| Row {
        name: tool.name.to_owned(),
        wanted: tool.release,
        state: check(&tool.path(dir), tool.wanted(dir)),
        path: tool.path(dir),
    };
    ALL.iter().map(row).collect()
}

/// Builds those of the tools that are not there.
pub(crate) fn ensure(dir: &Path, tools: &[&Tool]) -> Result<()> {
    let missing = || tools.iter().filter(|tool| tool.check(dir).is_err());
    if missing().next().is_none() {
        return Ok(());
    }
    let _lock = lock(dir)?;
    let build = dir.join("build");
    // Another run may have built some while this one waited for the lock.
    for tool in missing() {
        println!(
            "tools: building {} {}; this takes a minute or two, once",
            tool.name, tool.release
        );
        let started = Instant::now();
        install(tool, dir, &build).with_context(|| {
            format!(
                "cannot build {}; it comes from the registry, is that in reach?",
                tool.name
            )
        })?;
        tool.check(dir)?;
        println!(
            "tools: built {} in {}",
            tool.name,
            seconds(started.elapsed())
        );
    }
    if build.exists() {
        fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))?;
    }
    Ok(())
}

/// `cargo install` puts the program into its place only when it is whole.
fn install(tool: &Tool, dir: &Path, build: &Path) -> Result<()> {
    let mut cmd = Cmd::new("cargo").args(["install", "--quiet", "--locked", "--force"]);
    // Half the time to compile, and quick enough for a workspace.
    cmd = cmd
        .arg("--debug")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_INCREMENTAL", "0");
    if !tool.features.is_empty() {
        cmd = cmd
            .args(["--no-default-features", "--features"])
            .arg(tool.features.join(","));
    }
    cmd.arg("--root")
        .arg(root(dir))
        .arg("--version")
        .arg(format!("={}", tool.release))
        .arg(tool.name)
        .env("CARGO_TARGET_DIR", build)
        .dir(dir)
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_ones_are_never_taken_from_the_path() {
        let dir = Path::new("/tools");
        assert_eq!(DENY.path(dir), Path::new("/tools/cargo/bin/cargo-deny"));
        assert_eq!(
            MACHETE.path(dir),
            Path::new("/tools/cargo/bin/cargo-machete")
        );
    }
}
