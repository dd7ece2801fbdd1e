//! Servers and checkers from two Debian suites, fetched by name and unpacked, not installed.
//!
//! Debian's Go programs need hardly more than a C library of 2022, so those of newer suites run on
//! older machines; PostgreSQL and Redis are given the libraries of their suite ([`loader`]). apt is given sources, lists and a cache of its own, and knows nothing of what
//! the machine has installed or prefers. It checks the signatures against the machine's keyring of
//! the Debian archive.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use super::{Release, Row, Version, check_said, loader, lock, sources};
use crate::command::{Cmd, on_path};
use crate::summary::seconds;

/// Written last into the folder of a suite; without it, and unless it names all wanted packages,
/// nothing counts.
const STAMP: &str = "fetched-versions";

const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
];

pub(crate) struct Suite {
    /// As Debian calls it.
    name: &'static str,
    /// Where in the tools' folder it goes: several sets can be from one suite.
    folder: &'static str,
    packages: &'static [&'static str],
    programs: &'static [Program],
}

/// A program of the suite.
struct Program {
    folder: &'static str,
    name: &'static str,
    release: Release,
    /// Whether it runs with the suite's own libraries, since the machine's may be older.
    own_libraries: bool,
    /// Its exit status when asked for its version.
    ends_with: i32,
}

const fn program(name: &'static str, release: &'static [u32]) -> Program {
    Program {
        folder: "usr/bin",
        name,
        release: Release(release),
        own_libraries: false,
        ends_with: 0,
    }
}

const fn with_libraries(
    folder: &'static str,
    name: &'static str,
    release: &'static [u32],
) -> Program {
    Program {
        folder,
        name,
        release: Release(release),
        own_libraries: true,
        ends_with: 0,
    }
}

/// Where Debian puts the programs of a PostgreSQL server, which look for each other there.
const POSTGRESQL: &str = "usr/lib/postgresql/17/bin";

/// What the tests need.
pub(crate) const SUITES: &[Suite] = &[
    // Stable: the versions stay.
    Suite {
        name: "trixie",
        folder: "trixie",
        packages: &[
            "docker-compose",
            "etcd-server",
            "jq",
            "lnav",
            "postgresql-17",
            "prometheus",
            "prometheus-alertmanager",
            "prometheus-postgres-exporter",
            "prometheus-pushgateway",
            "promtool",
            "redis-server",
            "rsyslog",
            "rsyslog-elasticsearch",
            "victoria-metrics",
            // What those in C are linked with, and what that is linked with.
            "libacl1",
            "libarchive13t64",
            "libatomic1",
            "libaudit1",
            "libbrotli1",
            "libbz2-1.0",
            "libc6",
            "libcap-ng0",
            "libcap2",
            "libcom-err2",
            "libcurl3t64-gnutls",
            "libdb5.3t64",
            "libestr0",
            "libfastjson4",
            "libffi8",
            "libgcc-s1",
            "libgmp10",
            "libgnutls30t64",
            "libgssapi-krb5-2",
            "libhogweed6t64",
            "libicu76",
            "libidn2-0",
            "libjemalloc2",
            "libjq1",
            "libk5crypto3",
            "libkeyutils1",
            "libkrb5-3",
            "libkrb5support0",
            "libldap2",
            "liblognorm5",
            "liblz4-1",
            "liblzf1",
            "liblzma5",
            "libnettle8t64",
            "libnghttp2-14",
            "libnghttp3-9",
            "libngtcp2-16",
            "libngtcp2-crypto-gnutls8",
            "libonig5",
            "libp11-kit0",
            "libpam0g",
            "libpcre2-8-0",
            "libpq5",
            "libpsl5t64",
            "libreadline8t64",
            "librtmp1",
            "libsasl2-2",
            "libsqlite3-0",
            "libssh2-1t64",
            "libssl3t64",
            "libstdc++6",
            "libsystemd0",
            "libtasn1-6",
            "libtinfo6",
            "libunistring5",
            "libuuid1",
            "libxml2",
            "libxxhash0",
            "libzstd1",
            "redis-tools",
            "zlib1g",
        ],
        programs: &[
            program("amtool", &[0, 28]),
            program("docker-compose", &[2]),
            program("etcd", &[3, 5]),
            with_libraries(POSTGRESQL, "initdb", &[17]),
            with_libraries(POSTGRESQL, "postgres", &[17]),
            program("prometheus", &[2, 53]),
            program("prometheus-alertmanager", &[0, 28]),
            program("prometheus-postgres-exporter", &[0]),
            program("prometheus-pushgateway", &[1]),
            program("promtool", &[2, 53]),
            with_libraries("usr/bin", "redis-server", &[8]),
        ],
    },
    // Testing: the versions move, and stay as fetched until the folder is removed.
    Suite {
        name: "forky",
        folder: "forky",
        packages: &["docker-compose", "prometheus", "promtool"],
        programs: &[
            program("docker-compose", &[]),
            program("prometheus", &[3]),
            program("promtool", &[3]),
        ],
    },
];

/// What counts and what loads in the benches.
pub(crate) const BENCHES: &[Suite] = &[Suite {
    name: "trixie",
    folder: "benches",
    packages: &[
        "nghttp2-client",
        "valgrind",
        "wrk",
        // What those are linked with, and what that is linked with.
        "libc6",
        "libev4t64",
        "libgcc-s1",
        "libjansson4",
        "libjemalloc2",
        "libluajit-5.1-2",
        "libluajit-5.1-common",
        "liblzma5",
        "libnghttp2-14",
        "libssl3t64",
        "libstdc++6",
        "libxml2",
        "libzstd1",
        "zlib1g",
    ],
    programs: &[
        with_libraries("usr/bin", "h2load", &[1]),
        with_libraries("usr/bin", "valgrind.bin", &[3]),
        Program {
            ends_with: 1,
            ..with_libraries("usr/bin", "wrk", &[4])
        },
    ],
}];

/// A package of the machine's own system that the tools cannot do without. To need another one, add
/// a row.
pub(super) struct SystemPackage {
    pub(super) name: &'static str,
    pub(super) reason: &'static str,
    pub(super) present: fn() -> bool,
}

const SYSTEM_PACKAGES: &[SystemPackage] = &[SystemPackage {
    name: "debian-archive-keyring",
    reason: "it has the keys that Debian's packages are signed with",
    present: || keyring().is_some(),
}];

impl Suite {
    fn dir(&self, dir: &Path) -> PathBuf {
        dir.join(self.folder)
    }

    /// What is wrong with the suite unpacked in `dir`, if anything is.
    fn check(&self, dir: &Path) -> Result<()> {
        let stamp = dir.join(STAMP);
        let text = fs::read_to_string(&stamp)
            .with_context(|| format!("{} cannot be read", stamp.display()))?;
        for package in self.packages {
            if !text
                .lines()
                .any(|line| line.split(' ').next() == Some(package))
            {
                bail!("{} does not have {package}", dir.display());
            }
        }
        self.check_programs(dir)
    }

    fn check_programs(&self, dir: &Path) -> Result<()> {
        self.programs
            .iter()
            .try_for_each(|program| program.check(dir).map(drop))
    }
}

impl Program {
    fn path(&self, suite: &Path) -> PathBuf {
        suite.join(self.folder).join(self.name)
    }

    fn check(&self, suite: &Path) -> Result<Version> {
        let path = self.path(suite);
        let version = Cmd::new(&path).arg("--version");
        check_said(&path.display(), version, self.release, self.ends_with)
    }
}

pub(super) fn list(dir: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    for suite in SUITES.iter().chain(BENCHES) {
        let whole = suite.dir(dir).join(STAMP).exists();
        for program in suite.programs {
            let path = program.path(&suite.dir(dir));
            let mut state = program.check(&suite.dir(dir));
            if !whole {
                state = state.and_then(|_| bail!("the suite was not fetched to the end"));
            }
            rows.push(Row {
                name: format!("{} ({})", program.name, suite.folder),
                wanted: program.release,
                state,
                path,
            });
        }
    }
    rows
}

/// Fetches those of the suites that are not there.
pub(crate) fn ensure(dir: &Path, suites: &[Suite]) -> Result<()> {
    let missing = || {
        suites
            .iter()
            .filter(|suite| suite.check(&suite.dir(dir)).is_err())
    };
    if missing().next().is_none() {
        return Ok(());
    }
    let _lock = lock(dir)?;
    // Another run may have fetched some while this one waited for the lock.
    for suite in missing() {
        let remedy = || {
            format!(
                "cannot fetch the tools from Debian {}; where its archive is out of reach, `cargo xtask test --quick` \
                 does without them",
                suite.name
            )
        };
        require_debian(dir, suites)?;
        fetch(suite, dir).with_context(remedy)?;
    }
    Ok(())
}

/// Makes sure of apt, dpkg and the system's packages.
fn require_debian(dir: &Path, suites: &[Suite]) -> Result<()> {
    if on_path("apt-get").is_none() || on_path("dpkg").is_none() {
        let mut text = "this machine has no apt-get and dpkg, so the tools cannot be fetched from Debian. Put these \
                        programs there by other means, and beside each `usr` a file `fetched-versions` with a line \
                        `PACKAGE VERSION` for each package:"
            .to_owned();
        for suite in suites {
            for program in suite.programs {
                write!(
                    text,
                    "\n  {} {}",
                    program.path(&suite.dir(dir)).display(),
                    program.release
                )?;
            }
            write!(
                text,
                "\n  {} with {}",
                suite.dir(dir).join(STAMP).display(),
                suite.packages.join(", ")
            )?;
        }
        bail!(text);
    }
    SYSTEM_PACKAGES
        .iter()
        .filter(|package| !(package.present)())
        .try_for_each(apt_install)
}

/// Installs a package of the system, if this user may; otherwise says what to run.
pub(super) fn apt_install(package: &SystemPackage) -> Result<()> {
    let SystemPackage {
        name,
        reason,
        present,
    } = package;
    if Cmd::new("id").arg("-u").read()?.trim() != "0" {
        bail!(
            "the package {name} is needed ({reason}); run `sudo apt-get install -y --no-install-recommends {name}` first"
        );
    }
    println!("tools: installing {name}: {reason}");
    // A fresh container has no package lists.
    let apt = || {
        Cmd::new("apt-get")
            .arg("-qq")
            .env("DEBIAN_FRONTEND", "noninteractive")
    };
    apt().arg("update").run()?;
    apt()
        .args(["install", "-y", "--no-install-recommends", name])
        .run()?;
    if !present() {
        bail!(
            "the package {name} was installed, but what is needed of it is still not there ({reason})"
        );
    }
    Ok(())
}

/// Fetches a suite into a folder beside its own, and gives it its name once everything in it has
/// run.
fn fetch(suite: &Suite, dir: &Path) -> Result<()> {
    let started = Instant::now();
    let work = dir.join(format!(".fetching-{}", suite.folder));
    remove(&work)?;
    let archive = sources::of_this_machine().context(
        "the machine's apt sources name no Debian archive; add one to /etc/apt/sources.list.d",
    )?;
    println!(
        "tools: {}: reading the package lists of {archive}",
        suite.name
    );
    let apt = Apt::prepare(&work, suite, &archive)?;
    apt.command().arg("update").read()?;

    println!(
        "tools: {}: downloading {}",
        suite.name,
        suite.packages.join(", ")
    );
    let debs = work.join("debs");
    fs::create_dir_all(&debs)?;
    apt.command()
        .arg("download")
        .args(suite.packages)
        .dir(&debs)
        .read()?;

    let tree = work.join("tree");
    let mut stamp = String::new();
    let mut paths = fs::read_dir(&debs)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    paths.sort();
    for deb in &paths {
        let format = "--showformat=${Package} ${Version}\\n";
        let line = Cmd::new("dpkg-deb")
            .args(["--show", format])
            .arg(deb)
            .read()?;
        println!("tools: {}: unpacking {}", suite.name, line.trim_end());
        Cmd::new("dpkg").arg("-x").arg(deb).arg(&tree).read()?;
        stamp.push_str(&line);
    }
    for program in suite.programs {
        if program.own_libraries {
            loader::wrap(&tree, &program.path(Path::new("")))?;
        }
    }
    suite
        .check_programs(&tree)
        .with_context(|| format!("what Debian {} has today does not do", suite.name))?;
    fs::write(tree.join(STAMP), stamp)?;

    let place = suite.dir(dir);
    remove(&place)?;
    fs::rename(&tree, &place)
        .with_context(|| format!("cannot put the tools to {}", place.display()))?;
    remove(&work)?;
    println!(
        "tools: {}: done in {}",
        suite.name,
        seconds(started.elapsed())
    );
    Ok(())
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

fn keyring() -> Option<&'static str> {
    KEYRINGS.into_iter().find(|path| Path::new(path).is_file())
}

/// An apt that sees one suite and nothing of the machine but its network settings.
struct Apt {
    configuration: PathBuf,
}

impl Apt {
    fn prepare(work: &Path, suite: &Suite, archive: &str) -> Result<Self> {
        let keyring = keyring().context("the keyring of the Debian archive is missing")?;
        for folder in [
            "cache/archives/partial",
            "lists/partial",
            "preferences",
            "sources",
        ] {
            let dir = work.join(folder);
            fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        fs::write(work.join("status"), "")?;
        fs::write(
            work.join("sources/debian.sources"),
            format!(
                "Types: deb\nURIs: {archive}\nSuites: {}\nComponents: main\nSigned-By: {keyring}\n",
                suite.name
            ),
        )?;
        let configuration = work.join("apt.conf");
        fs::write(&configuration, Self::configuration(work))?;
        Ok(Self { configuration })
    }

    fn configuration(work: &Path) -> String {
        let work = work.display();
        format!(
            r#"Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "{work}/sources";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "{work}/preferences";
Dir::State::Lists "{work}/lists";
Dir::State::Status "{work}/status";
Dir::Cache "{work}/cache";
APT::Default-Release "";
Acquire::Retries "3";
// Otherwise an archive out of reach is a warning, and the packages seem not to exist.
APT::Update::Error-Mode "any";
// The user apt would change to cannot write to a folder of ours.
APT::Sandbox::User "root";
"#
        )
    }

    fn command(&self) -> Cmd {
        Cmd::new("apt-get")
            .args(["-qq", "--config-file"])
            .arg(&self.configuration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_without_a_stamp_or_with_a_package_too_few_is_not_whole() {
        let dir = tempfile::tempdir().unwrap();
        let suite = Suite {
            name: "trixie",
            folder: "trixie",
            packages: &["prometheus", "promtool"],
            programs: &[],
        };
        assert!(suite.check(dir.path()).is_err());
        fs::write(dir.path().join(STAMP), "prometheus 2.53.3+ds1-2\n").unwrap();
        let error = suite.check(dir.path()).unwrap_err().to_string();
        assert!(error.ends_with("does not have promtool"), "{error}");
        fs::write(
            dir.path().join(STAMP),
            "prometheus 2.53.3+ds1-2\npromtool 2.53.3+ds1-2\n",
        )
        .unwrap();
        suite.check(dir.path()).unwrap();
    }

    #[test]
    fn a_suite_whose_programs_do_not_run_is_not_whole() {
        let dir = tempfile::tempdir().unwrap();
        const PROGRAMS: &[Program] = &[program("prometheus", &[2, 53])];
        let suite = Suite {
            name: "trixie",
            folder: "trixie",
            packages: &[],
            programs: PROGRAMS,
        };
        fs::write(dir.path().join(STAMP), "").unwrap();
        let error = suite.check(dir.path()).unwrap_err().to_string();
        assert!(error.contains("there is no program"), "{error}");
    }
}
