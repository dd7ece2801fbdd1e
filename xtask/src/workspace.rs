//! What `cargo metadata` says of the workspace.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::command::Cmd;

/// The folder of the root manifest.
///
/// Cargo tells the folder of this package when it runs it; the one known at compile time would be
/// stale in a target folder that several checkouts share.
pub(crate) fn root() -> Result<PathBuf> {
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let root = package
        .parent()
        .context("the folder of xtask has no parent")?;
    fs::canonicalize(root).with_context(|| format!("no workspace at {}", root.display()))
}

/// A member of the workspace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest: PathBuf,
    /// Sorted. `default` is among them only if it switches something on.
    pub(crate) features: Vec<String>,
    pub(crate) published: bool,
}

/// All members, sorted by name.
pub(crate) fn packages(root: &Path) -> Result<Vec<Package>> {
    let json = Cmd::cargo(root)
        .args(["metadata", "--format-version=1", "--no-deps", "--quiet"])
        .read()?;
    parse(&json).context("`cargo metadata` wrote something unexpected")
}

fn parse(json: &str) -> Result<Vec<Package>> {
    let metadata: Value = serde_json::from_str(json)?;
    let packages = metadata["packages"]
        .as_array()
        .context("no list `packages`")?;
    let mut packages = packages.iter().map(package).collect::<Result<Vec<_>>>()?;
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

fn package(package: &Value) -> Result<Package> {
    let name = package["name"]
        .as_str()
        .context("a package without `name`")?
        .to_owned();
    let manifest = package["manifest_path"]
        .as_str()
        .with_context(|| format!("{name} has no `manifest_path`"))?
        .into();
    let features = package["features"]
        .as_object()
        .with_context(|| format!("{name} has no `features`"))?;
    let mut features: Vec<String> = features
        .iter()
        .filter(|(name, enables)| {
            *name != "default" || enables.as_array().is_some_and(|list| !list.is_empty())
        })
        .map(|(name, _)| name.clone())
        .collect();
    features.sort();
    // `publish = false` is an empty list of registries, no word about it is null.
    let published = package["publish"]
        .as_array()
        .is_none_or(|registries| !registries.is_empty());
    Ok(Package {
        name,
        manifest,
        features,
        published,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{"packages": [
        {"name": "xtask", "manifest_path": "/w/xtask/Cargo.toml", "features": {}, "publish": []},
        {"name": "b", "manifest_path": "/w/b/Cargo.toml", "publish": null,
         "features": {"default": [], "tracing": ["dep:tracing"], "axum": ["dep:axum"]}},
        {"name": "a", "manifest_path": "/w/a/Cargo.toml", "publish": ["internal"],
         "features": {"std": [], "default": ["std"]}}
    ], "version": 1}"#;

    fn named<'a>(packages: &'a [Package], name: &str) -> &'a Package {
        packages
            .iter()
            .find(|package| package.name == name)
            .unwrap()
    }

    #[test]
    fn features_are_sorted_and_an_empty_default_is_none() {
        let packages = parse(METADATA).unwrap();
        assert_eq!(named(&packages, "a").features, ["default", "std"]);
        assert_eq!(named(&packages, "b").features, ["axum", "tracing"]);
        assert!(named(&packages, "xtask").features.is_empty());
    }

    #[test]
    fn only_an_empty_list_of_registries_means_unpublished() {
        let published: Vec<_> = parse(METADATA)
            .unwrap()
            .into_iter()
            .filter(|p| p.published)
            .map(|p| p.name)
            .collect();
        assert_eq!(published, ["a", "b"]);
    }

    #[test]
    fn something_else_is_an_error_that_names_what_is_missing() {
        assert_eq!(parse("{}").unwrap_err().to_string(), "no list `packages`");
        let error = parse(r#"{"packages": [{"name": "a"}]}"#).unwrap_err();
        assert_eq!(error.to_string(), "a has no `manifest_path`");
    }

    #[test]
    fn this_workspace_has_its_published_crates() {
        let packages = packages(&root().unwrap()).unwrap();
        assert!(named(&packages, "tower-observe").published);
        assert!(!named(&packages, "xtask").published);
    }
}
