//! Writes the files in `monitoring/` that name series: rules, their tests, dashboards, the runbook, and the
//! README's table of series. `cargo xtask generate` runs it.
//!
//! What series there are, and with which labels, comes from the crates' own `specs()` and from a page of the
//! exporter ([`Catalog`]); the texts come from `templates/`, in which `<<…>>` stands for what a naming
//! decides ([`Naming`]). A rule, panel or chapter about a series that a naming does not have is left out;
//! one that names a series or a label that nobody records is an error.

mod catalog;
mod dashboards;
mod files;
mod foreign;
mod naming;
mod options;
mod promql;
mod rules;
mod table;
mod template;

pub use self::{
    catalog::{Catalog, Family},
    dashboards::dashboards,
    files::{File, files, readme},
    naming::Naming,
    options::{GrpcPreset, Options, Preset, ScanPreset, Statuses},
    promql::{Selector, Uses, uses},
    rules::{Rule, rules},
    template::{Filled, fill},
};
