use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Extensions, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::Route;

/// Carries the route of a request out in its response, for a
/// [`RequestMetricsLayer`](crate::RequestMetricsLayer) that stands outside of the router.
///
/// The route is a [`Route`] in the request's extensions, else (feature `axum`) axum's `MatchedPath`. Put
/// it on the routes, inside of the router: with axum, `Router::route_layer`. A route that the response
/// already has is kept.
///
/// Until the response's head such a request is counted as active under `_OTHER`; if it ends before, that
/// is its route.
///
/// It costs a request the allocations of the response's extensions, and one in the layer outside.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RouteTagLayer {}

impl RouteTagLayer {
    /// The layer.
    pub const fn new() -> Self {
        Self {}
    }
}

impl<S> Layer<S> for RouteTagLayer {
    type Service = RouteTag<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RouteTag { inner }
    }
}

/// A service whose responses say which route they came from. Made by [`RouteTagLayer`].
#[derive(Clone, Debug)]
pub struct RouteTag<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for RouteTag<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = RouteTagFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let tag = Tag::of(request.extensions());
        RouteTagFuture {
            inner: self.inner.call(request),
            tag,
        }
    }
}

pin_project! {
    /// The response future of a [`RouteTag`].
    #[derive(Debug)]
    pub struct RouteTagFuture<F> {
        #[pin]
        inner: F,
        tag: Option<Tag>,
    }
}

impl<F, R, E> Future for RouteTagFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut result = ready!(this.inner.poll(cx));
        if let (Ok(response), Some(tag)) = (&mut result, this.tag.take()) {
            tag.put(response.extensions_mut());
        }
        Poll::Ready(result)
    }
}

/// What is carried: as it was found, since a clone of either is a counter raised.
#[derive(Clone, Debug)]
enum Tag {
    Route(Route),
    #[cfg(feature = "axum")]
    Matched(axum::extract::MatchedPath),
}

impl Tag {
    fn of(extensions: &Extensions) -> Option<Self> {
        if let Some(route) = extensions.get::<Route>() {
            return Some(Self::Route(route.clone()));
        }
        #[cfg(feature = "axum")]
        if let Some(matched) = extensions.get::<axum::extract::MatchedPath>() {
            return Some(Self::Matched(matched.clone()));
        }
        None
    }

    fn put(self, extensions: &mut Extensions) {
        match self {
            Self::Route(route) => {
                extensions.get_or_insert_with(|| route);
            }
            #[cfg(feature = "axum")]
            Self::Matched(matched) => {
                extensions.get_or_insert_with(|| matched);
            }
        }
    }
}
