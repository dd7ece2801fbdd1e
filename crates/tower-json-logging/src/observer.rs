use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Method, Version, header::USER_AGENT, uri::PathAndQuery};
use tower_observe::{
    Class, Classify as _, End, Exchange, HttpClassify, Observe, RequestHead, ResponseHead,
};
use tracing::{Level, Span, field};

use crate::{
    names::TARGET,
    request_id::{self, RequestId},
    trace_context::TraceContext,
};

/// Where the request's line and span come from, in place of which lines say [`TARGET`].
pub(crate) const MODULE: &str = module_path!();

/// The observer behind [`JsonLoggingLayer`](crate::JsonLoggingLayer): gives each request an id, a span,
/// and one line at its end.
///
/// On its own it is for a tuple of observers in one [`ObserveLayer`](tower_observe::ObserveLayer),
/// which costs a request less than a layer for each. Observers after it in the tuple, as the service
/// itself, run inside the request's span.
#[derive(Clone, Default)]
pub struct JsonLogging {
    route: Option<Arc<Hook<Option<String>>>>,
    client_ip: Option<Arc<Hook<Option<IpAddr>>>>,
    skip: Option<Arc<Hook<bool>>>,
}

type Hook<T> = dyn Fn(&RequestHead<'_>) -> T + Send + Sync;

impl JsonLogging {
    /// An observer with the defaults.
    pub fn new() -> Self {
        Self::default()
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
    pub fn route<F>(mut self, route: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<String> + Send + Sync + 'static,
    {
        self.route = Some(Arc::new(route));
        self
    }

    /// Takes the client's address from `client_ip`. Default: a [`SocketAddr`] in the request's
    /// extensions, else none. No header is believed: a client writes there what it likes.
    ///
    /// With axum: `|request| Some(request.extensions().get::<ConnectInfo<SocketAddr>>()?.0.ip())`.
    #[must_use]
    pub fn client_ip<F>(mut self, client_ip: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<IpAddr> + Send + Sync + 'static,
    {
        self.client_ip = Some(Arc::new(client_ip));
        self
    }

    /// Writes no line for requests of which `skip` says so, such as health probes. Default: none.
    ///
    /// They have an id and a span nevertheless, for what the service itself logs of them.
    #[must_use]
    pub fn skip<F>(mut self, skip: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
    {
        self.skip = Some(Arc::new(skip));
        self
    }

    fn route_of(&self, request: &RequestHead<'_>) -> Option<Route> {
        if let Some(route) = &self.route {
            return route(request).map(Route::Text);
        }
        #[cfg(feature = "axum")]
        if let Some(matched) = request.extensions().get::<axum::extract::MatchedPath>() {
            return Some(Route::Matched(matched.clone()));
        }
        None
    }

    fn client_ip_of(&self, request: &RequestHead<'_>) -> Option<IpAddr> {
        match &self.client_ip {
            Some(client_ip) => client_ip(request),
            None => request.extensions().get().map(SocketAddr::ip),
        }
    }

    fn facts(&self, request: &RequestHead<'_>) -> Facts {
        Facts {
            method: request.method().clone(),
            route: self.route_of(request),
            path: request.uri().path_and_query().cloned(),
            protocol: protocol(request.version()),
            client_ip: self.client_ip_of(request),
            user_agent: request.headers().get(USER_AGENT).cloned(),
        }
    }
}

impl Observe for JsonLogging {
    type Exchange = LoggedRequest;

    fn start(&self, request: &mut RequestHead<'_>) -> LoggedRequest {
        let skipped = self.skip.as_ref().is_some_and(|skip| skip(request));
        let facts = (!skipped).then(|| self.facts(request));

        let trace = TraceContext::of(request.headers());
        let id = RequestId::of(request.headers()).unwrap_or_else(|| {
            let id = RequestId::make();
            set_header(request.headers_mut(), &id);
            id
        });
        request.extensions_mut().insert(id.clone());

        // At ERROR, so that a filter for severe events keeps what they belong to.
        let span = tracing::error_span!(
            target: TARGET,
            "request",
            request_id = id.as_str(),
            trace_id = trace.as_ref().map(TraceContext::trace_id),
            scan_id = field::Empty,
        );
        LoggedRequest {
            span,
            id,
            trace,
            facts,
        }
    }
}

impl fmt::Debug for JsonLogging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLogging").finish_non_exhaustive()
    }
}

/// One request being logged. Made by [`JsonLogging`].
pub struct LoggedRequest {
    span: Span,
    id: RequestId,
    trace: Option<TraceContext>,
    /// `None` if there is to be no line.
    facts: Option<Facts>,
}

/// What the line says of the request.
struct Facts {
    method: Method,
    route: Option<Route>,
    path: Option<PathAndQuery>,
    protocol: &'static str,
    client_ip: Option<IpAddr>,
    user_agent: Option<HeaderValue>,
}

enum Route {
    Text(String),
    #[cfg(feature = "axum")]
    Matched(axum::extract::MatchedPath),
}

impl Route {
    fn as_str(&self) -> &str {
        match self {
            Self::Text(route) => route,
            #[cfg(feature = "axum")]
            Self::Matched(route) => route.as_str(),
        }
    }
}

impl Exchange for LoggedRequest {
    fn head(&mut self, response: &mut ResponseHead<'_>) {
        if self.facts.is_some() {
            response.at();
        }
        if !response.headers().contains_key(request_id::HEADER) {
            set_header(response.headers_mut(), &self.id);
        }
    }

    fn end(&self, end: &End<'_>) {
        if let Some(facts) = &self.facts {
            self.write(facts, end);
        }
    }

    fn scope<R>(&self, f: impl FnOnce() -> R) -> R {
        self.span.in_scope(f)
    }
}

impl LoggedRequest {
    fn write(&self, facts: &Facts, end: &End<'_>) {
        // The level of an event is a constant of it: there are two.
        macro_rules! line {
            ($level:expr) => {{
                let path = facts.path.as_ref().map_or("", PathAndQuery::path);
                let route = facts.route.as_ref().map(Route::as_str);
                let (method, original) = method(&facts.method);
                let status = end.effective_status().as_u16();
                let user_agent = facts.user_agent.as_ref().map(user_agent);
                tracing::event!(
                    target: TARGET,
                    $level,
                    event = "http_request",
                    method,
                    method_original = original,
                    route,
                    path,
                    status,
                    outcome = end.ending().as_str(),
                    duration_ms = millis(end.duration()),
                    ttfb_ms = end.time_to_head().map(millis),
                    bytes_out = end.bytes(),
                    protocol = facts.protocol,
                    client_ip = facts.client_ip.map(field::display),
                    user_agent = user_agent.as_deref(),
                    request_id = self.id.as_str(),
                    trace_id = self.trace.as_ref().map(TraceContext::trace_id),
                    span_id = self.trace.as_ref().map(TraceContext::span_id),
                    // Cut, so that a path of many kilobytes is not there twice.
                    "{method} {:.256} {status}",
                    route.unwrap_or(path),
                );
            }};
        }
        if HttpClassify.classify(None, end) == Class::ServerError {
            line!(Level::ERROR);
        } else {
            line!(Level::INFO);
        }
    }
}

impl fmt::Debug for LoggedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggedRequest")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

// A map that is full does not get it: better than a panic.
fn set_header(headers: &mut HeaderMap, id: &RequestId) {
    drop(headers.try_insert(request_id::HEADER, id.header_value().clone()));
}

/// A method of RFC 9110, `PATCH` (RFC 5789) or `QUERY`; else `_OTHER`, and the start of what it was.
fn method(method: &Method) -> (&str, Option<&str>) {
    match method.as_str() {
        known @ ("CONNECT" | "DELETE" | "GET" | "HEAD" | "OPTIONS" | "PATCH" | "POST" | "PUT"
        | "QUERY" | "TRACE") => (known, None),
        other => ("_OTHER", Some(start(other, 32))),
    }
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

fn user_agent(value: &HeaderValue) -> Cow<'_, str> {
    match String::from_utf8_lossy(value.as_bytes()) {
        Cow::Borrowed(text) => Cow::Borrowed(start(text, 256)),
        Cow::Owned(text) => Cow::Owned(String::from(start(&text, 256))),
    }
}

/// The first `most` characters.
fn start(text: &str, most: usize) -> &str {
    let end = text.char_indices().nth(most);
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// Milliseconds with three decimals.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_method_is_itself_and_another_is_kept_apart() {
        assert_eq!(method(&Method::GET), ("GET", None));
        let purge = Method::from_bytes(b"PURGE").unwrap();
        assert_eq!(method(&purge), ("_OTHER", Some("PURGE")));
        let long = Method::from_bytes(&[b'A'; 100]).unwrap();
        assert_eq!(method(&long), ("_OTHER", Some(&*"A".repeat(32))));
    }

    #[test]
    fn a_user_agent_is_text_of_at_most_256_characters() {
        let text = |bytes: &[u8]| user_agent(&HeaderValue::from_bytes(bytes).unwrap()).into_owned();
        assert_eq!(text(b"curl/8.4.0"), "curl/8.4.0");
        assert_eq!(text(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(text("é".repeat(300).as_bytes()), "é".repeat(256));
    }

    #[test]
    fn milliseconds_have_three_decimals() {
        assert_eq!(
            format!("{:?}", millis(Duration::from_nanos(12_345_678))),
            "12.346"
        );
        assert_eq!(
            format!("{:?}", millis(Duration::from_secs(86_400))),
            "86400000.0"
        );
        assert_eq!(format!("{:?}", millis(Duration::ZERO)), "0.0");
    }
}
