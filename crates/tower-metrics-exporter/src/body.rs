use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The body of a scrape's response: one piece of known size, or nothing.
#[derive(Clone, Debug, Default)]
pub struct MetricsBody {
    page: Bytes,
}

impl MetricsBody {
    pub(crate) const fn new(page: Bytes) -> Self {
        Self { page }
    }
}

impl Body for MetricsBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.page.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.page)))))
    }

    fn is_end_stream(&self) -> bool {
        self.page.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.page.len() as u64)
    }
}
