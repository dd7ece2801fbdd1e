#[cfg(feature = "metrics-exporter-prometheus")]
mod metrics_exporter_prometheus;
#[cfg(feature = "prometheus")]
mod prometheus;
#[cfg(feature = "prometheus-client")]
mod prometheus_client;
#[cfg(any(feature = "metrics-exporter-prometheus", feature = "prometheus-client"))]
mod text;

use std::sync::Arc;

use crate::Format;

/// What a [`MetricsService`](crate::MetricsService) shows: this crate's own
/// [`Exporter`](crate::Exporter), or another registry that an application has already.
pub trait Source: Send + Sync + 'static {
    /// The formats that it can write, in its order of preference. Not empty.
    fn formats(&self) -> &[Format];

    /// Whether a page may have to wait for something, such as a collector that blocks. It is then never
    /// written on a thread that runs other tasks, if there are others, however quick the last one was. No
    /// unless said otherwise.
    fn may_wait(&self) -> bool {
        false
    }

    /// Appends a whole page in `format`, which is one of [`formats`](Self::formats).
    fn encode(&self, format: Format, filter: &Filter, page: &mut Vec<u8>);
}

impl<S: Source + ?Sized> Source for Arc<S> {
    fn formats(&self) -> &[Format] {
        (**self).formats()
    }

    fn may_wait(&self) -> bool {
        (**self).may_wait()
    }

    fn encode(&self, format: Format, filter: &Filter, page: &mut Vec<u8>) {
        (**self).encode(format, filter, page);
    }
}

/// Which families a scrape asks for: all, or those of its `name[]` parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    names: Vec<String>,
}

impl Filter {
    /// Those of these names; all if there is none.
    pub fn new<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
        }
    }

    /// Whether all families are asked for.
    pub fn is_all(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether the family of this name is asked for, by the name that it has in the text format, or by
    /// one of its samples' (`…_bucket`, `…_sum`, `…_count`).
    pub fn has(&self, family: &str) -> bool {
        let is_of = |name: &str| match name.strip_prefix(family) {
            Some(rest) => matches!(
                rest,
                "" | "_bucket" | "_sum" | "_count" | "_total" | "_created"
            ),
            // OpenMetrics calls a counter's family by its name without the suffix.
            None => family.strip_suffix("_total") == Some(name),
        };
        self.is_all() || self.names.iter().any(|name| is_of(name))
    }
}
