use std::{
    fmt,
    io::{self, Write as _},
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use metrics::{Counter, counter};
use tracing_core::{
    Event, Level, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    fmt::MakeWriter,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

use crate::{
    format::{
        Limits,
        fields::Fields,
        keys::{self, Origin},
        line::{self, Head},
        scratch::Scratch,
        span::{LayerId, SpanFields},
        value::Recorder,
    },
    names,
    redact::Redact,
};

/// Writes each event of `tracing` as one JSON object on one line: a layer of `tracing-subscriber`.
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use tower_json_logging::JsonLayer;
/// use tracing_subscriber::layer::SubscriberExt as _;
/// # #[derive(Clone, Default)]
/// # struct Lines(Arc<Mutex<Vec<u8>>>);
/// # impl std::io::Write for Lines {
/// #     fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> { self.0.lock().unwrap().write(bytes) }
/// #     fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
/// # }
///
/// let lines = Lines::default(); // a `Write` that keeps what it gets
/// let writer = lines.clone();
/// let subscriber = tracing_subscriber::registry().with(JsonLayer::new(move || writer.clone()));
///
/// tracing::subscriber::with_default(subscriber, || {
///     let _scan = tracing::error_span!("scan", scan_id = "7d0f", password = "hunter2").entered();
///     tracing::info!(findings = 3, "scan finished");
/// });
///
/// let line: serde_json::Value = serde_json::from_slice(&lines.0.lock().unwrap()).unwrap();
/// assert_eq!(line["level"], "INFO");
/// assert_eq!(line["message"], "scan finished");
/// assert_eq!(line["function"], "scan");
/// assert_eq!(line["scan_id"], "7d0f");
/// assert_eq!(line["findings"], 3);
/// assert_eq!(line["password"], "[REDACTED]");
/// ```
///
/// The [crate's documentation](crate#keys) lists the keys.
///
/// A line is built whole, in memory that the thread keeps, and given to the writer by one `write_all`.
/// A writer that fails loses that line, which is counted; nothing panics, and nothing is tried again.
/// A value whose `Debug` panics makes the logging statement panic, as anywhere else; no part of its
/// line is written.
pub struct JsonLayer<W = fn() -> io::Stdout> {
    make_writer: W,
    id: LayerId,
    limits: Limits,
    redact: Redact,
}

impl JsonLayer {
    /// A layer that writes to standard output.
    pub fn stdout() -> Self {
        Self::new(io::stdout)
    }
}

impl<W> JsonLayer<W> {
    /// A layer that writes to what `make_writer` gives: a closure that gives a [`Write`](io::Write), a
    /// `Mutex` of one, or another [`MakeWriter`].
    pub fn new(make_writer: W) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            make_writer,
            id: LayerId(NEXT.fetch_add(1, Ordering::Relaxed)),
            limits: Limits::new(),
            redact: Redact::default(),
        }
    }

    /// Bounds lines by `limits`. Default: [`Limits::new`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Writes the field `name` although its name is a secret's. Default: none.
    ///
    /// Secret is a name that is or ends with `password`, `passwd`, `passphrase`, `secret`, `token`,
    /// `api_key`, `authorization`, `bearer`, `cookie`, `private_key`, `credential` or `credentials`.
    /// Case and the separators `-`, `_` and `.` do not matter, in `name` neither.
    #[must_use]
    pub fn allow_field(mut self, name: &str) -> Self {
        self.redact.allow(name);
        self
    }

    const fn recorder<'a>(&'a self, fields: &'a mut Fields, origin: Origin) -> Recorder<'a> {
        Recorder {
            fields,
            origin,
            redact: &self.redact,
            limits: &self.limits,
        }
    }

    /// Keeps what a span recorded. No lock is held while values are formatted: they may log.
    fn keep<S>(&self, span: Option<SpanRef<'_, S>>, record: impl FnOnce(&mut Recorder<'_>))
    where
        S: for<'a> LookupSpan<'a>,
    {
        let Some(span) = span else { return };
        let mut scratch = Scratch::take();
        record(&mut self.recorder(&mut scratch.fields, Origin::Span));
        if !scratch.fields.is_empty() {
            let mut extensions = span.extensions_mut();
            match extensions.get_mut::<SpanFields>() {
                Some(kept) => kept.record(self.id, &scratch.fields, &self.limits),
                None => extensions.insert(SpanFields::new(self.id, scratch.fields.clone())),
            }
        }
        scratch.put_back();
    }
}

impl<W> JsonLayer<W>
where
    W: for<'a> MakeWriter<'a>,
{
    fn write(&self, metadata: &Metadata<'_>, line: &[u8]) {
        let mut writer = self.make_writer.make_writer_for(metadata);
        let written = writer.write_all(line);
        // A writer may be a lock, and a recorder may log.
        drop(writer);
        let counted = if written.is_ok() {
            lines_total(*metadata.level())
        } else {
            counter!(names::LINES_DROPPED_TOTAL, "reason" => "io_error")
        };
        counted.increment(1);
    }
}

impl<S, W> Layer<S> for JsonLayer<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.keep(context.span(id), |recorder| attributes.record(recorder));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.keep(context.span(id), |recorder| values.record(recorder));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut scratch = Scratch::take();
        let Scratch { line, fields } = &mut scratch;

        event.record(&mut self.recorder(fields, Origin::of_event(metadata)));

        let module = keys::module(metadata);
        let mut function = None;
        // From the leaf to the root, so that the inner span wins.
        for span in context.event_scope(event).into_iter().flatten() {
            if function.is_none() && keys::module(span.metadata()) == module {
                function = Some(span.name());
            }
            if let Some(kept) = span.extensions().get::<SpanFields>() {
                if let Some(of_span) = kept.of(self.id) {
                    fields.merge(of_span, &self.limits);
                }
            }
        }

        let head = Head {
            // A clock before 1970 is written as 1970.
            since_epoch: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
            level: *metadata.level(),
            module,
            function,
        };
        line::write(line, head, fields, &self.limits);
        self.write(metadata, line);
        scratch.put_back();
    }
}

/// The labels are literals: only so does the facade make no allocation for them.
fn lines_total(level: Level) -> Counter {
    match level {
        Level::ERROR => counter!(names::LINES_TOTAL, "level" => "ERROR"),
        Level::WARN => counter!(names::LINES_TOTAL, "level" => "WARN"),
        Level::INFO => counter!(names::LINES_TOTAL, "level" => "INFO"),
        Level::DEBUG => counter!(names::LINES_TOTAL, "level" => "DEBUG"),
        Level::TRACE => counter!(names::LINES_TOTAL, "level" => "TRACE"),
    }
}

impl<W> fmt::Debug for JsonLayer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLayer")
            .field("limits", &self.limits)
            .field("redact", &self.redact)
            .finish_non_exhaustive()
    }
}
