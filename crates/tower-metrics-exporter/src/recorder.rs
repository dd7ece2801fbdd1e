use std::{fmt, sync::Arc};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};

use crate::{format::FamilyKind, registry::Registry};

/// The recorder behind an [`Exporter`](crate::Exporter): what the `metrics` facade records into.
///
/// Clones record into the same registry. Series that could not be had (the name is another instrument's, or
/// a rule hides it) are recorded nowhere, and counted.
#[derive(Clone)]
pub struct Recorder {
    registry: Arc<Registry>,
}

impl Recorder {
    pub(crate) const fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.registry.describe(name.as_str(), help);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.registry.describe(name.as_str(), help);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.registry.describe(name.as_str(), help);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.registry
            .series(key, FamilyKind::Counter)
            .map_or_else(Counter::noop, Counter::from_arc)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.registry
            .series(key, FamilyKind::Gauge)
            .map_or_else(Gauge::noop, Gauge::from_arc)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.registry
            .series(key, FamilyKind::Histogram)
            .map_or_else(Histogram::noop, Histogram::from_arc)
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}
