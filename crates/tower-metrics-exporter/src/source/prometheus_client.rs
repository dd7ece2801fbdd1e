use std::sync::{Mutex, PoisonError, RwLock};

use prometheus_client::{encoding::text::encode, registry::Registry};

use super::{Filter, Source, text};
use crate::Format;

/// A registry whose metrics are all registered. Inside a [`Mutex`] or an [`RwLock`], and that inside an
/// [`Arc`](std::sync::Arc), it takes more later; the lock is held for the time of a render.
///
/// The families of a filter are taken from a whole page, so a scrape of few costs as much as one of
/// all. If a metric of the application's own cannot be written, the page ends there, without OpenMetrics'
/// end mark, and the scraper refuses it.
#[cfg_attr(docsrs, doc(cfg(feature = "prometheus-client")))]
impl Source for Registry {
    fn formats(&self) -> &[Format] {
        &[Format::OpenMetrics]
    }

    fn encode(&self, _: Format, filter: &Filter, page: &mut Vec<u8>) {
        let mut rendered = String::new();
        // What is there by then is not a whole page, and can be seen not to be one.
        let _ = encode(&mut rendered, self);
        text::append_filtered(page, &rendered, filter);
    }
}

#[cfg_attr(docsrs, doc(cfg(feature = "prometheus-client")))]
impl Source for Mutex<Registry> {
    fn formats(&self) -> &[Format] {
        &[Format::OpenMetrics]
    }

    fn encode(&self, format: Format, filter: &Filter, page: &mut Vec<u8>) {
        let registry = self.lock().unwrap_or_else(PoisonError::into_inner);
        registry.encode(format, filter, page);
    }
}

#[cfg_attr(docsrs, doc(cfg(feature = "prometheus-client")))]
impl Source for RwLock<Registry> {
    fn formats(&self) -> &[Format] {
        &[Format::OpenMetrics]
    }

    fn encode(&self, format: Format, filter: &Filter, page: &mut Vec<u8>) {
        let registry = self.read().unwrap_or_else(PoisonError::into_inner);
        registry.encode(format, filter, page);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

    use super::*;

    fn page(source: &impl Source, filter: &Filter) -> String {
        let mut page = Vec::new();
        source.encode(Format::OpenMetrics, filter, &mut page);
        String::from_utf8(page).unwrap()
    }

    #[test]
    fn a_registry_is_shown_and_filtered_behind_any_lock() {
        let registry = || {
            let mut registry = Registry::default();
            let jobs = <Counter>::default();
            jobs.inc_by(3);
            registry.register("jobs", "Jobs", jobs);
            registry.register("up", "Up", <Gauge>::default());
            registry
        };
        let jobs = "# HELP jobs Jobs.\n# TYPE jobs counter\njobs_total 3\n";
        let up = "# HELP up Up.\n# TYPE up gauge\nup 0\n";
        let all = format!("{jobs}{up}# EOF\n");
        assert_eq!(page(&registry(), &Filter::default()), all);
        assert_eq!(
            page(&Arc::new(Mutex::new(registry())), &Filter::default()),
            all
        );
        assert_eq!(
            page(&Arc::new(RwLock::new(registry())), &Filter::default()),
            all
        );
        for name in ["jobs", "jobs_total"] {
            let page = page(&registry(), &Filter::new([name]));
            assert_eq!(page, format!("{jobs}# EOF\n"));
        }
    }
}
