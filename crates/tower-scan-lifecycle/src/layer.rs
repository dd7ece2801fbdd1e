use tower_layer::Layer;

use crate::{ScanMetrics, ScanService};

/// Records the calls of a service as scans.
///
/// Outside of a retry it counts scans, inside attempts. Outside of a timeout it sees the timeout's
/// error, which the outcome's classifier can tell apart; inside it is dropped, and the scan cancelled.
#[derive(Clone, Debug)]
pub struct ScanLayer<C, O = ()> {
    scans: ScanMetrics,
    classify: C,
    outcome: O,
}

impl<C> ScanLayer<C> {
    /// Records what `classify` calls a scan: a closure `|&Request| -> Option<ScanMeta>`, or a
    /// [`ClassifyScan`](crate::ClassifyScan).
    ///
    /// A response is a completed scan without findings and an error a failed scan, unless
    /// [`outcome`](ScanLayer::outcome) says more.
    pub const fn new(scans: ScanMetrics, classify: C) -> Self {
        Self {
            scans,
            classify,
            outcome: (),
        }
    }
}

impl<C, O> ScanLayer<C, O> {
    /// Reads from the service's answer how the scan ended: a closure
    /// `|Result<&Response, &Error>| -> Outcome`, or a [`ClassifyOutcome`](crate::ClassifyOutcome).
    #[must_use]
    pub fn outcome<P>(self, outcome: P) -> ScanLayer<C, P> {
        let Self {
            scans,
            classify,
            outcome: _,
        } = self;
        ScanLayer {
            scans,
            classify,
            outcome,
        }
    }
}

impl<S, C: Clone, O: Clone> Layer<S> for ScanLayer<C, O> {
    type Service = ScanService<S, C, O>;

    fn layer(&self, inner: S) -> Self::Service {
        ScanService::new(
            inner,
            self.scans.clone(),
            self.classify.clone(),
            self.outcome.clone(),
        )
    }
}
