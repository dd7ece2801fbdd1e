//! The programs of others that the tests and lints run, fetched into a folder of their own.
//!
//! Nothing of it is installed: removing the folder removes everything. The layout, which the server
//! tests rely on (they find the folder in the environment variable `OBSERVABILITY_TOOLS`, an
//! absolute path):
//!
//! ```text
//! target/tools/
//!   trixie/usr/bin/   prometheus 2.53, promtool, prometheus-alertmanager, amtool,
//!                     prometheus-pushgateway, prometheus-postgres-exporter, etcd, docker-compose, redis-server,
//!                     victoria-metrics
//!   trixie/usr/lib/postgresql/17/bin/
//!                     initdb, postgres
//!   benches/usr/bin/  valgrind, wrk, h2load: only for `cargo xtask bench`
//!   benches-python/   python with FastAPI and uvicorn: only for `cargo xtask bench`
//!   forky/usr/bin/    prometheus 3, promtool, docker-compose
//!   cargo/bin/        cargo-deny, cargo-machete, and cargo-nextest if the machine has none
//!   python/bin/       python with the packages grpcio, lscl and prometheus-client; node
//!   node/node_modules/
//!                     @grafana/schema, typescript
//! ```

pub(crate) mod cargo;
pub(crate) mod debian;
mod loader;
pub(crate) mod node;
pub(crate) mod python;
mod sources;

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::command::Cmd;

/// The environment variable by which the tests find the folder.
pub(crate) const FOLDER_VARIABLE: &str = "OBSERVABILITY_TOOLS";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Fetch only this group.
    #[arg(long, value_name = "GROUP")]
    only: Option<Group>,
    /// List the tools with version, state and path; fetch nothing.
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    pub(crate) folder: Folder,
}

/// Where the tools are.
#[derive(Debug, clap::Args)]
pub(crate) struct Folder {
    /// The folder of the tools [default: target/tools of the workspace].
    #[arg(long = "dir", value_name = "FOLDER", env = FOLDER_VARIABLE)]
    dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Group {
    /// Servers and checkers from Debian trixie and forky.
    Debian,
    /// What counts and loads in the benches, from Debian trixie; fetched only if asked for.
    Benches,
    /// Cargo's companions, built from source.
    Cargo,
    /// Python with the packages of the tests' clients, and Node.js.
    Python,
    /// Packages for Node.js.
    Node,
}

impl Folder {
    /// The folder as an absolute path, created if need be.
    pub(crate) fn create(&self, root: &Path) -> Result<PathBuf> {
        let dir = self
            .dir
            .clone()
            .unwrap_or_else(|| root.join("target").join("tools"));
        fs::create_dir_all(&dir)
            .with_context(|| format!("cannot create the folder {}", dir.display()))?;
        fs::canonicalize(&dir)
            .with_context(|| format!("cannot resolve the folder {}", dir.display()))
    }
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let dir = args.folder.create(root)?;
    let wanted = |group| args.only.is_none_or(|only| only == group);
    if args.list {
        let mut rows = Vec::new();
        if wanted(Group::Debian) || args.only == Some(Group::Benches) {
            rows.extend(debian::list(&dir));
        }
        if wanted(Group::Cargo) {
            rows.extend(cargo::list(&dir));
        }
        if wanted(Group::Python) {
            rows.extend(python::list(&dir, &python::TESTS));
        }
        if wanted(Group::Node) {
            rows.extend(node::list(&dir));
        }
        print_list(&rows);
        return Ok(());
    }
    if wanted(Group::Debian) {
        debian::ensure(&dir, debian::SUITES)?;
    }
    if args.only == Some(Group::Benches) {
        debian::ensure(&dir, debian::BENCHES)?;
        python::ensure(&dir, &python::BENCHES)?;
    }
    if wanted(Group::Cargo) {
        cargo::ensure(&dir, cargo::ALL)?;
    }
    if wanted(Group::Python) {
        python::ensure(&dir, &python::TESTS)?;
    }
    if wanted(Group::Node) {
        node::ensure(&dir)?;
    }
    println!("tools: all there, in {}", dir.display());
    Ok(())
}

/// One line of `--list`.
#[derive(Debug)]
struct Row {
    name: String,
    wanted: Release,
    state: Result<Version>,
    path: PathBuf,
}

fn print_list(rows: &[Row]) {
    let name_width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    for Row {
        name,
        wanted,
        state,
        path,
    } in rows
    {
        let (state, version) = match state {
            Ok(version) => ("present", version.to_string()),
            Err(_) if path.exists() => ("UNFIT  ", wanted.to_string()),
            Err(_) => ("missing", wanted.to_string()),
        };
        println!(
            "{name:name_width$}  {version:<8}  {state}  {}",
            path.display()
        );
    }
}

/// Lets one run at a time change the folder; the lock ends with the value.
fn lock(dir: &Path) -> Result<File> {
    let path = dir.join(".lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            println!("tools: waiting for another run to leave {}", dir.display());
            file.lock()
                .with_context(|| format!("cannot lock {}", path.display()))?;
        }
        Err(TryLockError::Error(error)) => bail!("cannot lock {}: {error}", path.display()),
    }
    Ok(file)
}

/// The version a program says it has, as far as it is numbers: `2.53.3+ds1` is 2.53.3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version(Vec<u32>);

impl Version {
    /// Finds the first word that is a version in what a program wrote for `--version`.
    fn find(output: &str) -> Option<Self> {
        output
            .split(|c: char| c.is_whitespace() || matches!(c, ',' | '=' | '/'))
            .find_map(Self::parse)
    }

    fn parse(word: &str) -> Option<Self> {
        // As in v3.5.16 or valgrind-3.24.0.
        let bare = word.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let word = match bare.strip_prefix('-') {
            Some(rest) if bare.len() < word.len() => rest,
            _ => bare,
        };
        let end = word
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(word.len());
        let numbers = word.get(..end)?.trim_end_matches('.');
        let numbers: Vec<u32> = numbers
            .split('.')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .ok()?;
        (numbers.len() > 1).then_some(Self(numbers))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&dotted(&self.0))
    }
}

/// The versions that will do: those that begin with these numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Release(&'static [u32]);

impl Release {
    fn has(self, version: &Version) -> bool {
        version.0.starts_with(self.0)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("any"),
            [_, _, _] => f.write_str(&dotted(self.0)),
            _ => write!(f, "{}.x", dotted(self.0)),
        }
    }
}

fn dotted(numbers: &[u32]) -> String {
    numbers
        .iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(".")
}

/// Runs a program for its version, and says what is wrong unless it is one of the release.
fn check(program: &Path, wanted: Release) -> Result<Version> {
    let version = Cmd::new(program).arg("--version");
    check_said(&program.display(), version, wanted, 0)
}

/// The same of anything whose version a command tells.
fn check_said(
    name: &dyn fmt::Display,
    mut command: Cmd,
    wanted: Release,
    ends_with: i32,
) -> Result<Version> {
    let output = command.output()?;
    // Some write it to standard error.
    let said = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    if output.status.code() != Some(ends_with) {
        bail!(
            "{name} does not run here: `{command}` ended with {}\n{}",
            output.status,
            said.trim_end()
        );
    }
    match Version::find(&said) {
        Some(version) if wanted.has(&version) => Ok(version),
        Some(version) => bail!("{name} is version {version}, wanted is {wanted}"),
        None => bail!("{name} did not tell its version:\n{}", said.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(output: &str) -> Option<String> {
        Version::find(output).map(|version| version.to_string())
    }

    #[test]
    fn versions_are_found_in_what_the_programs_really_write() {
        let prometheus = "prometheus, version 2.53.3+ds1 (branch: debian/sid, revision: 2.53.3+ds1-2)\n  go version: go1.24";
        assert_eq!(version(prometheus).as_deref(), Some("2.53.3"));
        assert_eq!(
            version("Docker Compose version 2.26.1-4").as_deref(),
            Some("2.26.1")
        );
        assert_eq!(
            version("Docker Compose version v2.40.3\n").as_deref(),
            Some("2.40.3")
        );
        assert_eq!(
            version("postgres (PostgreSQL) 17.12 (Debian 17.12-0+deb13u1)").as_deref(),
            Some("17.12")
        );
        let redis =
            "Redis server v=8.0.2 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=b843bbd0";
        assert_eq!(version(redis).as_deref(), Some("8.0.2"));
        assert_eq!(version("cargo-deny 0.20.2").as_deref(), Some("0.20.2"));
        assert_eq!(version("0.9.2\n").as_deref(), Some("0.9.2"));
        assert_eq!(
            version("etcd Version: 3.5.16\nGit SHA: Not provided (use ./build instead of go build)\nGo Version: go1.24.0")
                .as_deref(),
            Some("3.5.16")
        );
        assert_eq!(
            version("cargo-nextest 0.9.143 (60fa45f63 2026-08-04)").as_deref(),
            Some("0.9.143")
        );
        assert_eq!(version("valgrind-3.24.0\n").as_deref(), Some("3.24.0"));
        assert_eq!(
            version("h2load nghttp2/1.64.0\n").as_deref(),
            Some("1.64.0")
        );
    }

    #[test]
    fn a_text_without_a_version_has_none() {
        assert_eq!(version("usage: 3 options, v, . and -1.2"), None);
        assert_eq!(version(""), None);
    }

    #[test]
    fn a_release_compares_numbers_not_letters() {
        let has =
            |release: &'static [u32], word| Release(release).has(&Version::parse(word).unwrap());
        assert!(has(&[2, 53], "2.53.3"));
        assert!(has(&[3], "3.5.3"));
        assert!(has(&[0, 20, 2], "0.20.2"));
        assert!(!has(&[2, 53], "2.530.1"));
        assert!(!has(&[3], "30.1"));
        assert!(!has(&[2, 53, 3], "2.53"));
    }

    #[test]
    fn a_release_is_shown_as_what_is_fixed_of_it() {
        assert_eq!(Release(&[]).to_string(), "any");
        assert_eq!(Release(&[3]).to_string(), "3.x");
        assert_eq!(Release(&[2, 53]).to_string(), "2.53.x");
        assert_eq!(Release(&[0, 20, 2]).to_string(), "0.20.2");
    }

    #[test]
    fn a_wrong_version_is_named_with_the_wanted_one() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("prometheus");
        fs::write(&script, "#!/bin/sh\necho prometheus, version 2.42.0\n").unwrap();
        Cmd::new("chmod").arg("+x").arg(&script).read().unwrap();
        let error = check(&script, Release(&[3])).unwrap_err().to_string();
        assert!(
            error.ends_with("prometheus is version 2.42.0, wanted is 3.x"),
            "{error}"
        );
    }
}
