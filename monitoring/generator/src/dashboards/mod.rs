//! The dashboards.

mod model;
mod overview;
mod process;
mod requests;
mod scans;
mod telemetry;

use anyhow::Result;

use crate::{Catalog, File, Naming};

/// Every dashboard.
///
/// # Errors
///
/// If a panel names a series or a label that nobody records.
pub fn dashboards(naming: &Naming, catalog: &Catalog) -> Result<Vec<File>> {
    [
        overview::dashboard(),
        requests::dashboard(),
        scans::dashboard(),
        telemetry::dashboard(),
        process::dashboard(),
    ]
    .iter()
    .map(|dashboard| dashboard.file(naming, catalog))
    .collect()
}
