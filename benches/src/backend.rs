//! What the sides of a comparison record into.

use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, PeriodicReader, SdkMeterProvider,
    data::{AggregatedMetrics, MetricData},
};

use tower_metrics_exporter::{Exporter, Recorder, Value};

use crate::bare::Bare;

/// What a side records into.
pub trait Backend {
    /// Does the work with this backend in place.
    fn within(&self, work: &mut dyn FnMut());

    /// Whether it allocates for what it is told, and not only for a new series.
    fn allocates(&self) -> bool {
        false
    }

    /// Called between measurements, outside of what an operation pays.
    fn upkeep(&self) {}

    /// The operations that arrived here; none if nothing is recorded.
    fn recorded(&self) -> Option<u64> {
        None
    }
}

/// Nowhere.
impl Backend for () {
    fn within(&self, work: &mut dyn FnMut()) {
        work();
    }
}

/// Into both, which have to agree.
impl<A: Backend, B: Backend> Backend for (A, B) {
    fn within(&self, work: &mut dyn FnMut()) {
        self.0.within(&mut || self.1.within(work));
    }

    fn allocates(&self) -> bool {
        self.0.allocates() || self.1.allocates()
    }

    fn upkeep(&self) {
        self.0.upkeep();
        self.1.upkeep();
    }

    fn recorded(&self) -> Option<u64> {
        let both = (self.0.recorded(), self.1.recorded());
        if let (Some(one), Some(other)) = both {
            assert_eq!(one, other, "one of the two recorded more");
        }
        both.0.or(both.1)
    }
}

impl Backend for Bare {
    fn within(&self, work: &mut dyn FnMut()) {
        metrics::with_local_recorder(self, work);
    }

    fn recorded(&self) -> Option<u64> {
        Some(self.counted())
    }
}

/// metrics-exporter-prometheus, read once, at the end.
pub struct Prometheus {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    requests: &'static str,
}

impl Prometheus {
    /// A recorder where the counter named `requests` tells the operations.
    pub fn new(requests: &'static str) -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        Self {
            recorder,
            handle,
            requests,
        }
    }
}

impl Backend for Prometheus {
    fn within(&self, work: &mut dyn FnMut()) {
        metrics::with_local_recorder(&self.recorder, work);
    }

    fn allocates(&self) -> bool {
        true
    }

    fn upkeep(&self) {
        // Without it each sample would be kept.
        self.handle.run_upkeep();
    }

    fn recorded(&self) -> Option<u64> {
        let page = self.handle.render();
        let series = page.lines().filter(|line| line.starts_with(self.requests));
        let counts = series.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        Some(counts.sum())
    }
}

/// tower-metrics-exporter.
pub struct Ours {
    exporter: Exporter,
    recorder: Recorder,
    requests: &'static str,
}

impl Ours {
    /// A recorder where the counter named `requests` tells the operations.
    pub fn new(requests: &'static str) -> Self {
        let exporter = Exporter::builder()
            .build()
            .expect("the defaults can be built");
        Self {
            recorder: exporter.recorder(),
            exporter,
            requests,
        }
    }
}

impl Backend for Ours {
    fn within(&self, work: &mut dyn FnMut()) {
        metrics::with_local_recorder(&self.recorder, work);
    }

    fn recorded(&self) -> Option<u64> {
        let snapshot = self.exporter.snapshot();
        let counts = snapshot
            .iter()
            .filter(|series| series.name == self.requests);
        let counts = counts.map(|series| match series.value {
            Value::Counter(count) => count as u64,
            _ => 0,
        });
        Some(counts.sum())
    }
}

/// OpenTelemetry's SDK with a periodic reader whose period never comes: it is read once, at the end.
pub struct OpenTelemetry {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

impl OpenTelemetry {
    pub fn new() -> Self {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone())
            .with_interval(Duration::from_secs(24 * 60 * 60))
            .build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        Self { provider, exporter }
    }

    pub const fn provider(&self) -> &SdkMeterProvider {
        &self.provider
    }
}

impl Backend for OpenTelemetry {
    fn within(&self, work: &mut dyn FnMut()) {
        work();
    }

    fn recorded(&self) -> Option<u64> {
        self.provider.force_flush().expect("the reader collects");
        let collected = self.exporter.get_finished_metrics();
        let collected = collected.expect("the exporter is not shut down");
        let scopes = collected.iter().flat_map(|all| all.scope_metrics());
        let durations = scopes
            .flat_map(|scope| scope.metrics())
            .filter(|metric| metric.name() == "http.server.request.duration")
            .filter_map(|metric| match metric.data() {
                AggregatedMetrics::F64(MetricData::Histogram(durations)) => Some(durations),
                _ => None,
            });
        let points = durations.flat_map(|durations| durations.data_points());
        Some(points.map(|point| point.count()).sum())
    }
}
