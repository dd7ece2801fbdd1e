use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::Extensions;
use matchit::Router;
use metrics::SharedString;

use crate::{BuildError, error::Kind, tree::Tree};

/// The template of the route that a request matched, such as `/users/{id}`: an extension of the request
/// or, set by whoever routes inside of the layer, of the response.
///
/// What it says becomes the value of a label: it must come from the program, never from the request.
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
        // Read by whoever is given the route, or something that it is in: what happened before is seen.
        MADE.store(true, Ordering::Relaxed);
        Self(shared(template.into()))
    }

    /// That of a request or a response.
    #[inline]
    pub(crate) fn of(extensions: &Extensions) -> Option<&Self> {
        // Most programs have none, and need not look for one at every request.
        MADE.load(Ordering::Relaxed)
            .then(|| extensions.get::<Self>())?
    }

    /// The template.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether there ever was a [`Route`].
static MADE: AtomicBool = AtomicBool::new(false);

fn shared(template: Cow<'static, str>) -> SharedString {
    match template {
        Cow::Borrowed(template) => SharedString::const_str(template),
        // Every request that matches the route may carry a clone.
        Cow::Owned(template) => SharedString::from_shared(Arc::from(template)),
    }
}

/// The template that a router set: a [`Route`], else axum's `MatchedPath`.
#[inline]
pub(crate) fn matched(extensions: &Extensions) -> Option<&str> {
    if let Some(route) = Route::of(extensions) {
        return Some(route.as_str());
    }
    #[cfg(feature = "axum")]
    if let Some(matched) = extensions.get::<axum::extract::MatchedPath>() {
        return Some(matched.as_str());
    }
    None
}

/// Templates that paths are matched with, where no router says which route a request took: for plain
/// hyper services, and for what is mounted into a router (`/static/{*path}`).
///
/// The syntax is matchit's, which is axum's: `{name}` is one segment, `{*name}` the rest.
#[derive(Clone)]
pub struct RouteTable {
    shared: Arc<Shared>,
}

struct Shared {
    tree: Tree,
    templates: Vec<SharedString>,
}

impl RouteTable {
    /// A table of these templates.
    ///
    /// # Errors
    ///
    /// If a template cannot be parsed, or conflicts with another.
    pub fn new<T: Into<Cow<'static, str>>>(
        templates: impl IntoIterator<Item = T>,
    ) -> Result<Self, BuildError> {
        // Which says what is a template, and which of them conflict.
        let mut router = Router::new();
        let templates = templates.into_iter().map(|template| {
            let template = shared(template.into());
            router
                .insert(template.to_string(), ())
                .map_err(|error| Kind::RouteTemplate(template.to_string(), error.to_string()))?;
            Ok::<_, BuildError>(template)
        });
        let templates = templates.collect::<Result<Vec<_>, _>>()?;
        let tree = Tree::new(&templates);
        let shared = Arc::new(Shared { tree, templates });
        Ok(Self { shared })
    }

    /// The template that this path matches.
    pub fn template(&self, path: &str) -> Option<&str> {
        let number = self.matched(path)?;
        self.numbered(number)
    }

    /// The number of the template that this path matches.
    #[inline]
    pub(crate) fn matched(&self, path: &str) -> Option<usize> {
        self.shared.tree.find(path.as_bytes())
    }

    pub(crate) fn numbered(&self, number: usize) -> Option<&str> {
        self.shared
            .templates
            .get(number)
            .map(|template| &**template)
    }

    /// How many templates there are.
    pub(crate) fn len(&self) -> usize {
        self.shared.templates.len()
    }
}

impl fmt::Debug for RouteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteTable").finish_non_exhaustive()
    }
}
