//! Everything that is written, and where.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::{Catalog, Naming, Options, dashboards, fill, rules, table};

/// A file that is written.
#[derive(Clone, Debug)]
pub struct File {
    /// Below `monitoring/`.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
    /// What the naming has no series for.
    pub left_out: Vec<String>,
}

/// A template, what its blocks begin with, and where it goes.
const TEMPLATES: &[(&str, &[&str], &str)] = &[
    (
        "prometheus/prometheus.yml",
        &[],
        include_str!("../templates/prometheus.yml"),
    ),
    (
        "prometheus/rules/recording.yml",
        &["      - record:", "  - name:"],
        include_str!("../templates/recording.yml"),
    ),
    (
        "prometheus/rules/alerts.yml",
        &["      - alert:", "  - name:"],
        include_str!("../templates/alerts.yml"),
    ),
    (
        "prometheus/tests/alerts.yml",
        &["  - name:"],
        include_str!("../templates/tests.yml"),
    ),
    (
        "prometheus/tests/alerts-days.yml",
        &["  - name:"],
        include_str!("../templates/tests-days.yml"),
    ),
    (
        "runbook.md",
        &["## "],
        include_str!("../templates/runbook.md"),
    ),
];

/// What stands at the head of what is written. JSON has no comments; the dashboards say it in their descriptions.
const NOTE: &str =
    "Written by `cargo xtask generate`; the source is monitoring/generator/templates";

/// Everything that these options lead to.
///
/// # Errors
///
/// If the options cannot be used, or something names a series or a label that nobody records.
pub fn files(options: &Options) -> Result<Vec<File>> {
    let naming = Naming::new(options)?;
    let mut catalog = Catalog::new(options)?;
    let mut files = Vec::new();
    for (path, markers, template) in TEMPLATES {
        let filled = fill(template, markers, &naming).with_context(|| format!("in {path}"))?;
        let text = without_empty_groups(&filled.text);
        if path.contains("/rules/") {
            let rules = rules(&text).with_context(|| format!("in {path}"))?;
            catalog.record(&rules);
            for rule in rules {
                catalog
                    .check(&rule.expression)
                    .with_context(|| format!("in {path}: {}", rule.name))?;
            }
        }
        let note = match path.rsplit_once('.') {
            Some((_, "md")) => format!("<!-- {NOTE}. -->\n\n"),
            _ => format!("# {NOTE}.\n"),
        };
        files.push(File {
            path: path.into(),
            text: note + &text,
            left_out: filled.left_out,
        });
    }
    files.extend(dashboards(&naming, &catalog)?);
    Ok(files)
}

/// Leaves out groups all of whose rules were left out.
fn without_empty_groups(text: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for line in text.split_inclusive('\n') {
        if line.starts_with("  - name:") {
            drop_empty_group(&mut kept);
        }
        kept.push(line);
    }
    drop_empty_group(&mut kept);
    let text = kept.concat();
    format!("{}\n", text.trim_end())
}

fn drop_empty_group(kept: &mut Vec<&str>) {
    let full = kept.iter().rposition(|line| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    });
    if let Some(last) = full
        && kept.get(last).is_some_and(|line| line.trim() == "rules:")
    {
        kept.truncate(last.saturating_sub(1));
    }
}

/// The README with its tables of series as they are now.
///
/// # Errors
///
/// If the README has no place for them.
pub fn readme(readme: &str) -> Result<String> {
    const START: &str = "<!-- series: written by `cargo xtask generate` -->\n";
    const END: &str = "<!-- end of series -->\n";
    let Some((before, rest)) = readme.split_once(START) else {
        bail!("the README has no line {START:?}")
    };
    let Some((_, after)) = rest.split_once(END) else {
        bail!("the README has no line {END:?}")
    };
    Ok(format!(
        "{before}{START}\n{}\n{END}{after}",
        table::series()?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GrpcPreset, Preset, ScanPreset};

    #[test]
    fn a_group_without_rules_is_left_out() {
        let text = "groups:\n  - name: a\n    rules:\n\n  # About b.\n  - name: b\n    rules:\n      - alert: C\n";
        assert_eq!(
            without_empty_groups(text),
            "groups:\n  - name: b\n    rules:\n      - alert: C\n"
        );
    }

    #[test]
    fn every_preset_and_prefix_leads_to_files_whose_series_are_recorded() {
        for requests in [Preset::Api, Preset::OpenTelemetry, Preset::AxumPrometheus] {
            for (prefix, requests_prefix) in [("sentrascan", None), ("acme", Some("shop"))] {
                let is_open_telemetry = requests == Preset::OpenTelemetry;
                let (scans, grpc) = if is_open_telemetry {
                    (ScanPreset::OpenTelemetry, GrpcPreset::OpenTelemetry)
                } else {
                    (ScanPreset::Scans, GrpcPreset::GoGrpc)
                };
                let options = Options {
                    prefix: prefix.to_owned(),
                    scans,
                    requests,
                    requests_prefix: requests_prefix.map(str::to_owned),
                    grpc,
                    ..Options::default()
                };
                let files = files(&options).unwrap();
                if prefix == "acme" {
                    for file in files {
                        assert!(!file.text.contains("sentrascan_"), "{:?}", file.path);
                    }
                }
            }
        }
    }
}
