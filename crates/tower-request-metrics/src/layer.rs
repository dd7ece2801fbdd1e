use tower_layer::Layer;
use tower_observe::{Clock, ObserveLayer, ObserveService, Spec};

use crate::RequestMetrics;

/// Records requests in the `metrics` facade. See the [crate's documentation](crate).
#[derive(Clone, Debug, Default)]
pub struct RequestMetricsLayer {
    observe: ObserveLayer<RequestMetrics>,
}

impl RequestMetricsLayer {
    /// HTTP requests, with the default names and labels.
    pub fn new() -> Self {
        Self::default()
    }

    /// gRPC calls, with the default names and labels.
    pub fn grpc() -> Self {
        RequestMetrics::grpc().into()
    }

    /// HTTP requests and gRPC calls on one port, told apart by content type, with the default names and
    /// labels.
    pub fn auto() -> Self {
        RequestMetrics::auto().into()
    }

    /// The observer, for [`init`](RequestMetrics::init).
    pub fn metrics(&self) -> &RequestMetrics {
        self.observe.observer()
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

impl From<RequestMetrics> for RequestMetricsLayer {
    fn from(metrics: RequestMetrics) -> Self {
        Self {
            observe: ObserveLayer::new(metrics),
        }
    }
}
