//! The versions of the peers, as they were compiled.

const LOCK: &str = include_str!("../../Cargo.lock");

/// The package and its version.
pub fn named(package: &str) -> String {
    let entry = format!("name = \"{package}\"\nversion = \"");
    let (_, rest) = LOCK.split_once(&entry).expect("the package is locked");
    let (version, _) = rest.split_once('"').expect("the version is quoted");
    assert!(!rest.contains(&entry), "{package} is locked twice");
    format!("{package} {version}")
}
