use std::{error::Error, fmt, io, sync::Arc};

use tracing_core::{
    Event, Field, Level, Subscriber,
    field::Visit,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, fmt::MakeWriter, layer::Context, registry::LookupSpan};

use crate::{
    access::{self, Request},
    context::{RequestContext, Value},
    format::{
        Limits,
        core::{Config, Core},
        fields::Fields,
        output::{Immediate, WriteLine},
        plan::{self, Origin, Plan},
        scratch::Scratch,
        spans::{Open, SpanOfLayer},
        value::Recorder,
    },
    limit::{Passage, RateLimit},
    names::{self, Lost},
    redact::{Names, REDACTED},
    schema::Schema,
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
/// A line is built whole, in memory that the thread keeps, and handed over once. A value whose `Debug`
/// panics makes the logging statement panic, as anywhere else; no part of its line is written.
///
/// The methods that change it are for before it is installed: they begin anew.
pub struct JsonLayer {
    core: Arc<Core>,
}

impl JsonLayer {
    /// A layer that writes to standard output, where lines are logged: no line is missing however the process
    /// ends, and a reader that stalls, stalls who logs. For a service, [`to`](Self::to) a
    /// [`Sink`](crate::Sink).
    pub fn stdout() -> Self {
        Self::new(io::stdout)
    }

    /// A layer that writes where lines are logged, to what `make_writer` gives: a closure that gives a
    /// [`Write`](io::Write), a `Mutex` of one, or another [`MakeWriter`].
    ///
    /// A writer that fails loses that line, which is counted; nothing panics, and nothing is tried again.
    /// One that blocks, blocks who logs.
    pub fn new<W>(make_writer: W) -> Self
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        Self::to(Immediate(make_writer))
    }

    /// A layer that hands its lines to `output`.
    pub fn to(output: impl WriteLine) -> Self {
        let config = Config {
            output: Arc::new(output),
            schema: Schema::seed(),
            limits: Limits::new(),
            names: Names::default(),
            rate_limit: None,
        };
        Self {
            core: Arc::new(Core::new(config)),
        }
    }

    fn changed(&self, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.core.config().clone();
        change(&mut config);
        Self {
            core: Arc::new(Core::new(config)),
        }
    }

    /// Has the keys of `schema`. Default: [`Schema::seed`].
    #[must_use]
    pub fn schema(self, schema: Schema) -> Self {
        self.changed(|config| config.schema = schema)
    }

    /// Bounds lines by `limits`. Default: [`Limits::new`].
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        self.changed(|config| config.limits = limits)
    }

    /// Writes the field `name` although its name is a secret's. Default: none.
    ///
    /// Secret is a name that is or ends with `password`, `passwd`, `passphrase`, `secret`, `token`,
    /// `api_key`, `authorization`, `bearer`, `cookie`, `private_key`, `credential` or `credentials`, or
    /// with what [`secret_field`](Self::secret_field) added. Case and the separators `-`, `_` and `.` do
    /// not matter, in `name` neither.
    #[must_use]
    pub fn allow_field(self, name: &str) -> Self {
        self.changed(|config| config.names.allow(name))
    }

    /// Writes `"[REDACTED]"` for fields whose name is or ends with `name`, beside those that
    /// [`allow_field`](Self::allow_field) lists. Default: none.
    #[must_use]
    pub fn secret_field(self, name: &str) -> Self {
        self.changed(|config| config.names.add_secret(name))
    }

    /// Looks for credentials in all texts, messages included, and not only in errors. Default: off.
    ///
    /// Found are the user and the password in an address, what follows `Bearer` and `Basic`, JSON web
    /// tokens, private keys in PEM, tokens with the prefixes of GitHub, GitLab, Slack, AWS and others, and
    /// the value in `password=…` or `"password":"…"`, by the names of secret fields. What has no such form
    /// is not found.
    #[must_use]
    pub fn search_texts(self) -> Self {
        self.changed(|config| config.names.search_texts())
    }

    /// Bounds how often each place in the code logs. Default: no bound.
    ///
    /// What is held back is counted as `rate_limited`, and the next line of that place follows one that
    /// tells how many were. The lines of requests are not meant: they have
    /// [a limit of their own](crate::JsonLogging::rate_limit).
    #[must_use]
    pub fn rate_limit(self, limit: RateLimit) -> Self {
        self.changed(|config| config.rate_limit = Some(limit))
    }

    pub(crate) const fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn recorder<'a>(
        &'a self,
        fields: &'a mut Fields,
        plan: &'a Plan,
        origin: Origin,
    ) -> Recorder<'a> {
        Recorder {
            fields,
            core: &self.core,
            plan,
            origin,
        }
    }

    /// The nearest span outside of a new one that this layer sees.
    fn parent_of<S>(
        &self,
        attributes: &Attributes<'_>,
        id: &Id,
        context: &Context<'_, S>,
    ) -> Option<u64>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if attributes.is_root() {
            return None;
        }
        let current = attributes
            .parent()
            .is_none()
            .then(|| context.current_span());
        let nearest = match &current {
            None => attributes.parent()?,
            Some(current) => current.id()?,
        };
        if self.core.spans.knows(nearest) {
            return Some(nearest.into_u64());
        }
        // It is filtered out here, what is around it may not be.
        let parent = context.span(id)?.parent()?;
        Some(parent.id().into_u64())
    }

    /// Goes from the span that an event is in to the outermost.
    fn visit_spans_of<S>(
        &self,
        event: &Event<'_>,
        context: &Context<'_, S>,
        mut f: impl FnMut(&Open),
    ) where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if event.is_contextual() {
            let current = context.current_span();
            let Some(nearest) = current.id() else { return };
            // Cheaper than to ask the registry, which looks after who looks at its spans.
            if self.core.spans.visit(Some(nearest), &mut f) {
                return;
            }
        }
        let nearest = context.event_span(event).map(|span| span.id());
        self.core.spans.visit(nearest.as_ref(), f);
    }

    /// Writes the line of a request, which `event` is.
    fn write_request<S>(&self, request: Request<'_>, event: &Event<'_>, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let mut scratch = Scratch::take();
        let fields = &mut scratch.fields;
        fields.reserve(self.core.schema().first_free_of_requests);
        // Of its own span the request knows all: what that is in is left.
        if self.is_in_own_span(request.context) {
            self.core.merge_context(fields, request.context);
            let outer = request.context.outer();
            self.core.spans.visit(outer.as_ref(), |open| {
                self.merge_span(fields, open, Some(request.context));
            });
        } else {
            self.visit_spans_of(event, context, |open| {
                self.merge_span(fields, open, Some(request.context));
            });
        }
        self.core
            .finish_request(&mut scratch, request, Some(event.metadata()));
        scratch.put_back();
    }

    /// Adds what a span says, of spans from the leaf to the root: so the inner one wins. If the line is a request's
    /// own, that has its ids anyway.
    fn merge_span(&self, fields: &mut Fields, open: &Open, own: Option<&RequestContext>) {
        if let Some(context) = &open.context {
            self.core.merge_context(fields, context);
            let is_own = own.is_some_and(|own| own.is(context));
            if open.fields.is_none() && !is_own {
                fields.merge_ids(context);
            }
        }
        if let Some(outer) = &open.fields {
            fields.merge(outer, self.core.limits());
        }
    }

    fn span(&self, id: u64) -> SpanOfLayer {
        let layer = self.core.number();
        SpanOfLayer { layer, id }
    }

    /// Whether the span that this thread entered last, and left none since, is a request's own, and it knows all of
    /// that. May be false though the thread is in it. That span is the registry's current one, unless it is entered
    /// again within another: to the registry the thread is then still in the other, which is left out here.
    fn is_in_own_span(&self, request: &RequestContext) -> bool {
        let entered = SpanOfLayer::entered();
        let is_own =
            |span: SpanOfLayer| span.layer == self.core.number() && request.is_seen_as(span);
        entered.is_some_and(is_own)
    }

    /// Whether the event is to be written, by the limit of its place.
    fn passes(&self, plan: &Plan, level: Level) -> bool {
        let Some(bucket) = &plan.bucket else {
            return true;
        };
        match bucket.take() {
            Passage::Free => true,
            Passage::After(count) => {
                self.core.write_held_back(&plan.module_json, count);
                true
            }
            Passage::Held => {
                names::count_lost(level, Lost::RateLimited);
                false
            }
        }
    }
}

impl<S> Layer<S> for JsonLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let metadata = attributes.metadata();
        let parent = self.parent_of(attributes, id, &context);
        let id = id.into_u64();
        let open = |context| Open {
            parent,
            name: metadata.name(),
            module: plan::module(metadata),
            fields: None,
            context,
        };
        let request = access::is_of_request(metadata)
            .then(access::begun)
            .flatten();
        let request = match request {
            Some(request) if self.core.knows_fields_of_requests() => {
                // What the span says, its request says, too.
                request.seen(self.span(id), parent);
                return self.core.spans.open(id, None, open(Some(request)));
            }
            request => request,
        };
        let plan = self.core.plan(metadata);
        // No lock is held while values are formatted: they may log.
        let mut scratch = Scratch::take();
        attributes.record(&mut self.recorder(&mut scratch.fields, &plan, Origin::Span));
        let fields = Some((&scratch.fields, self.core.limits()));
        self.core.spans.open(id, fields, open(request));
        scratch.put_back();
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(metadata) = context.metadata(id) else {
            return;
        };
        let plan = self.core.plan(metadata);
        if access::is_of_request(metadata) {
            if let Some(context) = self.core.spans.context(id) {
                // So that also a line that is not written through `tracing` has it.
                return values.record(&mut Given {
                    context: &context,
                    plan: &plan,
                });
            }
        }
        let mut scratch = Scratch::take();
        values.record(&mut self.recorder(&mut scratch.fields, &plan, Origin::Span));
        let limits = self.core.limits();
        self.core.spans.change(id.into_u64(), |fields| {
            fields.overwrite(&scratch.fields, limits);
        });
        scratch.put_back();
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        if access::is_of_request(metadata) {
            let write = |request: Request<'_>| self.write_request(request, event, &context);
            if let Some(()) = access::with_logged(write) {
                return;
            }
        }
        let plan = self.core.plan(metadata);
        if !self.passes(&plan, *metadata.level()) {
            return;
        }
        let mut scratch = Scratch::take();
        let Scratch { line, fields, .. } = &mut *scratch;
        event.record(&mut self.recorder(fields, &plan, Origin::of(metadata)));
        let mut function = None;
        self.visit_spans_of(event, &context, |open| {
            if function.is_none() && open.module == plan.module {
                function = Some(open.name);
            }
            self.merge_span(fields, open, None);
        });
        self.core
            .finish_event(line, fields, &plan, function, metadata);
        scratch.put_back();
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        self.span(id.into_u64()).note_entered();
    }

    fn on_exit(&self, _: &Id, _: Context<'_, S>) {
        SpanOfLayer::note_left();
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.core.spans.close(id.into_u64());
    }
}

/// Gives a request what was recorded on its span.
struct Given<'a> {
    context: &'a RequestContext,
    plan: &'a Plan,
}

impl Given<'_> {
    fn set(&self, field: &Field, value: impl FnOnce() -> Value) {
        let plan = self.plan.field(field.index(), field.name());
        let value = if plan.is_some_and(|plan| plan.secret) {
            Value::from(REDACTED)
        } else {
            value()
        };
        self.context.set(field.name(), value);
    }
}

impl Visit for Given<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, || value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, || value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, || value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, || value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, || value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.set(field, || Value::shown(format_args!("{value}")));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, || Value::shown(format_args!("{value:?}")));
    }
}

impl fmt::Debug for JsonLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.core.config();
        f.debug_struct("JsonLayer")
            .field("schema", &config.schema)
            .field("limits", &config.limits)
            .field("names", &config.names)
            .finish_non_exhaustive()
    }
}
