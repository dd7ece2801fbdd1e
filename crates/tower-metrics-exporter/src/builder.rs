use std::{
    fmt,
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use metrics::SharedString;
use tower_observe::{Clock, Kind, Spec};

use crate::{
    BuildError, Collector, Exporter, Matcher,
    cell::{ExemplarSource, NativeOptions},
    collect::{Collectors, SampleRules},
    exporter,
    format::{Bounds, Labels},
    registry::{Registry, Rules},
};

/// Chooses what an [`Exporter`] makes of what is recorded.
#[derive(Default)]
#[must_use = "a builder does nothing until `install` or `build`"]
pub struct ExporterBuilder {
    specs: Vec<Spec>,
    buckets: Vec<(Matcher, Vec<f64>)>,
    rules: Rules,
    collectors: Vec<Box<dyn Collector>>,
}

impl ExporterBuilder {
    /// Takes help texts, buckets and limits from what a layer says it records.
    ///
    /// May be called for each layer. A later spec of the same name replaces an earlier one, and what is
    /// said with [`buckets`](Self::buckets) or [`limit`](Self::limit) of a full name replaces both.
    pub fn specs(mut self, specs: impl IntoIterator<Item = Spec>) -> Self {
        self.specs.extend(specs);
        self
    }

    /// Sets the upper bounds of the buckets of histograms, ascending and without `+Inf`, in base units.
    ///
    /// OpenMetrics has no place for values below zero: with them, or with a bound below zero, strict parsers
    /// of it refuse the page. Prometheus does not.
    pub fn buckets(mut self, families: Matcher, bounds: impl Into<Vec<f64>>) -> Self {
        self.buckets.push((families, bounds.into()));
        self
    }

    /// Records histograms also in exponential buckets, as Prometheus' native histograms, which only the
    /// protobuf format carries. Each bucket is at most `factor` times as wide as the one before (1.1 is
    /// usual), and there are at most 160 of them: past that, neighbours are put together.
    ///
    /// The classic buckets stay, so that nothing changes for who reads text.
    pub fn native_histograms(mut self, families: Matcher, factor: f64) -> Self {
        self.rules.native.push(
            families,
            NativeOptions {
                schema: schema_of(factor),
                max_buckets: 160,
            },
        );
        self
    }

    /// Sets how many series a family may have; [`DEFAULT_LIMIT`](crate::DEFAULT_LIMIT) unless said
    /// otherwise.
    ///
    /// What is over the limit is recorded in one more series, labelled `otel_metric_overflow="true"`, and
    /// counted in `exporter_series_overflow_total{family}`. Of what a collector gives, it is left out, and
    /// counted among the collector's errors.
    pub fn limit(mut self, families: Matcher, series: usize) -> Self {
        self.rules.limits.push(families, series);
        self
    }

    /// Removes series that were not used for this long, and up to a quarter longer.
    ///
    /// A handle that is used again brings its series back with its full value. Whether somebody scrapes
    /// makes no difference: a thread looks after it.
    pub fn expire(mut self, families: Matcher, after: Duration) -> Self {
        self.rules.ttls.push(families, after);
        self
    }

    /// Adds what is read at the moment of a scrape.
    pub fn collector(mut self, collector: impl Collector) -> Self {
        self.collectors.push(Box::new(collector));
        self
    }

    /// Leaves families out: nothing is kept of what is recorded for them.
    pub fn hide(mut self, families: Matcher) -> Self {
        self.rules.shown.push(families, false);
        self
    }

    /// The opposite of [`hide`](Self::hide), for exceptions: `.hide(Matcher::Any)` and then `show` keeps
    /// only some.
    pub fn show(mut self, families: Matcher) -> Self {
        self.rules.shown.push(families, true);
        self
    }

    /// Renames a family; `name` is what the program calls it.
    pub fn rename(mut self, name: impl Into<String>, to: impl Into<String>) -> Self {
        self.rules.renamed.insert(name.into(), to.into());
        self
    }

    /// Leaves a label out. Series that differ in nothing else become one.
    pub fn drop_label(mut self, families: Matcher, label: impl Into<String>) -> Self {
        self.rules.dropped_labels.push((families, label.into()));
        self
    }

    /// Leaves every label out but these, and [global ones](Self::global_label).
    pub fn keep_labels<L: Into<String>>(
        mut self,
        families: Matcher,
        labels: impl IntoIterator<Item = L>,
    ) -> Self {
        let labels = labels.into_iter().map(Into::into).collect();
        self.rules.kept_labels.push(families, labels);
        self
    }

    /// Renames a label; `label` is what the program calls it, as for the other rules of labels.
    pub fn rename_label(
        mut self,
        families: Matcher,
        label: impl Into<String>,
        to: impl Into<String>,
    ) -> Self {
        let rule = (families, label.into(), to.into());
        self.rules.renamed_labels.push(rule);
        self
    }

    /// Adds a label to every series that has none of this name.
    pub fn global_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.rules.global_labels.push((name.into(), value.into()));
        self
    }

    /// Whether units that names end with become base units, values and all: `wait_milliseconds` is shown
    /// as `wait_seconds`. On unless switched off.
    pub const fn base_units(mut self, on: bool) -> Self {
        self.rules.base_units = on;
        self
    }

    /// Gives histograms exemplars: `source` is asked at every observation in which trace the program is,
    /// and says nothing if in none, or in one that is not sampled.
    ///
    /// Labels are at most 128 characters in all. Each bucket keeps one, for a second at least. OpenMetrics
    /// and protobuf carry them.
    pub fn exemplars<L, N, V>(self, source: impl Fn() -> Option<L> + Send + Sync + 'static) -> Self
    where
        L: IntoIterator<Item = (N, V)>,
        N: AsRef<str>,
        V: AsRef<str>,
    {
        self.exemplar_source(ExemplarSource::new(move || {
            let labels: Vec<_> = source()?.into_iter().collect();
            let labels = labels
                .iter()
                .map(|(name, value)| (name.as_ref(), value.as_ref()));
            Some(Arc::new(Labels::new(labels).0))
        }))
    }

    pub(crate) fn exemplar_source(mut self, source: ExemplarSource) -> Self {
        self.rules.exemplars = Some(source);
        self
    }

    /// Builds the exporter and makes it the recorder of the process.
    ///
    /// # Errors
    ///
    /// If the bounds of a histogram's buckets are unusable, or if the process has a recorder already.
    pub fn install(self) -> Result<Exporter, BuildError> {
        let exporter = self.build()?;
        metrics::set_global_recorder(exporter.recorder())
            .map_err(|_| BuildError::installed(AlreadyInstalled))?;
        Ok(INSTALLED.get_or_init(|| exporter).clone())
    }

    /// Gives the exporter that was [installed](Self::install) already, else installs this one: for tests,
    /// of which none knows whether it is the first.
    ///
    /// # Errors
    ///
    /// As for [`install`](Self::install); the process has a recorder already only if that is of another
    /// library.
    pub fn get_or_install(self) -> Result<Exporter, BuildError> {
        if let Some(exporter) = INSTALLED.get() {
            return Ok(exporter.clone());
        }
        let installed = self.install();
        match INSTALLED.get() {
            // Another thread was faster.
            Some(exporter) => Ok(exporter.clone()),
            None => installed,
        }
    }

    /// Builds the exporter, and leaves it to the caller to use its [recorder](Exporter::recorder): in
    /// tests, with [`metrics::with_local_recorder`], or behind other recorders.
    ///
    /// # Errors
    ///
    /// If the bounds of a histogram's buckets are unusable.
    pub fn build(mut self) -> Result<Exporter, BuildError> {
        self.specs.extend(exporter::specs());
        for spec in &self.specs {
            let family = || Matcher::full(&*spec.name);
            if spec.kind == Kind::Histogram {
                let bounds = bounds(&spec.name, &spec.buckets)?;
                self.rules.buckets.push(family(), bounds);
            }
            if let Some(series) = spec.max_series {
                self.rules.limits.push(family(), series);
            }
        }
        for (families, values) in self.buckets {
            let bounds = bounds(families.text(), &values)?;
            self.rules.buckets.push(families, bounds);
        }
        let ttl = self.rules.shortest_ttl();
        let rules = SampleRules {
            common_labels: self.rules.global_labels.clone(),
            limits: self.rules.limits.clone(),
        };
        let collectors = Collectors::new(self.collectors, rules, Clock::system());
        let registry = Registry::new(self.rules);
        for spec in self.specs {
            registry.describe(&spec.name, SharedString::from(spec.help.into_owned()));
        }
        if let Some(ttl) = ttl {
            expire_in_background(&registry, ttl)?;
        }
        Ok(Exporter::new(registry, collectors))
    }
}

// By hand: a collector need not be `Debug`.
impl fmt::Debug for ExporterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExporterBuilder")
            .field("specs", &self.specs)
            .field("buckets", &self.buckets)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// The exporter of the process.
static INSTALLED: OnceLock<Exporter> = OnceLock::new();

#[derive(Debug)]
struct AlreadyInstalled;

impl fmt::Display for AlreadyInstalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a global recorder is set")
    }
}

impl std::error::Error for AlreadyInstalled {}

/// The coarsest schema whose buckets grow by no more than this: `2^(2^-schema) <= factor`.
fn schema_of(factor: f64) -> i32 {
    let fits = |schema: &i32| 2f64.powf(2f64.powi(-schema)) <= factor;
    (-4..8).find(fits).unwrap_or(8)
}

fn bounds(name: &str, bounds: &[f64]) -> Result<Arc<Bounds>, BuildError> {
    let why = if bounds.is_empty() {
        "are empty"
    } else if !bounds.iter().all(|bound| bound.is_finite()) {
        "are not all finite"
    } else if !bounds.is_sorted_by(|lower, upper| lower < upper) {
        "do not ascend"
    } else {
        return Ok(Arc::new(Bounds::new(bounds)));
    };
    Err(BuildError::buckets(name, why))
}

/// Looks for unused series every quarter of the time to live, as long as there is a registry.
fn expire_in_background(registry: &Arc<Registry>, ttl: Duration) -> Result<(), BuildError> {
    const SHORTEST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(30);
    let registry = Arc::downgrade(registry);
    let pause = (ttl / 4).clamp(SHORTEST, LONGEST);
    let clock = Clock::system();
    let start = clock.now();
    let run = move || {
        while let Some(registry) = registry.upgrade() {
            let now = clock.now().saturating_duration_since(start).as_nanos();
            registry.expire(u64::try_from(now).unwrap_or(u64::MAX));
            drop(registry);
            thread::sleep(pause);
        }
    };
    let thread = thread::Builder::new().name(String::from("metrics-expiry"));
    thread.spawn(run).map(drop).map_err(BuildError::thread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_chooses_the_schema() {
        for (factor, schema) in [(65536.0, -4), (2.0, 0), (1.5, 1), (1.1, 3), (1.0, 8)] {
            assert_eq!(schema_of(factor), schema, "{factor}");
        }
    }
}
