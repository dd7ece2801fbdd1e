//! How many crates each published crate brings, by its features: what the README says must be so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::command::Cmd;
use crate::workspace::{self, Package};

/// What each may bring with its default features.
const BUDGETS: [(&str, usize); 5] = [
    ("tower-json-logging", 25),
    ("tower-metrics-exporter", 30),
    ("tower-observe", 15),
    ("tower-request-metrics", 15),
    ("tower-scan-lifecycle", 25),
];

const START: &str = "<!-- weights: checked by `cargo xtask lint` -->";
const END: &str = "<!-- end of weights -->";

/// A crate and its features, and how many crates these bring.
type Weights = BTreeMap<(String, String), usize>;

/// Compares the README's table with the trees.
pub(crate) fn check(root: &Path) -> Result<String> {
    let readme = root.join("README.md");
    let text =
        fs::read_to_string(&readme).with_context(|| format!("cannot read {}", readme.display()))?;
    let stated = stated(&text)?;
    let mut found = Weights::new();
    let mut wrong = Vec::new();
    for package in workspace::packages(root)? {
        if !package.published {
            continue;
        }
        for features in sets(&package) {
            let count = count(root, &package.name, &features)?;
            if features == DEFAULT {
                wrong.extend(over_budget(&package.name, count));
                wrong.extend(unsaid(root, &package.name, count)?);
            }
            found.insert((package.name.clone(), features), count);
        }
    }
    wrong.extend(differences(&stated, &found));
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(format!("{} sets", found.len()))
}

const DEFAULT: &str = "default";

/// The default, and each feature by itself. Those that begin with `_` are no one's to choose.
fn sets(package: &Package) -> Vec<String> {
    let own = package.features.iter();
    let own = own.filter(|feature| *feature != DEFAULT && !feature.starts_with('_'));
    std::iter::once(DEFAULT.to_owned())
        .chain(own.cloned())
        .collect()
}

fn count(root: &Path, package: &str, features: &str) -> Result<usize> {
    let tree = ["tree", "--locked", "--edges", "normal", "--prefix", "none"];
    let cmd = Cmd::cargo(root).args(tree).args(["--package", package]);
    let cmd = match features {
        DEFAULT => cmd,
        features => cmd.args(["--no-default-features", "--features", features]),
    };
    let tree = cmd.read()?;
    crates(&tree).with_context(|| format!("the tree of {package} is empty"))
}

/// How many there are in a tree beside its root.
fn crates(tree: &str) -> Option<usize> {
    let lines = tree.lines().map(|line| line.trim_end_matches(" (*)"));
    let crates: BTreeSet<_> = lines.filter(|line| !line.is_empty()).collect();
    crates.len().checked_sub(1)
}

fn stated(readme: &str) -> Result<Weights> {
    let (_, rest) = readme
        .split_once(START)
        .with_context(|| format!("README.md has no {START}"))?;
    let (table, _) = rest
        .split_once(END)
        .with_context(|| format!("README.md has no {END}"))?;
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let read = |row: &str| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let mut name = || Some(cells.next()?.trim_matches('`').to_owned());
        let key = (name()?, name()?);
        Some((key, cells.next()?.parse().ok()?))
    };
    rows.map(|row| read(row).with_context(|| format!("README.md: `{row}` is no row of weights")))
        .collect()
}

fn differences(stated: &Weights, found: &Weights) -> Vec<String> {
    let row = |(package, features): &(String, String), count: &usize| {
        format!("| `{package}` | `{features}` | {count} |")
    };
    let missing = found
        .iter()
        .filter(|(key, count)| stated.get(*key) != Some(count))
        .map(|(key, count)| format!("README.md is to say: {}", row(key, count)));
    let gone = stated
        .iter()
        .filter(|(key, _)| !found.contains_key(*key))
        .map(|(key, count)| format!("README.md says what is no more: {}", row(key, count)));
    missing.chain(gone).collect()
}

fn over_budget(package: &str, count: usize) -> Option<String> {
    let Some((_, most)) = BUDGETS.iter().find(|(name, _)| *name == package) else {
        return Some(format!("{package} has no budget of crates"));
    };
    (count > *most).then(|| format!("{package} brings {count} crates; {most} are its budget"))
}

/// The crate's own README says it, too.
fn unsaid(root: &Path, package: &str, count: usize) -> Result<Option<String>> {
    let readme = root.join("crates").join(package).join("README.md");
    let text =
        fs::read_to_string(&readme).with_context(|| format!("cannot read {}", readme.display()))?;
    let sentence = format!("By default it brings {count} crates.");
    let says = text.contains(&sentence);
    Ok((!says).then(|| format!("{} is to say: {sentence}", readme.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(rows: &[(&str, &str, usize)]) -> Weights {
        rows.iter()
            .map(|(package, features, count)| {
                (((*package).to_owned(), (*features).to_owned()), *count)
            })
            .collect()
    }

    #[test]
    fn a_tree_counts_each_crate_once_and_not_its_root() {
        let tree = "a v0.1.0 (/w/a)\nb v1.0.0\nc v2.0.0 (proc-macro)\nb v1.0.0 (*)\n\nb v2.0.0\n";
        assert_eq!(crates(tree), Some(3));
        assert_eq!(crates("a v0.1.0\n"), Some(0));
        assert_eq!(crates(""), None);
    }

    #[test]
    fn the_table_is_read_and_what_differs_is_told_as_the_row_that_is_right() {
        let readme = format!(
            "| `x` | `y` | 1 |\n{START}\n\n| crate | features | crates |\n|---|---|---|\n\
             | `a` | `default` | 3 |\n| `a` | `b` | 12 |\n| `a` | `gone` | 4 |\n\n{END}\n"
        );
        let stated = stated(&readme).unwrap();
        let rows = [("a", "default", 3), ("a", "b", 12), ("a", "gone", 4)];
        assert_eq!(stated, weights(&rows));
        let found = weights(&[("a", "default", 4), ("a", "b", 12), ("a", "new", 5)]);
        assert_eq!(
            differences(&stated, &found),
            [
                "README.md is to say: | `a` | `default` | 4 |",
                "README.md is to say: | `a` | `new` | 5 |",
                "README.md says what is no more: | `a` | `gone` | 4 |",
            ]
        );
        assert!(differences(&found, &found).is_empty());
    }

    #[test]
    fn a_row_that_is_none_is_an_error_that_shows_it() {
        let readme = format!("{START}\n| `a` | `default` | many |\n{END}");
        let error = stated(&readme).unwrap_err().to_string();
        assert!(error.contains("| `a` | `default` | many |"), "{error}");
        assert!(super::stated("").is_err());
    }

    #[test]
    fn what_is_over_its_budget_or_has_none_is_told() {
        assert_eq!(over_budget("tower-request-metrics", 15), None);
        assert!(over_budget("tower-request-metrics", 16).is_some());
        assert!(over_budget("tower-another", 0).is_some());
    }

    #[test]
    fn a_feature_that_is_no_ones_to_choose_is_not_counted() {
        let package = Package {
            name: "a".into(),
            manifest: "/a/Cargo.toml".into(),
            features: ["_http", "default", "gzip"].map(String::from).into(),
            published: true,
        };
        assert_eq!(sets(&package), ["default", "gzip"]);
    }
}
