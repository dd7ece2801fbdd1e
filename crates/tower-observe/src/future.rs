use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::{Exchange, ResponseBody, tracker::Tracker};

pin_project! {
    /// The response future of an [`ObserveService`](crate::ObserveService).
    #[must_use = "futures do nothing unless polled; dropping this one ends the exchange"]
    pub struct ResponseFuture<F, X>
    where
        X: Exchange,
    {
        // `None` only while it is dropped.
        #[pin]
        inner: Option<F>,
        tracker: Tracker<X>,
    }

    impl<F, X> PinnedDrop for ResponseFuture<F, X>
    where
        X: Exchange,
    {
        fn drop(this: Pin<&mut Self>) {
            // Before the tracker is dropped, so that what the service does on its way out still
            // belongs to the exchange.
            let mut this = this.project();
            this.tracker.destroy(|| this.inner.set(None));
        }
    }
}

impl<F, X: Exchange> ResponseFuture<F, X> {
    /// Follows an exchange whose service is yet to be called: the tracker is moved into its place once,
    /// and not again with the inner future.
    pub(crate) const fn new(inner: F, tracker: Tracker<X>) -> Self {
        Self {
            inner: Some(inner),
            tracker,
        }
    }
}

impl<F, X, B, E> Future for ResponseFuture<F, X>
where
    F: Future<Output = Result<Response<B>, E>>,
    X: Exchange,
    B: Body,
{
    type Output = Result<Response<ResponseBody<B, X>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            return Poll::Pending;
        };
        let mut polled = if this.tracker.scopes() {
            this.tracker.run(|| inner.poll(cx))
        } else {
            this.tracker.enter();
            let polled = inner.poll(cx);
            this.tracker.leave();
            polled
        };
        // Where it is: a response is large, and moved no more than once here.
        match &mut polled {
            Poll::Pending => {}
            Poll::Ready(Err(_)) => this.tracker.failed(),
            Poll::Ready(Ok(response)) => this.tracker.answered(response),
        }
        polled.map_ok(|response| response.map(|body| ResponseBody::new(body, this.tracker.take())))
    }
}

impl<F, X: Exchange> fmt::Debug for ResponseFuture<F, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
