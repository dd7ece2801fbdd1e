use super::{Collector, Samples};

/// What was built: `build_info{name,version,…} 1`, to be joined with other series in queries.
///
/// ```
/// use tower_metrics_exporter::{BuildInfo, Collector as _, Samples};
///
/// let info = BuildInfo::new("orders", "1.4.0").revision("93b3f40");
///
/// let mut samples = Samples::default();
/// info.collect(&mut samples);
/// let labels = [("name", "orders"), ("version", "1.4.0"), ("revision", "93b3f40")];
/// assert_eq!(samples.get("build_info", &labels), Some(1.0));
/// ```
#[derive(Clone, Debug)]
pub struct BuildInfo {
    labels: Vec<(String, String)>,
}

impl BuildInfo {
    /// Of the program of this name and version: `env!("CARGO_PKG_NAME")` and `env!("CARGO_PKG_VERSION")`.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        let labels = Vec::new();
        Self { labels }
            .label("name", name)
            .label("version", version)
    }

    /// Adds the revision of the source.
    #[must_use]
    pub fn revision(self, revision: impl Into<String>) -> Self {
        self.label("revision", revision)
    }

    /// Adds the version of the compiler, as `rustversion`.
    #[must_use]
    pub fn rust_version(self, version: impl Into<String>) -> Self {
        self.label("rustversion", version)
    }

    /// Adds another label.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }
}

impl Collector for BuildInfo {
    fn name(&self) -> &'static str {
        "build_info"
    }

    fn collect(&self, samples: &mut Samples) {
        let help = "What the program was built from.";
        samples
            .gauge("build_info", help)
            .sample(pairs(&self.labels), 1.0);
    }
}

/// What the program is a part of, by [OpenTelemetry's resource attributes][attributes]:
/// `target_info{service_name,…} 1`.
///
/// ```
/// use tower_metrics_exporter::{Collector as _, Samples, TargetInfo};
///
/// let info = TargetInfo::new([("service.name", "orders"), ("service.namespace", "shop")]);
///
/// let mut samples = Samples::default();
/// info.collect(&mut samples);
/// let labels = [("service_name", "orders"), ("service_namespace", "shop")];
/// assert_eq!(samples.get("target_info", &labels), Some(1.0));
/// ```
///
/// [attributes]: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#resource-attributes-1
#[derive(Clone, Debug)]
pub struct TargetInfo {
    attributes: Vec<(String, String)>,
}

impl TargetInfo {
    /// With these attributes.
    pub fn new<K: Into<String>, V: Into<String>>(
        attributes: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let attributes = attributes.into_iter();
        Self {
            attributes: attributes
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }
}

impl Collector for TargetInfo {
    fn name(&self) -> &'static str {
        "target_info"
    }

    fn collect(&self, samples: &mut Samples) {
        let help = "What the program is a part of.";
        samples
            .gauge("target_info", help)
            .sample(pairs(&self.attributes), 1.0);
    }
}

fn pairs(labels: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
}
