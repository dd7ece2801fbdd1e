use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use tower_observe::{End, RequestHead, ResponseHead};
use tracing_core::Level;

use super::{
    Sample,
    facts::{Ended, Facts, Headers, Text},
    headers::Found,
    sample::Decision,
};
use crate::{
    context::RequestContext,
    format::core::Core,
    limit::{Bucket, Passage},
    names::{self, Lost},
    redact::{PathPolicy, QueryPolicy},
    request_id::RequestId,
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

/// What there is to be seen of a request.
pub(super) struct Seen<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) version: Version,
    pub(super) headers: &'a HeaderMap,
    pub(super) extensions: &'a Extensions,
}

pub(crate) type Hook<T> = dyn Fn(&RequestHead<'_>) -> T + Send + Sync;
pub(crate) type LevelOf = dyn Fn(&End<'_>) -> Level + Send + Sync;

impl Settings {
    /// Whether a request's head or end is to do with them.
    #[inline]
    pub(super) fn is_for_later(&self) -> bool {
        self.direct.is_some() || self.has_rules() || !self.response_headers.is_empty()
    }

    /// Whether something says at which level a line is, or whether there is one.
    #[inline]
    pub(super) fn has_rules(&self) -> bool {
        self.level.is_some() || self.sample.is_some() || self.bucket.is_some()
    }

    /// Whether something is asked for that is not looked at otherwise.
    #[inline]
    fn looks_closer(&self) -> bool {
        !self.path.omits()
            || self.route.is_some()
            || self.client_ip.is_some()
            || !self.request_headers.is_empty()
    }

    /// Whether requests may have this for their id, which one came with.
    #[inline(never)]
    pub(super) fn takes(&self, given: &HeaderValue) -> bool {
        !self.ignores_request_ids && RequestId::is_well_formed(given)
    }

    #[inline]
    pub(super) fn skips(&self, request: &RequestHead<'_>) -> bool {
        self.skip.as_ref().is_some_and(|skip| skip(request))
    }

    /// Looks at a request, and notes what its line says. In place: the facts are large, and kept from
    /// request to request.
    /// What is not there is not written, as the facts are [forgotten](Facts::forget).
    #[inline]
    pub(super) fn look(
        &self,
        request: &RequestHead<'_>,
        seen: &Seen<'_>,
        found: &Found<'_>,
        facts: &mut Facts,
    ) {
        facts.set_method(seen.method);
        facts.set_version(seen.version);
        #[cfg(feature = "axum")]
        if let Some(matched) = seen.extensions.get::<axum::extract::MatchedPath>() {
            facts.set_route(matched.as_str());
        }
        if let Some(client) = seen.extensions.get::<SocketAddr>() {
            facts.set_client_ip(Some(client.ip()));
        }
        if let Some(agent) = found.user_agent {
            facts.set_user_agent(agent);
        }
        if found.has_length() {
            facts.set_bytes_in(found.declared_length());
        }
        if let Some(scheme) = seen.uri.scheme() {
            facts.set_scheme(scheme);
        }
        if seen.uri.query().is_some() || self.looks_closer() {
            self.look_closer(request, facts);
        }
    }

    /// Notes what few requests have, or few services ask for.
    #[inline(never)]
    fn look_closer(&self, request: &RequestHead<'_>, facts: &mut Facts) {
        let (path, query) = Text::of(request.uri(), self);
        facts.set_target(path, query);
        if let Some(route) = &self.route {
            match route(request) {
                Some(route) => facts.set_route(&route),
                None => facts.forget_route(),
            }
        }
        if let Some(client_ip) = &self.client_ip {
            facts.set_client_ip(client_ip(request));
        }
        facts.set_request_headers(chosen(request.headers(), &self.request_headers));
    }

    /// Notes the headers of a response that were asked for.
    #[inline(never)]
    pub(super) fn look_at_response(&self, response: &ResponseHead<'_>, context: &RequestContext) {
        context.set_response_headers(chosen(response.headers(), &self.response_headers));
    }

    /// Decides about a line. False if there is to be none, which is counted.
    #[inline(never)]
    pub(super) fn rule(&self, context: &RequestContext, end: &End<'_>, ended: &mut Ended) -> bool {
        if let Some(level) = &self.level {
            ended.level = level(end);
        }
        if let Some(sample) = &self.sample {
            match sample.decide(context, ended) {
                Decision::Kept => {}
                Decision::Drawn(rate) => ended.sample_rate = Some(rate),
                Decision::Dropped => {
                    names::count_lost(ended.level, Lost::Sampled);
                    return false;
                }
            }
        }
        if let Some(bucket) = &self.bucket {
            if ended.level > Level::WARN && bucket.take() == Passage::Held {
                names::count_lost(ended.level, Lost::RateLimited);
                return false;
            }
        }
        true
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
