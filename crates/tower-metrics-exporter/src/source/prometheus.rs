use prometheus::{Encoder as _, Registry, TextEncoder};

use super::{Filter, Source};
use crate::Format;

/// A family that cannot be written, as one without a single series, is left out, and the others are
/// not.
#[cfg_attr(docsrs, doc(cfg(feature = "prometheus")))]
impl Source for Registry {
    fn formats(&self) -> &[Format] {
        &[Format::Text]
    }

    fn encode(&self, _: Format, filter: &Filter, page: &mut Vec<u8>) {
        for family in self.gather() {
            if !filter.has(family.name()) {
                continue;
            }
            let before = page.len();
            if TextEncoder::new().encode(&[family], page).is_err() {
                page.truncate(before);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{
        Histogram, HistogramOpts, IntCounter, core::Collector, core::Desc, proto::MetricFamily,
    };

    use super::*;

    /// Has a family, but no series yet.
    struct Empty(Desc);

    impl Collector for Empty {
        fn desc(&self) -> Vec<&Desc> {
            vec![&self.0]
        }

        fn collect(&self) -> Vec<MetricFamily> {
            let mut family = MetricFamily::default();
            family.set_name("empty".to_owned());
            vec![family]
        }
    }

    #[test]
    fn families_are_filtered_and_one_without_series_costs_the_others_nothing() {
        let registry = Registry::new();
        let jobs = IntCounter::new("jobs_total", "Jobs.").unwrap();
        jobs.inc_by(3);
        let seconds = HistogramOpts::new("job_seconds", "Time.").buckets(vec![1.0]);
        let seconds = Histogram::with_opts(seconds).unwrap();
        seconds.observe(0.5);
        let empty = Desc::new("empty".to_owned(), "Empty.".to_owned(), vec![], [].into()).unwrap();
        for collector in [
            Box::new(jobs) as Box<dyn Collector>,
            Box::new(seconds),
            Box::new(Empty(empty)),
        ] {
            registry.register(collector).unwrap();
        }
        let page = |filter: &Filter| {
            let mut page = Vec::new();
            registry.encode(Format::Text, filter, &mut page);
            String::from_utf8(page).unwrap()
        };
        let jobs = "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\njobs_total 3\n";
        assert_eq!(page(&Filter::new(["jobs_total"])), jobs);
        let all = page(&Filter::default());
        assert!(all.contains(jobs), "{all}");
        assert!(all.contains("job_seconds_bucket{le=\"+Inf\"} 1\n"), "{all}");
        assert_eq!(page(&Filter::new(["job_seconds_count"])) + jobs, all);
    }
}
