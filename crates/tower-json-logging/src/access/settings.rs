use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use tower_observe::{End, RequestHead};
use tracing_core::Level;

use super::{
    Sample,
    facts::{Facts, Headers, Text},
    headers::Found,
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
    /// Whether a request's head or end is to do with them.
    pub(super) fn is_for_later(&self) -> bool {
        self.direct.is_some()
            || self.level.is_some()
            || self.sample.is_some()
            || self.bucket.is_some()
            || !self.response_headers.is_empty()
    }

    /// Looks at a request, and notes what its line says. In place: the facts are large, and kept from
    /// request to request.
    /// What is not there is not written, as the facts are [cleared](Facts::clear).
    pub(super) fn look(&self, request: &RequestHead<'_>, found: Found<'_>, facts: &mut Facts) {
        let uri = request.uri();
        if !self.path.omits() || uri.query().is_some() {
            (facts.path, facts.query) = Text::of(uri, self);
        }
        facts.method.clone_from(request.method());
        self.note_route(request, facts);
        if let Some(scheme) = uri.scheme() {
            facts.scheme = Some(scheme.clone());
        }
        facts.version = request.version();
        facts.bytes_in = found.declared_length();
        facts.client_ip = self.client_ip_of(request);
        if let Some(agent) = found.user_agent {
            facts.set_user_agent(agent);
        }
        if !self.request_headers.is_empty() {
            facts.request_headers = chosen(request.headers(), &self.request_headers);
        }
    }

    fn note_route(&self, request: &RequestHead<'_>, facts: &mut Facts) {
        if let Some(route) = &self.route {
            if let Some(route) = route(request) {
                facts.set_route(&route);
            }
        } else {
            #[cfg(feature = "axum")]
            if let Some(matched) = request.extensions().get::<axum::extract::MatchedPath>() {
                facts.set_route(matched.as_str());
            }
        }
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
