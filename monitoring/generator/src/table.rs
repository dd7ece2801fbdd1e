//! The README's table of series.

use std::fmt::Write as _;

use anyhow::Result;
use tower_observe::Spec;
use tower_request_metrics::RequestMetrics;
use tower_scan_lifecycle::ScanMetrics;

/// A row for each series that the layers record by default.
pub(crate) fn series() -> Result<String> {
    let mut table =
        String::from("| series | kind | labels | unit | from |\n|---|---|---|---|---|\n");
    for (from, specs) in [
        ("tower-request-metrics", RequestMetrics::new().specs()),
        (
            "tower-scan-lifecycle",
            ScanMetrics::builder().build()?.specs(),
        ),
        ("tower-json-logging", tower_json_logging::specs()),
        ("tower-metrics-exporter", tower_metrics_exporter::specs()),
    ] {
        for spec in specs {
            row(&mut table, &spec, from)?;
        }
    }
    Ok(table)
}

fn row(table: &mut String, spec: &Spec, from: &str) -> Result<()> {
    let labels: Vec<_> = spec
        .labels
        .iter()
        .map(|label| format!("`{label}`"))
        .collect();
    let labels = labels.join(", ");
    let unit = spec.unit.map(|unit| unit.to_string()).unwrap_or_default();
    let cell = |text: &str| match text {
        "" => String::from(" "),
        text => format!(" {text} "),
    };
    writeln!(
        table,
        "|{}|{}|{}|{}|{}|",
        cell(&format!("`{}`", spec.name)),
        cell(spec.kind.as_str()),
        cell(&labels),
        cell(&unit),
        cell(from)
    )?;
    Ok(())
}
