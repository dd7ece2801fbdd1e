//! What the service says about itself.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use tower_observe::{Spec, Unit};

use crate::Format;

const SCRAPES: &str = "exporter_scrapes_total";
const DURATION: &str = "exporter_scrape_duration_seconds";
const IN_FLIGHT: &str = "exporter_scrapes_in_flight";
const SIZE: &str = "exporter_scrape_size_bytes";

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// The client went away before its page was ready. As everywhere in this workspace.
const CLIENT_GONE: u16 = 499;
/// What can come of a scrape once its format is known, and before.
const CODES: [u16; 4] = [200, CLIENT_GONE, 500, 503];
const CODES_WITHOUT_FORMAT: [u16; 3] = [400, 405, 406];

/// The series of the service.
pub(crate) fn specs() -> [Spec; 4] {
    [
        Spec::counter(
            SCRAPES,
            "Scrapes by the format that they asked for and the status that they got; 499 if the client went away first.",
        )
        .labels(["format", "code"]),
        Spec::histogram(
            DURATION,
            Unit::Seconds,
            "Time to render and compress a page. Scrapes that share a page count once.",
        )
        .buckets([0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0]),
        Spec::gauge(IN_FLIGHT, "Scrapes that wait for their page, that which shows this included."),
        Spec::histogram(
            SIZE,
            Unit::Bytes,
            "Size of a page before compression. Scrapes that share a page count once.",
        )
        .buckets([1e3, 1e4, 1e5, 1e6, 1e7, 1e8]),
    ]
}

/// The handles of one service and its clones.
#[derive(Debug)]
pub(crate) struct ScrapeMetrics {
    scrapes: Vec<(Option<Format>, u16, Counter)>,
    duration: Histogram,
    in_flight: Gauge,
    size: Histogram,
}

impl ScrapeMetrics {
    /// Registers every series that a source of these formats can lead to.
    pub(crate) fn new(recorder: &dyn Recorder, formats: &[Format]) -> Self {
        let key = Key::from_static_name;
        let scrapes = |format: Option<Format>, code: u16| {
            let format_label = format.map_or("none", Format::as_str);
            let labels = vec![
                Label::new("format", format_label),
                Label::new("code", code.to_string()),
            ];
            let key = Key::from_parts(SCRAPES, labels);
            (format, code, recorder.register_counter(&key, &METADATA))
        };
        let with_format = formats
            .iter()
            .flat_map(|format| CODES.map(|code| scrapes(Some(*format), code)));
        let without = CODES_WITHOUT_FORMAT.map(|code| scrapes(None, code));
        Self {
            scrapes: with_format.chain(without).collect(),
            duration: recorder.register_histogram(&key(DURATION), &METADATA),
            in_flight: recorder.register_gauge(&key(IN_FLIGHT), &METADATA),
            size: recorder.register_histogram(&key(SIZE), &METADATA),
        }
    }

    /// Records nothing.
    pub(crate) fn none() -> Self {
        Self {
            scrapes: Vec::new(),
            duration: Histogram::noop(),
            in_flight: Gauge::noop(),
            size: Histogram::noop(),
        }
    }

    pub(super) fn rendered(&self, took: Duration, size: usize) {
        self.duration.record(took);
        #[expect(clippy::cast_precision_loss, reason = "no page has 2^53 bytes")]
        self.size.record(size as f64);
    }
}

/// A scrape under way. It is counted when this is dropped.
#[derive(Debug)]
pub(super) struct Scrape {
    metrics: Arc<ScrapeMetrics>,
    format: Option<Format>,
    code: u16,
}

impl Scrape {
    pub(super) fn start(metrics: &Arc<ScrapeMetrics>) -> Self {
        metrics.in_flight.increment(1.0);
        Self {
            metrics: Arc::clone(metrics),
            format: None,
            code: CLIENT_GONE,
        }
    }

    pub(super) const fn of(&mut self, format: Format) {
        self.format = Some(format);
    }

    pub(super) fn answered(mut self, status: StatusCode) {
        self.code = status.as_u16();
    }
}

impl Drop for Scrape {
    fn drop(&mut self) {
        self.metrics.in_flight.decrement(1.0);
        let same = |(format, code, _): &&(_, _, _)| (*format, *code) == (self.format, self.code);
        if let Some((_, _, scrapes)) = self.metrics.scrapes.iter().find(same) {
            scrapes.increment(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};
    use metrics_util::{
        CompositeKey,
        debugging::{DebugValue, DebuggingRecorder, Snapshotter},
    };
    use tower::ServiceExt as _;

    use super::*;
    use crate::{Filter, MetricsService, Source};

    struct Panics;

    impl Source for Panics {
        fn formats(&self) -> &[Format] {
            &[Format::Text, Format::OpenMetrics]
        }

        fn encode(&self, format: Format, _: &Filter, page: &mut Vec<u8>) {
            assert_eq!(format, Format::Text, "as it should");
            page.extend(b"up 1\n");
        }
    }

    fn series(snapshotter: &Snapshotter) -> Vec<(String, DebugValue)> {
        let name = |key: &CompositeKey| {
            let labels = key.key().labels().map(Label::value);
            let labels = labels.collect::<Vec<_>>().join(" ");
            format!("{} {labels}", key.key().name())
                .trim_end()
                .to_owned()
        };
        let snapshot = snapshotter.snapshot().into_vec();
        let series = snapshot.iter().map(|(key, .., value)| (name(key), value));
        let series = series.map(|(name, value)| match value {
            DebugValue::Counter(value) => (name, DebugValue::Counter(*value)),
            DebugValue::Gauge(value) => (name, DebugValue::Gauge(*value)),
            DebugValue::Histogram(values) => (name, DebugValue::Histogram(values.clone())),
        });
        series.collect()
    }

    fn counted(snapshotter: &Snapshotter) -> Vec<String> {
        let series = series(snapshotter).into_iter();
        let counted = series.filter_map(|(name, value)| match value {
            DebugValue::Counter(1..) => Some(name),
            _ => None,
        });
        counted.collect()
    }

    #[tokio::test]
    async fn every_series_is_there_at_zero_and_every_scrape_is_counted_once() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let metrics = ScrapeMetrics::new(&recorder, Panics.formats());
        let service = MetricsService::with_metrics(Panics, metrics);

        let at_first = series(&snapshotter);
        assert_eq!(
            at_first.len(),
            2 * CODES.len() + CODES_WITHOUT_FORMAT.len() + 3
        );
        for spec in specs() {
            assert!(
                at_first
                    .iter()
                    .any(|(name, _)| name.starts_with(&*spec.name))
            );
        }

        let request = || Request::builder();
        for (request, counter) in [
            (request(), "text 200"),
            (request().method(Method::HEAD), "text 200"),
            (request().method(Method::PUT), "none 405"),
            (request().header("accept", "image/png"), "none 406"),
            (
                request().header("accept-encoding", "identity;q=0"),
                "none 406",
            ),
            (
                request().uri(format!("/?name[]={}", "a".repeat(300))),
                "none 400",
            ),
            (
                request().header("accept", "application/openmetrics-text"),
                "openmetrics 500",
            ),
        ] {
            let Ok(_) = service.clone().oneshot(request.body(()).unwrap()).await;
            assert_eq!(counted(&snapshotter), [format!("{SCRAPES} {counter}")]);
        }

        let full = service.clone().max_in_flight(0);
        let Ok(_) = full.oneshot(Request::new(())).await;
        assert_eq!(counted(&snapshotter), [format!("{SCRAPES} text 503")]);

        for (name, value) in series(&snapshotter) {
            match value {
                DebugValue::Gauge(in_flight) => assert_eq!((&*name, *in_flight), (IN_FLIGHT, 0.0)),
                // Drained by each snapshot.
                DebugValue::Histogram(values) => assert!(values.is_empty()),
                DebugValue::Counter(counted) => assert_eq!(counted, 0, "{name}"),
            }
        }
    }

    #[tokio::test]
    async fn a_client_that_goes_away_is_counted_as_499() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let metrics = Arc::new(ScrapeMetrics::new(&recorder, &[Format::Text]));
        let mut scrape = Scrape::start(&metrics);
        scrape.of(Format::Text);
        drop(scrape);
        assert_eq!(counted(&snapshotter), [format!("{SCRAPES} text 499")]);
    }
}
