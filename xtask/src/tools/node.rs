//! Packages for Node.js that check files in `monitoring/`: `node/` of the tools' folder. Node.js itself comes with
//! Python's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::{Release, Row, Version, check_said, lock, python};
use crate::command::Cmd;
use crate::summary::seconds;

/// Made by `npm install --package-lock-only --omit-lockfile-registry-resolved`, so that it names no registry.
const FILES: [(&str, &str); 2] = [
    ("package.json", include_str!("node/package.json")),
    ("package-lock.json", include_str!("node/package-lock.json")),
];

struct Package {
    name: &'static str,
    release: Release,
}

const PACKAGES: &[Package] = &[
    Package {
        name: "@grafana/schema",
        release: Release(&[13, 2, 3]),
    },
    Package {
        name: "typescript",
        release: Release(&[5, 9, 3]),
    },
];

impl Package {
    fn check(&self, dir: &Path) -> Result<Version> {
        let Self { name, .. } = self;
        let code = format!("console.log(require('{name}/package.json').version)");
        let command = Cmd::new(python::node(dir))
            .args(["-e", &code])
            .dir(&root(dir));
        check_said(&format_args!("Node's {name}"), command, self.release, 0)
    }
}

fn root(dir: &Path) -> PathBuf {
    dir.join("node")
}

pub(super) fn list(dir: &Path) -> Vec<Row> {
    let row = |package: &Package| Row {
        name: format!("{} (node)", package.name),
        wanted: package.release,
        state: package.check(dir),
        path: root(dir).join("node_modules").join(package.name),
    };
    PACKAGES.iter().map(row).collect()
}

/// Fetches the packages unless every one is there, and Node.js before them.
pub(crate) fn ensure(dir: &Path) -> Result<()> {
    python::ensure(dir, &python::TESTS)?;
    let whole = || PACKAGES.iter().all(|package| package.check(dir).is_ok());
    if whole() {
        return Ok(());
    }
    let _lock = lock(dir)?;
    // Another run may have fetched them while this one waited for the lock.
    if whole() {
        return Ok(());
    }
    let started = Instant::now();
    println!("tools: node: installing {}", wanted());
    install(dir).context(
        "cannot install the packages for Node.js; they come from the registry that npm is set to, is that in reach? \
         `cargo xtask test --quick` does without them",
    )?;
    for package in PACKAGES {
        package.check(dir)?;
    }
    println!("tools: node: done in {}", seconds(started.elapsed()));
    Ok(())
}

fn wanted() -> String {
    let one = |package: &Package| format!("{} {}", package.name, package.release);
    PACKAGES.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn install(dir: &Path) -> Result<()> {
    let root = root(dir);
    fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
    for (name, text) in FILES {
        let path = root.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    // `ci` installs what is in the lock file, with its hashes, and nothing else.
    python::npm(dir)?
        .args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--no-update-notifier",
            "--loglevel=error",
        ])
        .dir(&root)
        .read()
        .map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn file(name: &str) -> Value {
        let (_, text) = FILES.iter().find(|(found, _)| *found == name).unwrap();
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_asked_for_is_of_the_versions_that_are_checked() {
        let asked = file("package.json");
        let asked = asked["dependencies"].as_object().unwrap();
        assert_eq!(asked.len(), PACKAGES.len());
        for Package { name, release } in PACKAGES {
            assert_eq!(asked[*name], release.to_string(), "{name}");
        }
    }

    #[test]
    fn every_package_is_locked_with_its_hash_and_no_host() {
        let lock = file("package-lock.json");
        let packages = lock["packages"].as_object().unwrap();
        assert_eq!(
            packages[""]["dependencies"],
            file("package.json")["dependencies"]
        );
        for (path, package) in packages.iter().filter(|(path, _)| !path.is_empty()) {
            let hash = package["integrity"].as_str().unwrap();
            assert!(hash.starts_with("sha512-"), "{path}");
            assert_eq!(package.get("resolved"), None, "{path}");
        }
    }

    #[test]
    fn a_folder_without_node_has_none_of_the_packages() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(root(dir.path())).unwrap();
        for package in PACKAGES {
            let error = package.check(dir.path()).unwrap_err().to_string();
            assert!(error.contains("there is no program"), "{error}");
        }
    }
}
