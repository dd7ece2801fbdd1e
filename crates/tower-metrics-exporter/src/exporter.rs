use std::fmt;

use metrics::{KeyName, Recorder, SharedString};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use tower_observe::{Kind, Spec, Unit};

use crate::{BuildError, MetricsService};

/// Upper bounds, in seconds, of the buckets of a histogram that no [`Spec`] describes.
///
/// Never a summary: summaries of several instances cannot be put together, and no
/// `histogram_quantile` finds them.
pub const DEFAULT_BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Chooses what an [`Exporter`] knows of the series before they are recorded.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `install` or `build`"]
pub struct ExporterBuilder {
    specs: Vec<Spec>,
}

impl ExporterBuilder {
    /// Takes help texts, units and buckets from what a layer says it records.
    ///
    /// May be called for each layer. A later spec of the same name replaces an earlier one.
    pub fn specs(mut self, specs: impl IntoIterator<Item = Spec>) -> Self {
        self.specs.extend(specs);
        self
    }

    /// Builds the exporter and makes it the recorder of the process.
    ///
    /// # Errors
    ///
    /// If the bounds of a histogram's buckets are unusable, or if the process has a recorder already.
    pub fn install(self) -> Result<Exporter, BuildError> {
        let (recorder, exporter) = self.build()?;
        metrics::set_global_recorder(recorder)
            .map_err(|_| BuildError::installed(AlreadyInstalled))?;
        Ok(exporter)
    }

    /// Builds the exporter and its recorder, which is left to the caller: for tests, with
    /// [`metrics::with_local_recorder`], or to be put behind other recorders.
    ///
    /// # Errors
    ///
    /// If the bounds of a histogram's buckets are unusable.
    pub fn build(self) -> Result<(impl Recorder + Send + Sync + 'static, Exporter), BuildError> {
        let recorder = self.recorder()?;
        for spec in &self.specs {
            describe(&recorder, spec);
        }
        let exporter = Exporter {
            handle: recorder.handle(),
        };
        Ok((recorder, exporter))
    }

    fn recorder(&self) -> Result<PrometheusRecorder, BuildError> {
        let unusable = |name: &str| {
            let name = name.to_owned();
            move |_| BuildError::buckets(&name, "are empty")
        };
        let mut builder = PrometheusBuilder::new()
            .set_buckets(&DEFAULT_BUCKETS)
            .map_err(unusable("every histogram"))?;
        for spec in self
            .specs
            .iter()
            .filter(|spec| spec.kind == Kind::Histogram)
        {
            let buckets = check_buckets(&spec.name, &spec.buckets)?;
            builder = builder
                .set_buckets_for_metric(Matcher::Full(spec.name.clone().into_owned()), buckets)
                .map_err(unusable(&spec.name))?;
        }
        Ok(builder.build_recorder())
    }
}

fn check_buckets<'a>(name: &str, buckets: &'a [f64]) -> Result<&'a [f64], BuildError> {
    if buckets.is_empty() {
        return Err(BuildError::buckets(name, "are empty"));
    }
    if !buckets.iter().all(|bound| bound.is_finite()) {
        return Err(BuildError::buckets(name, "are not all finite"));
    }
    if !buckets.is_sorted_by(|lower, upper| lower < upper) {
        return Err(BuildError::buckets(name, "do not ascend"));
    }
    Ok(buckets)
}

fn describe(recorder: &impl Recorder, spec: &Spec) {
    let name = KeyName::from(spec.name.clone().into_owned());
    let help = SharedString::from(spec.help.clone().into_owned());
    let unit = spec.unit.and_then(|unit| match unit {
        Unit::Seconds => Some(metrics::Unit::Seconds),
        Unit::Bytes => Some(metrics::Unit::Bytes),
        _ => None,
    });
    match spec.kind {
        Kind::Counter => recorder.describe_counter(name, unit, help),
        Kind::Histogram => recorder.describe_histogram(name, unit, help),
        _ => recorder.describe_gauge(name, unit, help),
    }
}

/// A handle to what was recorded.
#[derive(Clone)]
pub struct Exporter {
    handle: PrometheusHandle,
}

impl Exporter {
    /// Starts building an exporter.
    pub fn builder() -> ExporterBuilder {
        ExporterBuilder::default()
    }

    /// A service that answers every path with the present state of all series.
    pub fn service(&self) -> MetricsService {
        MetricsService::new(self.clone())
    }

    /// The present state of all series, in Prometheus' text format 0.0.4.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds the samples that histograms keep into their buckets.
    ///
    /// Each scrape does it, too. A service that may go unscraped for long calls this every few
    /// seconds, for else each sample takes 16 bytes until the next scrape.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct AlreadyInstalled;

impl fmt::Display for AlreadyInstalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a global recorder is set")
    }
}

impl std::error::Error for AlreadyInstalled {}
