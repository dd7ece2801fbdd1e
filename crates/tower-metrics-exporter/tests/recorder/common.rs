use std::{
    fmt,
    sync::{Arc, Mutex},
};

use metrics::{
    Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder as _, with_local_recorder,
};
use tower_metrics_exporter::{Exporter, ExporterBuilder, Filter, Format, Source as _};
use tracing::{
    Event, Level as TracingLevel, Metadata as TracingMetadata, Subscriber,
    field::{Field, Visit},
    span,
};

const METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);

pub(crate) fn build(builder: ExporterBuilder) -> Exporter {
    builder.build().unwrap()
}

/// An exporter after `record`.
pub(crate) fn after(builder: ExporterBuilder, record: impl FnOnce()) -> Exporter {
    let exporter = build(builder);
    with_local_recorder(&exporter.recorder(), record);
    exporter
}

/// The lines of a page that are not about the exporter itself.
pub(crate) fn lines(exporter: &Exporter) -> Vec<String> {
    let page = exporter.render();
    let lines = page.lines().filter(|line| !line.contains("exporter_"));
    lines.map(str::to_owned).collect()
}

pub(crate) fn page(exporter: &Exporter, format: Format) -> Vec<u8> {
    let mut page = Vec::new();
    exporter.encode(format, &Filter::default(), &mut page);
    page
}

pub(crate) fn rejected(exporter: &Exporter, reason: &str) -> f64 {
    exporter
        .value("exporter_series_rejected_total", &[("reason", reason)])
        .unwrap()
}

fn key(name: &'static str, label: &'static str, value: &str) -> Key {
    Key::from_parts(name, vec![Label::new(label, value.to_owned())])
}

pub(crate) fn held_counter(exporter: &Exporter, name: &'static str, value: &str) -> Counter {
    let key = key(name, "v", value);
    exporter.recorder().register_counter(&key, &METADATA)
}

pub(crate) fn held_gauge(exporter: &Exporter, name: &'static str, value: &str) -> Gauge {
    let key = key(name, "v", value);
    exporter.recorder().register_gauge(&key, &METADATA)
}

pub(crate) fn held_histogram(exporter: &Exporter, name: &'static str, value: &str) -> Histogram {
    let key = key(name, "v", value);
    exporter.recorder().register_histogram(&key, &METADATA)
}

/// The families that the log warns of meanwhile.
pub(crate) fn warnings(work: impl FnOnce()) -> Vec<String> {
    struct Warnings(Arc<Mutex<Vec<String>>>);

    impl Visit for Warnings {
        fn record_str(&mut self, field: &Field, value: &str) {
            if field.name() == "family" {
                self.0.lock().unwrap().push(value.to_owned());
            }
        }

        fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
    }

    impl Subscriber for Warnings {
        fn enabled(&self, metadata: &TracingMetadata<'_>) -> bool {
            *metadata.level() == TracingLevel::WARN
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &Event<'_>) {
            event.record(&mut Self(Arc::clone(&self.0)));
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    let families = Arc::default();
    let subscriber = Warnings(Arc::clone(&families));
    tracing::subscriber::with_default(subscriber, work);
    std::mem::take(&mut *families.lock().unwrap())
}
