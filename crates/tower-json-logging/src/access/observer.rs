use std::{fmt, net::IpAddr, sync::Arc};

use http::{HeaderName, HeaderValue, header::Entry};
use tower_observe::{
    Class, Classify as _, End, Ending, Exchange, HttpClassify, Observe, RequestHead, ResponseHead,
    grpc::Code,
};
use tracing::{Level, Metadata, Span, field, level_filters::LevelFilter};

use super::{
    Sample,
    facts::{Ended, Facts, Message, Request},
    handover,
    headers::Found,
    settings::{Seen, Settings},
};
use crate::{
    context::RequestContext,
    format::JsonLayer,
    limit::RateLimit,
    names::TARGET,
    redact::{PathPolicy, QueryPolicy},
    request_id,
    spare::Spare,
};

/// Where the request's line and span come from, in place of which lines say [`TARGET`].
const MODULE: &str = module_path!();

/// Whether it is the span or the line of a request.
pub(crate) fn is_of_request(metadata: &Metadata<'_>) -> bool {
    let path = metadata.module_path();
    // Mostly it is the same text in the same place: then no call compares it.
    path.is_some_and(|path| std::ptr::eq(path, MODULE) || path == MODULE)
}

/// The observer behind [`JsonLoggingLayer`](crate::JsonLoggingLayer): gives each request an id, a span,
/// and one line at its end.
///
/// On its own it is for a tuple of observers in one [`ObserveLayer`](tower_observe::ObserveLayer),
/// which costs a request less than a layer for each. Observers after it in the tuple, as the service
/// itself, run inside the request's span.
#[derive(Clone, Default)]
pub struct JsonLogging {
    settings: Arc<Settings>,
}

impl JsonLogging {
    /// An observer with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    fn changed(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.settings;
        change(Arc::make_mut(&mut settings));
        Self { settings }
    }

    /// Takes the route's template from `route`, for routers that this crate does not know. Default:
    /// axum's `MatchedPath` with the feature `axum`, else none.
    ///
    /// ```
    /// use tower_json_logging::JsonLogging;
    ///
    /// #[derive(Clone)]
    /// struct Template(&'static str); // an extension that a router sets
    ///
    /// let logging = JsonLogging::new()
    ///     .route(|request| Some(request.extensions().get::<Template>()?.0.to_owned()));
    /// # drop(logging);
    /// ```
    #[must_use]
    pub fn route<F>(self, route: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<String> + Send + Sync + 'static,
    {
        self.changed(|settings| settings.route = Some(Arc::new(route)))
    }

    /// Takes the client's address from `client_ip`. Default: a [`SocketAddr`](std::net::SocketAddr) in
    /// the request's extensions, else none. No header is believed: a client writes there what it likes.
    ///
    /// With axum: `|request| Some(request.extensions().get::<ConnectInfo<SocketAddr>>()?.0.ip())`.
    #[must_use]
    pub fn client_ip<F>(self, client_ip: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<IpAddr> + Send + Sync + 'static,
    {
        self.changed(|settings| settings.client_ip = Some(Arc::new(client_ip)))
    }

    /// Writes no line for requests of which `skip` says so, such as health probes. Default: none.
    ///
    /// They have an id and a span nevertheless, for what the service itself logs of them.
    #[must_use]
    pub fn skip<F>(self, skip: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
    {
        self.changed(|settings| settings.skip = Some(Arc::new(skip)))
    }

    /// Decides the level of a request's line. Default: `ERROR` if the server failed, by
    /// [`HttpClassify`], and for gRPC requests by
    /// [`GrpcClassify`](tower_observe::GrpcClassify); else `INFO`.
    #[must_use]
    pub fn level<F>(self, level: F) -> Self
    where
        F: Fn(&End<'_>) -> Level + Send + Sync + 'static,
    {
        self.changed(|settings| settings.level = Some(Arc::new(level)))
    }

    /// How much of the path is logged. Default: [`PathPolicy::omit`].
    #[must_use]
    pub fn path(self, policy: PathPolicy) -> Self {
        self.changed(|settings| settings.path = policy)
    }

    /// How much of the query is logged. Default: [`QueryPolicy::redact_all_but`] none.
    #[must_use]
    pub fn query(self, policy: QueryPolicy) -> Self {
        self.changed(|settings| settings.query = policy)
    }

    /// Which headers of the request are logged. Default: none, `User-Agent` apart.
    ///
    /// Of those that carry credentials the value is `[REDACTED]`: `Authorization`, `Cookie`, `X-Api-Key`,
    /// `X-Forwarded-Client-Cert` and others, all that end with `-token`, `-secret`, `-key`, `-password`,
    /// `-credential` or `-cookie`, and values that are
    /// [marked as sensitive](http::HeaderValue::is_sensitive).
    #[must_use]
    pub fn request_headers<I>(self, names: I) -> Self
    where
        I: IntoIterator<Item = HeaderName>,
    {
        self.changed(|settings| settings.request_headers = unique(names))
    }

    /// Which headers of the response are logged, by the same rules. Default: none.
    #[must_use]
    pub fn response_headers<I>(self, names: I) -> Self
    where
        I: IntoIterator<Item = HeaderName>,
    {
        self.changed(|settings| settings.response_headers = unique(names))
    }

    /// Writes lines for some requests only. Default: for all.
    #[must_use]
    pub fn sample(self, sample: Sample) -> Self {
        self.changed(|settings| settings.sample = Some(sample))
    }

    /// Bounds how many lines there are, errors apart. Default: no bound. What is held back is counted as
    /// `rate_limited`.
    #[must_use]
    pub fn rate_limit(self, limit: RateLimit) -> Self {
        self.changed(|settings| settings.bucket = Some(Arc::new(limit.bucket())))
    }

    /// Makes each request an id of its own, also one that came with a well-formed one: for services that
    /// strangers call. Default: off.
    #[must_use]
    pub fn ignore_request_ids(self) -> Self {
        self.changed(|settings| settings.ignores_request_ids = true)
    }

    /// Does not tell clients the id, in the response's `x-request-id`. Default: does.
    #[must_use]
    pub fn hide_request_ids(self) -> Self {
        self.changed(|settings| settings.is_silent = true)
    }

    /// Puts the [`RequestContext`] into the request's extensions, for services that are to find it there, or
    /// that log without a subscriber: elsewhere [`RequestContext::current`] finds it. Default: off, which
    /// saves a request one or two allocations.
    #[must_use]
    pub fn insert_context(self) -> Self {
        self.changed(|settings| settings.inserts_context = true)
    }

    /// Writes lines with the schema, the rules and the output of `layer`, and not through `tracing`: they
    /// are there whatever its filters say, and also without a subscriber. Default: through `tracing`.
    ///
    /// The fields that a line takes from its request are those of
    /// [`RequestContext::set`](crate::RequestContext::set), and what was recorded on the request's span;
    /// spans outside of it are not looked at.
    #[must_use]
    pub fn direct(self, layer: &JsonLayer) -> Self {
        self.changed(|settings| settings.direct = Some(Arc::clone(layer.core())))
    }
}

impl Observe for JsonLogging {
    type Exchange = LoggedRequest;

    // Where the type of the request is known: there its head need not be asked by way of a table.
    #[expect(clippy::inline_always, reason = "as above")]
    #[inline(always)]
    fn start(&self, request: &mut RequestHead<'_>) -> LoggedRequest {
        let seen = Seen {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
        };
        let logged = self.begin(request, &seen);
        if self.settings.inserts_context {
            logged.insert_context(request);
        }
        logged
    }
}

impl JsonLogging {
    // The code that requests take through a server is more than a processor keeps at hand: what few of them need is
    // out of the way of the others.
    #[inline(never)]
    fn begin(&self, request: &RequestHead<'_>, seen: &Seen<'_>) -> LoggedRequest {
        let settings = &*self.settings;
        let is_skipped = settings.skips(request);
        let found = Found::within(seen.headers);
        let mut logged = Spare::take(&SPARE).unwrap_or_else(Logged::boxed);
        logged.is_grpc = found.is_grpc();
        if settings.is_for_later() {
            logged.settings = Some(Arc::clone(&self.settings));
        }
        let Logged {
            context: spare,
            id_header,
            ..
        } = &mut *logged;
        // All is written where it stays: what is moved right after it was written is waited for.
        let context = RequestContext::new(spare.take(), |id, trace, facts| {
            match found.request_id {
                Some(given) if settings.takes(given) => id.take(given, id_header),
                _ => id.make(id_header),
            }
            if settings.is_silent {
                *id_header = None;
            }
            if found.has_trace() {
                *trace = found.trace();
            }
            if !is_skipped {
                settings.look(request, seen, &found, facts);
            }
            !is_skipped
        });
        let context = logged.context.insert(context);
        // Where there is no subscriber at all, `tracing` may still have the values made, for `log`: its feature of
        // that name, which axum's defaults turn on. That there is none is known until somebody has all
        // statements asked again.
        if LevelFilter::current() != LevelFilter::OFF {
            logged.span = span_of(context);
        }
        LoggedRequest(Some(logged))
    }
}

impl fmt::Debug for JsonLogging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLogging").finish_non_exhaustive()
    }
}

/// Makes the span of a request.
///
/// Its ids are given as text, though to see that they are text costs more than to have them shown if somebody looks:
/// others write text in quotes.
#[inline(never)]
fn span_of(context: &RequestContext) -> Span {
    handover::begin(context, || {
        // At ERROR, so that a filter for severe events keeps what they belong to.
        tracing::error_span!(
            target: TARGET,
            "request",
            request_id = context.request_id().as_str(),
            trace_id = context.trace_id(),
            scan_id = field::Empty,
        )
    })
}

/// One request being logged. Made by [`JsonLogging`].
///
/// A pointer, to memory that is used again: it is moved a few times, from the future to the body.
pub struct LoggedRequest(Option<Box<Logged>>);

/// What is known of it: of none, where it is to be used again.
struct Logged {
    /// If there is something in them for later.
    settings: Option<Arc<Settings>>,
    span: Span,
    /// Of no request if it is to be used again.
    context: Option<RequestContext>,
    /// The id for the response, unless that is not to have it.
    id_header: Option<HeaderValue>,
    is_grpc: bool,
    /// In the response's headers, of a gRPC request.
    code: Option<Code>,
}

impl LoggedRequest {
    #[inline(never)]
    fn insert_context(&self, request: &mut RequestHead<'_>) {
        let context = self.0.as_ref().and_then(|logged| logged.context.clone());
        if let Some(context) = context {
            request.extensions_mut().insert(context);
        }
    }
}

impl Exchange for LoggedRequest {
    // To enter a span that nobody sees costs, too.
    #[inline]
    fn scopes(&self) -> bool {
        let logged = self.0.as_ref();
        logged.is_some_and(|logged| !logged.span.is_disabled())
    }

    fn head(&mut self, response: &mut ResponseHead<'_>) {
        if let Some(logged) = &mut self.0 {
            logged.head(response);
        }
    }

    fn end(&self, end: &End<'_>) {
        if let Some(logged) = &self.0 {
            logged.end(end);
        }
    }

    fn scope<R>(&self, f: impl FnOnce() -> R) -> R {
        match &self.0 {
            Some(logged) if self.scopes() => logged.span.in_scope(f),
            _ => f(),
        }
    }
}

impl Logged {
    #[cold]
    #[inline(never)]
    fn boxed() -> Box<Self> {
        Box::new(Self {
            settings: None,
            span: Span::none(),
            context: None,
            id_header: None,
            is_grpc: false,
            code: None,
        })
    }

    /// Keeps the memory for a later request.
    #[inline(never)]
    fn spare(mut self: Box<Self>) {
        // The span knows the context, which can be used again once nobody does.
        if !self.span.is_none() {
            self.span = Span::none();
        }
        let context = self.context.take();
        self.context = context.and_then(RequestContext::spare);
        self.settings = None;
        self.id_header = None;
        self.code = None;
        Spare::put(&SPARE, self);
    }

    fn head(&mut self, response: &mut ResponseHead<'_>) {
        let Some(context) = &self.context else { return };
        if context.facts().is_some() {
            response.at();
            if let Some(settings) = &self.settings {
                if !settings.response_headers.is_empty() {
                    settings.look_at_response(response, context);
                }
            }
        }
        if self.is_grpc {
            self.code = Code::from_headers(response.headers());
        }
        if let Some(id) = self.id_header.take() {
            // A map that is full does not get it: better than a panic.
            if let Ok(Entry::Vacant(place)) = response.headers_mut().try_entry(request_id::HEADER) {
                drop(place.try_insert(id));
            }
        }
    }

    fn end(&self, end: &End<'_>) {
        let Some(context) = &self.context else { return };
        let Some(facts) = context.facts() else { return };
        let settings = self.settings.as_deref();
        let mut ended = self.ended(end);
        if let Some(settings) = settings.filter(|settings| settings.has_rules()) {
            if !settings.rule(context, end, &mut ended) {
                return;
            }
        }
        if let Some(core) = settings.and_then(|settings| settings.direct.as_ref()) {
            core.write_request(Request {
                context,
                facts,
                ended: &ended,
            });
        } else {
            handover::end(context, &ended, || log(context, facts, &ended));
        }
    }

    /// How the request ended.
    fn ended(&self, end: &End<'_>) -> Ended {
        let grpc = self.is_grpc.then(|| Code::of_end(self.code, end));
        let is_failure = match grpc {
            // A broken stream is the server's failure whatever code a peer would make of it.
            Some(code) => {
                code.class() == Class::ServerError
                    || matches!(
                        end.ending(),
                        Ending::BodyError | Ending::ServiceError | Ending::Panic
                    )
            }
            None => HttpClassify.classify(None, end) == Class::ServerError,
        };
        Ended {
            at: end.ended(),
            level: if is_failure {
                Level::ERROR
            } else {
                Level::INFO
            },
            ending: end.ending(),
            status: end.effective_status().as_u16(),
            is_failure,
            grpc,
            duration: end.duration(),
            time_to_head: end.time_to_head(),
            bytes: end.bytes(),
            sample_rate: None,
        }
    }
}

impl Drop for LoggedRequest {
    #[inline]
    fn drop(&mut self) {
        if let Some(logged) = self.0.take() {
            logged.spare();
        }
    }
}

thread_local! {
    static SPARE: Spare<Box<Logged>> = const { Spare::new() };
}

/// Logs the line through `tracing`.
///
/// [`JsonLayer`] takes all from the request itself; the fields are for others.
#[inline(never)]
fn log(context: &RequestContext, facts: &Facts, ended: &Ended) {
    // The level of an event is a constant of it.
    macro_rules! line {
        ($level:expr) => {{
            tracing::event!(
                target: TARGET,
                $level,
                event = "http_request",
                method = facts.method(),
                method_original = facts.method_original(),
                route = facts.route(),
                path = facts.path(),
                query = facts.query(),
                status = ended.status,
                outcome = ended.ending.as_str(),
                duration_ms = ended.duration.as_secs_f64() * 1e3,
                ttfb_ms = ended.time_to_head.map(|time| time.as_secs_f64() * 1e3),
                bytes_out = ended.bytes,
                protocol = facts.protocol(),
                client_ip = facts.client_ip().map(field::display),
                user_agent = facts.user_agent(),
                request_id = context.request_id().as_str(),
                trace_id = context.trace_id(),
                "{}",
                Message(context, ended.status),
            );
        }};
    }
    match ended.level {
        Level::ERROR => line!(Level::ERROR),
        Level::WARN => line!(Level::WARN),
        Level::INFO => line!(Level::INFO),
        Level::DEBUG => line!(Level::DEBUG),
        Level::TRACE => line!(Level::TRACE),
    }
}

fn unique(names: impl IntoIterator<Item = HeaderName>) -> Vec<HeaderName> {
    let mut all: Vec<HeaderName> = Vec::new();
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

impl fmt::Debug for LoggedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggedRequest")
            .field(
                "context",
                &self.0.as_ref().and_then(|logged| logged.context.as_ref()),
            )
            .finish_non_exhaustive()
    }
}
