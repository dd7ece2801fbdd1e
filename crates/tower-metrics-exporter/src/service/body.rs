use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// The body of a scrape's response, and of a probe's: one piece of known size, or nothing.
///
/// Scrapes that share a page share its bytes.
#[derive(Clone, Debug, Default)]
pub struct MetricsBody {
    page: Bytes,
}

impl MetricsBody {
    pub(crate) const fn new(page: Bytes) -> Self {
        Self { page }
    }

    fn take(&mut self) -> Option<Bytes> {
        (!self.page.is_empty()).then(|| std::mem::take(&mut self.page))
    }
}

impl Body for MetricsBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.take().map(|page| Ok(Frame::data(page))))
    }

    fn is_end_stream(&self) -> bool {
        self.page.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.page.len() as u64)
    }
}

pin_project! {
    /// The body of a [`RouteService`](crate::RouteService)'s response: a page, or the body of the inner
    /// service, with its data and its errors.
    #[derive(Debug)]
    pub struct RouteBody<B> {
        #[pin]
        route: Route<B>,
    }
}

pin_project! {
    #[project = RouteProjection]
    #[derive(Debug)]
    enum Route<B> {
        Metrics { page: MetricsBody },
        Inner { #[pin] body: B },
    }
}

impl<B> RouteBody<B> {
    pub(crate) const fn metrics(page: MetricsBody) -> Self {
        Self {
            route: Route::Metrics { page },
        }
    }

    pub(crate) const fn inner(body: B) -> Self {
        Self {
            route: Route::Inner { body },
        }
    }
}

/// Some servers ask for `Default`, to answer without the service.
impl<B: Default> Default for RouteBody<B> {
    fn default() -> Self {
        Self::inner(B::default())
    }
}

impl<B> Body for RouteBody<B>
where
    B: Body,
    B::Data: From<Bytes>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.project().route.project() {
            RouteProjection::Metrics { page } => {
                Poll::Ready(page.take().map(|page| Ok(Frame::data(page.into()))))
            }
            RouteProjection::Inner { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.route {
            Route::Metrics { page } => page.is_end_stream(),
            Route::Inner { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.route {
            Route::Metrics { page } => page.size_hint(),
            Route::Inner { body } => body.size_hint(),
        }
    }
}
