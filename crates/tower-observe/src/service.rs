use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::{Clock, Observe, ResponseBody, ResponseFuture, tracker::Tracker};

/// A service whose exchanges are observed. Made by [`ObserveLayer`](crate::ObserveLayer).
pub struct ObserveService<S, O> {
    inner: S,
    observer: Arc<O>,
    clock: Clock,
}

impl<S, O> ObserveService<S, O> {
    pub(crate) const fn new(inner: S, observer: Arc<O>, clock: Clock) -> Self {
        Self {
            inner,
            observer,
            clock,
        }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service. Calls made through it are not observed.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Gives the inner service back.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: Clone, O> Clone for ObserveService<S, O> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            observer: Arc::clone(&self.observer),
            clock: self.clock.clone(),
        }
    }
}

impl<S: fmt::Debug, O> fmt::Debug for ObserveService<S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObserveService")
            .field("inner", &self.inner)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

impl<S, O, B, R> Service<Request<B>> for ObserveService<S, O>
where
    S: Service<Request<B>, Response = Response<R>>,
    O: Observe,
    R: Body,
{
    type Response = Response<ResponseBody<R, O::Exchange>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, O::Exchange>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // Armed before the inner service is called: a panic in there is an end, too.
        let mut tracker = Tracker::start(&*self.observer, &mut request, &self.clock);
        let inner = if tracker.scopes() {
            tracker.run(|| self.inner.call(request))
        } else {
            // Not by a closure, which the request would have to be moved into.
            tracker.enter();
            let inner = self.inner.call(request);
            tracker.leave();
            inner
        };
        ResponseFuture::new(inner, tracker)
    }
}
