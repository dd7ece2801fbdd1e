use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_LENGTH, header::USER_AGENT};
use tower_observe::{End, RequestHead};
use tracing_core::Level;

use super::{
    Sample,
    facts::{Facts, Headers, Route, Text},
};
use crate::{
    format::core::Core,
    limit::Bucket,
    redact::{PathPolicy, QueryPolicy},
};

/// What a [`JsonLogging`](crate::JsonLogging) was asked for.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    pub(crate) route: Option<Arc<Hook<Option<String>>>>,
    pub(crate) client_ip: Option<Arc<Hook<Option<IpAddr>>>>,
    pub(crate) skip: Option<Arc<Hook<bool>>>,
    pub(crate) level: Option<Arc<LevelOf>>,
    pub(crate) path: PathPolicy,
    pub(crate) query: QueryPolicy,
    pub(crate) request_headers: Vec<HeaderName>,
    pub(crate) response_headers: Vec<HeaderName>,
    pub(crate) sample: Option<Sample>,
    pub(crate) bucket: Option<Arc<Bucket>>,
    pub(crate) ignores_request_ids: bool,
    pub(crate) is_silent: bool,
    pub(crate) inserts_context: bool,
    /// Where lines go that do not go through `tracing`.
    pub(crate) direct: Option<Arc<Core>>,
}

pub(crate) type Hook<T> = dyn Fn(&RequestHead<'_>) -> T + Send + Sync;
pub(crate) type LevelOf = dyn Fn(&End<'_>) -> Level + Send + Sync;

impl Settings {
    /// Looks at a request, and notes what its line says. In place: the facts are large, and kept from
    /// request to request.
    pub(crate) fn look(&self, request: &RequestHead<'_>, facts: &mut Facts) {
        let headers = request.headers();
        (facts.path, facts.query) = if self.path.omits() && request.uri().query().is_none() {
            (None, None)
        } else {
            Text::of(request.uri(), self)
        };
        facts.method.clone_from(request.method());
        facts.route = self.route_of(request);
        facts.scheme = request.uri().scheme().cloned();
        facts.version = request.version();
        facts.bytes_in = declared_length(headers);
        facts.client_ip = self.client_ip_of(request);
        facts.user_agent = headers.get(USER_AGENT).cloned();
        if !self.request_headers.is_empty() {
            facts.request_headers = chosen(headers, &self.request_headers);
        }
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
}

/// What the headers of these names say, one entry for each name.
pub(crate) fn chosen(headers: &HeaderMap, names: &[HeaderName]) -> Headers {
    let value = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter();
        let first = values.next()?;
        let Some(second) = values.next() else {
            return Some((name.clone(), first.clone()));
        };
        let mut all = Vec::from(first.as_bytes());
        let mut is_sensitive = first.is_sensitive();
        for value in std::iter::once(second).chain(values) {
            all.extend_from_slice(b", ");
            all.extend_from_slice(value.as_bytes());
            is_sensitive |= value.is_sensitive();
        }
        let mut all = HeaderValue::from_bytes(&all).ok()?;
        all.set_sensitive(is_sensitive);
        Some((name.clone(), all))
    };
    names.iter().filter_map(value).collect()
}

/// Bytes of the request's body; `None` if it has none, or does not say.
fn declared_length(headers: &HeaderMap) -> Option<u64> {
    if headers.is_empty() {
        return None;
    }
    let length = headers.get(CONTENT_LENGTH)?.to_str().ok()?;
    // Digits only (RFC 9110 §8.6), and no more than a reader's integers hold.
    let is_number = length.bytes().all(|byte| byte.is_ascii_digit());
    let length: i64 = is_number.then(|| length.parse().ok())??;
    u64::try_from(length).ok()
}
