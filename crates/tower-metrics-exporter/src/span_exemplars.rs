use std::{cell::RefCell, fmt, sync::Arc};

use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use crate::{ExporterBuilder, cell::ExemplarSource, format::Labels};

/// Remembers the `trace_id` and `span_id` of spans, so that what is recorded within them gets exemplars:
/// a layer for the subscriber, beside
/// [`exemplars_from_spans`](ExporterBuilder::exemplars_from_spans).
///
/// A span has the ids that its fields of these names say, else those of the span around it. A field that is
/// recorded later counts from the next time that its span is entered.
///
/// ```
/// use tower_metrics_exporter::{Exporter, Filter, Format, Source, SpanExemplarsLayer};
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let subscriber = tracing_subscriber::registry().with(SpanExemplarsLayer::new());
/// let exporter = Exporter::builder().exemplars_from_spans().build()?;
///
/// tracing::subscriber::with_default(subscriber, || {
///     let _in_trace = tracing::info_span!("request", trace_id = "4bf92f35").entered();
///     metrics::with_local_recorder(&exporter.recorder(), || {
///         metrics::histogram!("wait_seconds").record(0.2);
///     });
/// });
///
/// let mut page = Vec::new();
/// exporter.encode(Format::OpenMetrics, &Filter::default(), &mut page);
/// assert!(String::from_utf8(page)?.contains("# {trace_id=\"4bf92f35\"} 0.2 "));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SpanExemplarsLayer;

impl SpanExemplarsLayer {
    /// A layer that remembers.
    pub const fn new() -> Self {
        Self
    }
}

impl ExporterBuilder {
    /// Gives histograms exemplars with the ids of the present span, which a [`SpanExemplarsLayer`] has to
    /// remember; see [`exemplars`](Self::exemplars).
    pub fn exemplars_from_spans(self) -> Self {
        self.exemplar_source(ExemplarSource::new(|| {
            let last =
                |entered: &RefCell<Vec<_>>| entered.try_borrow().ok()?.last().cloned().flatten();
            ENTERED.try_with(last).ok().flatten()
        }))
    }
}

thread_local! {
    /// The ids of the spans that this thread is in, the innermost last.
    static ENTERED: RefCell<Vec<Option<Arc<Labels>>>> = const { RefCell::new(Vec::new()) };
}

fn entered(change: impl FnOnce(&mut Vec<Option<Arc<Labels>>>)) {
    // A thread whose locals are gone already is on its way out.
    let _ = ENTERED.try_with(|entered| {
        if let Ok(mut entered) = entered.try_borrow_mut() {
            change(&mut entered);
        }
    });
}

/// What a span's fields say, and what becomes of it.
#[derive(Clone, Debug, Default)]
struct Ids {
    trace_id: Option<Box<str>>,
    span_id: Option<Box<str>>,
    labels: Option<Arc<Labels>>,
}

impl Ids {
    /// The ids after a visit; none without a trace.
    fn visited(mut self, visit: impl FnOnce(&mut Self)) -> Self {
        visit(&mut self);
        let pairs = [("trace_id", &self.trace_id), ("span_id", &self.span_id)];
        let pairs = pairs
            .iter()
            .filter_map(|(name, id)| Some((*name, id.as_deref()?)));
        self.labels = self
            .trace_id
            .is_some()
            .then(|| Arc::new(Labels::new(pairs).0));
        self
    }
}

impl Visit for Ids {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "trace_id" => self.trace_id = Some(value.into()),
            "span_id" => self.span_id = Some(value.into()),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if matches!(field.name(), "trace_id" | "span_id") {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}

impl<S> Layer<S> for SpanExemplarsLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let around = span
            .parent()
            .and_then(|parent| parent.extensions().get::<Ids>().cloned());
        let ids = around
            .unwrap_or_default()
            .visited(|ids| attributes.record(ids));
        span.extensions_mut().insert(ids);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        if let Some(ids) = extensions.get_mut::<Ids>() {
            *ids = std::mem::take(ids).visited(|ids| values.record(ids));
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let labels = context.span(id).and_then(|span| {
            let extensions = span.extensions();
            extensions.get::<Ids>()?.labels.clone()
        });
        entered(|entered| entered.push(labels));
    }

    fn on_exit(&self, _: &Id, _: Context<'_, S>) {
        entered(|entered| drop(entered.pop()));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn present() -> Option<String> {
        let labels = ENTERED.with_borrow(|entered| entered.last().cloned().flatten());
        labels.map(|labels| labels.text().to_owned())
    }

    #[test]
    fn a_span_has_its_own_ids_or_those_around_it() {
        let subscriber = tracing_subscriber::registry().with(SpanExemplarsLayer::new());
        tracing::subscriber::with_default(subscriber, || {
            assert_eq!(present(), None);
            let outer =
                tracing::info_span!("outer", trace_id = "t", span_id = tracing::field::Empty);
            outer.in_scope(|| {
                assert_eq!(present().as_deref(), Some(r#"trace_id="t""#));
                tracing::info_span!("inner", span_id = %"s").in_scope(|| {
                    assert_eq!(present().as_deref(), Some(r#"span_id="s",trace_id="t""#));
                });
                outer.record("span_id", "late");
                assert_eq!(present().as_deref(), Some(r#"trace_id="t""#));
            });
            outer.in_scope(|| assert!(present().unwrap().contains("late")));
            tracing::info_span!("another", span_id = "s").in_scope(|| assert_eq!(present(), None));
            assert_eq!(present(), None);
        });
    }
}
