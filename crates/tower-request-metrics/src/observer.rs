use metrics::{Gauge, SharedString, counter, gauge, histogram};
use tower_observe::{End, Exchange, Observe, RequestHead, Spec, Unit};

use crate::{labels, names, route};

/// The observer behind [`RequestMetricsLayer`](crate::RequestMetricsLayer).
///
/// On its own it is for a tuple of observers in one [`ObserveLayer`](tower_observe::ObserveLayer),
/// which costs a request less than a layer for each.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RequestMetrics {}

impl RequestMetrics {
    /// An observer with the default names and labels.
    pub const fn new() -> Self {
        Self {}
    }

    /// What is recorded: names, labels, units, help texts and buckets, for the exporter.
    pub fn specs(&self) -> Vec<Spec> {
        vec![
            Spec::counter(
                names::REQUESTS_TOTAL,
                "Requests that have ended, however they ended.",
            )
            .labels([names::METHOD, names::ENDPOINT, names::STATUS]),
            Spec::histogram(
                names::REQUEST_DURATION_SECONDS,
                Unit::Seconds,
                "Time from the start of a request to the end of the response's body.",
            )
            .labels([names::ENDPOINT])
            .buckets(names::DURATION_BUCKETS),
            Spec::gauge(
                names::ACTIVE_REQUESTS,
                "Requests that have started and not yet ended.",
            )
            .labels([names::METHOD, names::ENDPOINT]),
        ]
    }
}

impl Observe for RequestMetrics {
    type Exchange = Recording;

    fn start(&self, request: &mut RequestHead<'_>) -> Recording {
        let method = labels::method(request.method());
        let endpoint = route::of(request.extensions());
        let active = gauge!(
            names::ACTIVE_REQUESTS,
            names::METHOD => method,
            names::ENDPOINT => endpoint.clone(),
        );
        active.increment(1.0);
        Recording {
            method,
            endpoint,
            active,
        }
    }
}

/// One request being recorded. Made by [`RequestMetrics`].
pub struct Recording {
    method: &'static str,
    endpoint: SharedString,
    // The handle that was incremented: another recorder's would fall below zero.
    active: Gauge,
}

impl Exchange for Recording {
    fn end(&self, end: &End<'_>) {
        self.active.decrement(1.0);
        counter!(
            names::REQUESTS_TOTAL,
            names::METHOD => self.method,
            names::ENDPOINT => self.endpoint.clone(),
            names::STATUS => labels::status(end.effective_status()),
        )
        .increment(1);
        histogram!(names::REQUEST_DURATION_SECONDS, names::ENDPOINT => self.endpoint.clone())
            .record(end.duration());
    }
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording")
            .field("method", &self.method)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}
