use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{Exchange, tracker::Tracker};

pin_project! {
    /// The response body of an [`ObserveService`](crate::ObserveService).
    ///
    /// Frames, size hint and end-of-stream hint are the inner body's.
    pub struct ResponseBody<B, X>
    where
        X: Exchange,
    {
        // `None` only while being dropped.
        #[pin]
        inner: Option<B>,
        tracker: Tracker<X>,
    }

    impl<B, X> PinnedDrop for ResponseBody<B, X>
    where
        X: Exchange,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            this.tracker.destroy(|| this.inner.set(None));
        }
    }
}

impl<B, X: Exchange> ResponseBody<B, X> {
    pub(crate) const fn new(inner: B, tracker: Tracker<X>) -> Self {
        Self {
            inner: Some(inner),
            tracker,
        }
    }
}

impl<B: Body, X: Exchange> Body for ResponseBody<B, X> {
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        match this.inner.as_pin_mut() {
            Some(inner) => this.tracker.poll_frame(inner, cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), B::size_hint)
    }
}

/// An empty body outside of any exchange, as layers outside need to make one of their own.
impl<B: Default, X: Exchange> Default for ResponseBody<B, X> {
    fn default() -> Self {
        Self::new(B::default(), Tracker::none())
    }
}

impl<B: fmt::Debug, X: Exchange> fmt::Debug for ResponseBody<B, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
