use metrics_exporter_prometheus::PrometheusHandle;

use super::{Filter, Source, text};
use crate::Format;

/// The families of a filter are taken from a whole page, so a scrape of few costs as much as one of
/// all. The upkeep of the recorder stays its owner's business.
#[cfg_attr(docsrs, doc(cfg(feature = "metrics-exporter-prometheus")))]
impl Source for PrometheusHandle {
    fn formats(&self) -> &[Format] {
        &[Format::Text]
    }

    fn encode(&self, _: Format, filter: &Filter, page: &mut Vec<u8>) {
        text::append_filtered(page, &self.render(), filter);
    }
}

#[cfg(test)]
mod tests {
    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn the_page_is_the_handles_own() {
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || {
            metrics::describe_counter!("jobs_total", "Jobs.");
            metrics::counter!("jobs_total", "kind" => "a").increment(3);
            metrics::gauge!("up").set(1.0);
        });
        let handle = recorder.handle();
        let page = |filter: &Filter| {
            let mut page = Vec::new();
            handle.encode(Format::Text, filter, &mut page);
            String::from_utf8(page).unwrap()
        };
        assert_eq!(page(&Filter::default()), handle.render());
        assert_eq!(
            page(&Filter::new(["jobs_total"])).trim_end(),
            "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\njobs_total{kind=\"a\"} 3"
        );
    }
}
