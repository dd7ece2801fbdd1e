use std::{borrow::Cow, sync::Arc};

use http::Extensions;
use metrics::SharedString;

use crate::names::OTHER;

/// The template of the route that a request matched, such as `/users/{id}`: a request extension.
///
/// A router, or a service that knows its only route, sets it before the metrics layer is called. It
/// wins over axum's `MatchedPath`. What it says becomes the value of a label: it must come from the
/// program, never from the request.
///
/// ```
/// # let mut request = http::Request::new(());
/// request.extensions_mut().insert(tower_request_metrics::Route::new("/users/{id}"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route(SharedString);

impl Route {
    /// A route with this template.
    pub fn new(template: impl Into<Cow<'static, str>>) -> Self {
        Self(match template.into() {
            Cow::Borrowed(template) => SharedString::const_str(template),
            // Shared, because every request that matches the route carries a clone.
            Cow::Owned(template) => SharedString::from_shared(Arc::from(template)),
        })
    }

    /// The template.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The route of a request: its [`Route`], else axum's `MatchedPath`, else none. Never the path.
pub(crate) fn of(extensions: &Extensions) -> SharedString {
    if let Some(Route(template)) = extensions.get() {
        return template.clone();
    }
    #[cfg(feature = "axum")]
    if let Some(matched) = extensions.get::<axum::extract::MatchedPath>() {
        return SharedString::from_owned(matched.as_str().to_owned());
    }
    SharedString::const_str(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_a_route_is_other() {
        assert_eq!(&*of(&Extensions::new()), OTHER);
    }

    #[test]
    fn a_route_set_by_a_router_is_taken() {
        let mut extensions = Extensions::new();
        extensions.insert(Route::new(String::from("/users/{id}")));
        assert_eq!(&*of(&extensions), "/users/{id}");
    }
}
