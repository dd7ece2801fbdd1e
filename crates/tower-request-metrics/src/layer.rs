use tower_layer::Layer;
use tower_observe::{Clock, ObserveLayer, ObserveService, Spec};

use crate::RequestMetrics;

/// Records requests in the `metrics` facade. See the [crate's documentation](crate).
#[derive(Clone, Debug, Default)]
pub struct RequestMetricsLayer {
    observe: ObserveLayer<RequestMetrics>,
}

impl RequestMetricsLayer {
    /// A layer with the default names and labels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads time from `clock`. Default: [`Clock::system`].
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.observe = self.observe.clock(clock);
        self
    }

    /// What is recorded: names, labels, units, help texts and buckets, for the exporter.
    pub fn specs(&self) -> Vec<Spec> {
        self.observe.observer().specs()
    }
}

impl<S> Layer<S> for RequestMetricsLayer {
    type Service = ObserveService<S, RequestMetrics>;

    fn layer(&self, inner: S) -> Self::Service {
        self.observe.layer(inner)
    }
}
