//! What is known of a request while it runs.

mod value;

use std::{
    fmt,
    num::NonZeroU64,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use http::{HeaderName, HeaderValue};
use tracing::{Id, Instrument as _, Span, instrument::Instrumented};
use tracing_subscriber::{Registry, registry::LookupSpan as _};

pub use self::value::Value;
use crate::{
    access::{Facts, Headers},
    format::{JsonLayer, spans::SpanOfLayer},
    request_id::RequestId,
    schema::Slot,
    spare::Spare,
    trace_context::TraceContext,
};

/// A request that is logged: its id, and fields that are set while it runs.
///
/// What is [`set`](Self::set) is on every later line of the request, and on its own line, whatever logs
/// them and whatever the filters let through. Anything that runs in the request's span finds it by
/// [`current`](Self::current), and the service also among the request's extensions, if
/// [`JsonLogging::insert_context`](crate::JsonLogging::insert_context) put it there.
///
/// ```
/// use tower_json_logging::RequestContext;
///
/// async fn scan(request: http::Request<()>) {
///     if let Some(context) = request.extensions().get::<RequestContext>() {
///         context.set("tenant", "acme");
///     }
///     find().await;
/// }
///
/// async fn find() {
///     // As far from the request as you like.
///     tower_json_logging::set("scan_id", "7d0f");
///     tracing::info!("has a scan_id and a tenant");
///
///     // What is spawned takes it along.
///     let context = tower_json_logging::ContextHandle::current();
///     std::thread::spawn(move || context.in_scope(|| tracing::info!("also here")));
/// }
/// # drop((scan(http::Request::new(())), find()));
/// ```
#[derive(Clone)]
pub struct RequestContext(Arc<Inner>);

// What every request has comes first: few lines of memory.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Inner {
    id: RequestId,
    /// Whether there is to be a line.
    is_logged: bool,
    /// Whether there is a field, so that most lines take no lock.
    has_fields: AtomicBool,
    seen: Seen,
    facts: Facts,
    /// Of the response; they come after the request was handed on.
    headers: OnceLock<Headers>,
    trace: Option<TraceContext>,
    fields: Mutex<Vec<(&'static str, Value)>>,
}

impl Inner {
    /// Whether there is memory that is not kept for a later request.
    fn holds_memory(&self) -> bool {
        self.id.is_given()
            || self.facts.holds_memory()
            || self.has_fields.load(Ordering::Relaxed)
            || self.headers.get().is_some()
    }

    /// Forgets a request that [holds no memory](Self::holds_memory).
    #[inline]
    fn forget(&mut self) {
        self.trace = None;
        self.facts.forget();
        *self.seen.layer.get_mut() = 0;
    }

    /// Lets go of the memory.
    #[inline(never)]
    fn clear(&mut self) {
        self.id.clear();
        self.facts.clear();
        drop(self.headers.take());
        let fields = self.fields.get_mut();
        fields.unwrap_or_else(PoisonError::into_inner).clear();
        *self.has_fields.get_mut() = false;
    }
}

/// The request's span, by the layer that noted it last; all are 0 if none did. Written when the request begins,
/// read when it ends.
#[derive(Default)]
struct Seen {
    layer: AtomicU64,
    span: AtomicU64,
    outer: AtomicU64,
}

/// Sets a field of the request that the current span belongs to: [`RequestContext::set`].
///
/// Tells whether there was a request: without one, or if the subscriber has no
/// [`JsonLayer`] that its span got to, nothing happens.
pub fn set(name: &'static str, value: impl Into<Value>) -> bool {
    RequestContext::current().is_some_and(|context| context.set(name, value))
}

impl RequestContext {
    /// The most fields that a request takes.
    const MOST_FIELDS: usize = 64;

    /// A request, in [spare](Self::spare) memory if there is some. `look` notes the id, the
    /// trace and the facts, and tells whether there is to be a line.
    pub(crate) fn new(
        spare: Option<Self>,
        look: impl FnOnce(&mut RequestId, &mut Option<TraceContext>, &mut Facts) -> bool,
    ) -> Self {
        let Self(mut inner) = spare.unwrap_or_else(Self::another);
        // Nobody else has it.
        if let Some(place) = Arc::get_mut(&mut inner) {
            // Others may have set a field until they let go of it, which was not seen for certain before now.
            if *place.has_fields.get_mut() {
                place.clear();
            }
            place.forget();
            place.is_logged = look(&mut place.id, &mut place.trace, &mut place.facts);
        }
        Self(inner)
    }

    #[cold]
    #[inline(never)]
    fn another() -> Self {
        Spare::take(&SPARE).unwrap_or_else(|| Self(Arc::default()))
    }

    /// Keeps the memory for a later request, unless somebody still looks at it.
    pub(crate) fn recycle(self) {
        if let Some(spare) = self.spare() {
            Spare::put(&SPARE, spare);
        }
    }

    /// The memory for a later request, unless somebody still looks at it.
    ///
    /// Memory that the request shares with others (a given id, the path, headers) and fields are let go of. What was
    /// copied or is small (the route, the user agent, the client's address, the trace) stays until another
    /// request overwrites it: in at most 64 contexts a thread, 32 here and 32 with what else is kept of a request.
    pub(crate) fn spare(self) -> Option<Self> {
        let Self(mut inner) = self;
        // Cheaper to ask, and mostly all that has to be.
        if Arc::strong_count(&inner) > 1 {
            return None;
        }
        if inner.holds_memory() {
            Arc::get_mut(&mut inner)?.clear();
        }
        Some(Self(inner))
    }

    /// The request that the current span belongs to.
    ///
    /// It is found through the [`JsonLayer`] of the current subscriber: `None` if that has none, or if
    /// something between the two hides it, or filters the request's span from it. Spans inside of the
    /// request's may be filtered from it, over a [`Registry`].
    pub fn current() -> Option<Self> {
        let found = Span::current().with_subscriber(|(id, dispatch)| {
            let layer: &JsonLayer = dispatch.downcast_ref()?;
            let spans = &layer.core().spans;
            if spans.knows(id) {
                return spans.context(id);
            }
            // One that another layer sees.
            let registry: &Registry = dispatch.downcast_ref()?;
            let mut around = registry.span(id)?.scope();
            around.find_map(|span| spans.context(&span.id()))
        });
        found.flatten()
    }

    /// The request's id.
    pub fn request_id(&self) -> &RequestId {
        &self.0.id
    }

    /// The id of the trace that the request came with: 32 hexadecimal digits.
    pub fn trace_id(&self) -> Option<&str> {
        self.0.trace.as_ref().map(TraceContext::trace_id_as_str)
    }

    /// Sets a field, in place of one of the same name. Tells whether there was room: a request takes 64.
    ///
    /// The rules for the names of fields, and for secrets, are those of every field. On the request's own
    /// line its keys come first, and a field of the same key is left out.
    pub fn set(&self, name: &'static str, value: impl Into<Value>) -> bool {
        let value = value.into();
        let mut fields = self.fields();
        let has_room = fields.len() < Self::MOST_FIELDS;
        let replaced = match fields.iter_mut().find(|(other, _)| *other == name) {
            Some((_, place)) => Some(std::mem::replace(place, value)),
            None if has_room => {
                fields.push((name, value));
                None
            }
            None => return false,
        };
        drop(fields);
        drop(replaced);
        self.0.has_fields.store(true, Ordering::Release);
        true
    }

    /// Whether both are of one request.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Gives each field to `f`, in the order in which they were first set, which is that of the line.
    pub(crate) fn each(&self, mut f: impl FnMut(&'static str, &Value)) {
        if self.has_fields() {
            for (name, value) in self.fields().iter() {
                f(name, value);
            }
        }
    }

    /// Whether a field was set.
    pub(crate) fn has_fields(&self) -> bool {
        self.0.has_fields.load(Ordering::Acquire)
    }

    fn fields(&self) -> MutexGuard<'_, Vec<(&'static str, Value)>> {
        self.0.fields.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn facts(&self) -> Option<&Facts> {
        self.0.is_logged.then_some(&self.0.facts)
    }

    pub(crate) fn set_response_headers(&self, headers: Headers) {
        // There is one response.
        drop(self.0.headers.set(headers));
    }

    pub(crate) fn response_headers(&self) -> &[(HeaderName, HeaderValue)] {
        self.0.headers.get().map_or(&[], Vec::as_slice)
    }

    /// Notes what its span is to a layer, if the layer knows no more of that than is known here.
    pub(crate) fn seen(&self, span: SpanOfLayer, outer: Option<u64>) {
        let place = &self.0.seen;
        place.outer.store(outer.unwrap_or(0), Ordering::Relaxed);
        place.span.store(span.id, Ordering::Relaxed);
        place.layer.store(span.layer, Ordering::Relaxed);
    }

    /// Whether this is its span, as was [noted](Self::seen) last.
    pub(crate) fn is_seen_as(&self, span: SpanOfLayer) -> bool {
        let seen = &self.0.seen;
        seen.layer.load(Ordering::Relaxed) == span.layer
            && seen.span.load(Ordering::Relaxed) == span.id
    }

    /// Which span that one is in.
    pub(crate) fn outer(&self) -> Option<Id> {
        let outer = NonZeroU64::new(self.0.seen.outer.load(Ordering::Relaxed))?;
        Some(Id::from_non_zero_u64(outer))
    }

    pub(crate) fn trace(&self) -> Option<&TraceContext> {
        self.0.trace.as_ref()
    }

    /// What the request itself says of a slot: text that needs no escaping.
    pub(crate) fn id(&self, slot: Slot) -> Option<&[u8]> {
        let trace = || self.0.trace.as_ref();
        match slot {
            Slot::RequestId => Some(self.0.id.as_bytes()),
            Slot::TraceId => trace().map(TraceContext::trace_id),
            Slot::SpanId => trace().map(TraceContext::span_id),
            Slot::TraceFlags => trace().map(TraceContext::flags),
            _ => None,
        }
    }
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext")
            .field("request_id", &self.0.id.as_str())
            .finish_non_exhaustive()
    }
}

/// The current span and its request, to be taken to another task or thread.
///
/// What is spawned does not run in the span of who spawned it. See [`RequestContext`] for an example.
#[derive(Clone, Debug)]
pub struct ContextHandle {
    span: Span,
    context: Option<RequestContext>,
}

impl ContextHandle {
    /// Of the current span. Without a request or a subscriber it does nothing.
    pub fn current() -> Self {
        Self {
            span: Span::current(),
            context: RequestContext::current(),
        }
    }

    /// The request, if there is one.
    pub const fn request(&self) -> Option<&RequestContext> {
        self.context.as_ref()
    }

    /// Sets a field of the request: [`RequestContext::set`]. Tells whether there is one.
    pub fn set(&self, name: &'static str, value: impl Into<Value>) -> bool {
        let context = self.context.as_ref();
        context.is_some_and(|context| context.set(name, value))
    }

    /// Runs `f` in the span, and so as a part of the request.
    pub fn in_scope<R>(&self, f: impl FnOnce() -> R) -> R {
        self.span.in_scope(f)
    }

    /// Runs `future` in the span, and so as a part of the request.
    pub fn scope<F: Future>(&self, future: F) -> Instrumented<F> {
        future.instrument(self.span.clone())
    }
}

thread_local! {
    /// Of requests whose span was closed after they had ended.
    static SPARE: Spare<RequestContext> = const { Spare::new() };
}
