use tower_layer::Layer;

use crate::{ScanMetrics, ScanService, Typed};

/// Records the calls of a service as scans.
///
/// Put it outside of a retry to count scans; inside it would count attempts. Outside of a timeout it sees the
/// timeout's error, which the outcome's classifier can tell apart; inside it is dropped, and the scan
/// cancelled, unless it has a [deadline](crate::ScanMeta::deadline) that has passed.
///
/// The scan starts when the service is called. An error of `poll_ready` belongs to no scan.
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

impl ScanLayer<Typed, Typed> {
    /// Records the calls of a service whose requests, responses and errors say by themselves what they are:
    /// see [`ScanRequest`](crate::ScanRequest), [`ScanResponse`](crate::ScanResponse) and
    /// [`ScanError`](crate::ScanError).
    pub const fn typed(scans: ScanMetrics) -> Self {
        Self {
            scans,
            classify: Typed,
            outcome: Typed,
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
