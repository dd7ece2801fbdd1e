//! What series there are, and with which labels.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use tower_observe::{Kind, Spec};

use crate::{Options, Rule, foreign, naming, uses};

/// A family of series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Whether it has the series of a histogram: `_bucket`, `_sum`, `_count`.
    pub is_histogram: bool,
    /// The labels that its series may have.
    pub labels: BTreeSet<String>,
    /// The upper bounds of its buckets, as text; empty if they are not known.
    pub bounds: Vec<String>,
}

/// Every family that rules and dashboards may name.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    families: BTreeMap<String, Family>,
}

/// Labels that Prometheus itself adds.
const TARGET: [&str; 2] = ["job", "instance"];

impl Catalog {
    /// What the crates and the scan platform record under these options, and what is known of other servers.
    ///
    /// # Errors
    ///
    /// If a builder refuses the options.
    pub fn new(options: &Options) -> Result<Self> {
        let mut catalog = Self::default();
        catalog.page(&collectors_page()?);
        catalog.specs(&naming::scan_specs(options)?);
        catalog.specs(&naming::request_specs(options)?);
        catalog.specs(&naming::rpc_specs(options)?);
        catalog.specs(&tower_json_logging::specs());
        catalog.specs(&tower_metrics_exporter::specs());
        for (name, labels) in foreign::FAMILIES {
            catalog.add(name, Kind::Gauge, labels.iter().copied(), &[]);
        }
        Ok(catalog)
    }

    fn add<'a>(
        &mut self,
        name: &str,
        kind: Kind,
        labels: impl IntoIterator<Item = &'a str>,
        bounds: &[f64],
    ) {
        let family = Family {
            is_histogram: kind == Kind::Histogram,
            labels: labels.into_iter().map(str::to_owned).collect(),
            bounds: bounds.iter().map(ToString::to_string).collect(),
        };
        self.families.insert(name.to_owned(), family);
    }

    fn specs(&mut self, specs: &[Spec]) {
        for spec in specs {
            let labels = spec.labels.iter().map(AsRef::as_ref);
            self.add(&spec.name, spec.kind, labels, &spec.buckets);
        }
    }

    /// The families of a page in the text format.
    fn page(&mut self, page: &str) {
        for line in page.lines() {
            if let Some((name, kind)) = line
                .strip_prefix("# TYPE ")
                .and_then(|line| line.split_once(' '))
            {
                let kind = match kind {
                    "histogram" => Kind::Histogram,
                    _ => Kind::Gauge,
                };
                self.add(name, kind, [], &[]);
            } else if let Some((name, labels)) = line.split_once('{') {
                let labels = labels
                    .split(',')
                    .filter_map(|label| Some(label.split_once('=')?.0));
                if let Some(family) = self.families.get_mut(name) {
                    family.labels.extend(labels.map(str::to_owned));
                }
            }
        }
    }

    /// Adds what recording rules record.
    pub fn record(&mut self, rules: &[Rule]) {
        for rule in rules.iter().filter(|rule| rule.is_record) {
            self.add(&rule.name, Kind::Gauge, TARGET, &[]);
        }
    }

    /// The family that a series belongs to.
    pub fn family(&self, series: &str) -> Option<&Family> {
        let exact = self
            .families
            .get(series)
            .filter(|family| !family.is_histogram);
        let of_histogram = || {
            let name = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| series.strip_suffix(suffix))?;
            self.families.get(name).filter(|family| family.is_histogram)
        };
        exact.or_else(of_histogram)
    }

    /// Checks that everything that an expression names is recorded.
    ///
    /// # Errors
    ///
    /// If it names a series, a label or a bucket's bound that nobody records.
    pub fn check(&self, expression: &str) -> Result<()> {
        let uses = uses(expression)?;
        let mut all: BTreeSet<&str> = TARGET.into();
        for selector in &uses.selectors {
            let name = &selector.name;
            let family = self
                .family(name)
                .with_context(|| format!("nobody records {name}"))?;
            let mut labels: BTreeSet<&str> = family.labels.iter().map(String::as_str).collect();
            labels.extend(TARGET);
            if name.ends_with("_bucket") {
                labels.insert("le");
            }
            for label in &selector.labels {
                if !labels.contains(label.as_str()) {
                    bail!("{name} has no label {label}, only {labels:?}");
                }
            }
            all.extend(labels);
        }
        for label in &uses.groupings {
            if !all.contains(label.as_str()) {
                bail!("no series in the expression has the label {label}, only {all:?}");
            }
        }
        self.check_bounds(expression, &uses)
    }

    /// A bucket that is not there is an empty result, and no error of Prometheus'.
    fn check_bounds(&self, expression: &str, uses: &crate::Uses) -> Result<()> {
        for part in expression.split("le=").skip(1) {
            let value = part.trim_start_matches('~');
            let value = value.split('"').nth(1).unwrap_or_default();
            let bound = value.trim_end_matches(r"(\\.0)?");
            let mut families = uses
                .selectors
                .iter()
                .filter(|selector| selector.labels.iter().any(|label| label == "le"))
                .filter_map(|selector| self.family(&selector.name));
            if !families.all(|family| family.bounds.iter().any(|known| known == bound)) {
                bail!("a histogram has no bucket up to {bound}");
            }
        }
        Ok(())
    }
}

/// A page with what the platform's collectors read, who have no specs.
fn collectors_page() -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let scans = scan_platform::platform::scan_metrics()?;
        let exporter = scan_platform::telemetry::exporter(&scans)?.build()?;
        Ok(exporter.render())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        Catalog::new(&Options::default()).unwrap()
    }

    #[test]
    fn what_is_recorded_may_be_named() {
        for expression in [
            "sum by (job, type) (rate(sentrascan_scans_total{status=\"failed\"}[5m]))",
            "histogram_quantile(0.9, sum by (le) (rate(api_request_duration_seconds_bucket{endpoint=\"/\"}[5m])))",
            "rate(api_request_duration_seconds_bucket{le=\"0.5\"}[5m])",
            "rate(sentrascan_scan_duration_seconds_bucket{le=~\"60(\\\\.0)?\"}[5m])",
            "pg_up{job=\"postgres\"} == 0",
            "exporter_series_overflow_total{family=\"x\"}",
            "exporter_observations_dropped_total{family=\"x\"}",
            "exporter_name_collisions_total{family=\"x\"}",
            "exporter_scrapes_total{code=~\"5..\"}",
            "process_open_fds / process_max_fds",
            "tokio_workers",
        ] {
            catalog().check(expression).unwrap();
        }
    }

    #[test]
    fn what_is_not_recorded_may_not() {
        for expression in [
            "sentrascan_scan_total",
            "sentrascan_scans_total{severity=\"critical\"}",
            "sentrascan_scan_duration_seconds",
            "sentrascan_scans_total_bucket",
            "sum by (severity) (sentrascan_scans_total)",
            "rate(api_request_duration_seconds_bucket{le=\"0.4\"}[5m])",
            "rate(api_request_duration_seconds_bucket{method=\"GET\"}[5m])",
        ] {
            assert!(catalog().check(expression).is_err(), "{expression}");
        }
    }
}
