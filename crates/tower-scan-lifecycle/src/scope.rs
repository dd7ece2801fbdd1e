use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::{ActiveScan, ScanContext};

pin_project! {
    /// A future that works for a scan: polled in its span, with the scan as its
    /// [current](ScanContext::current) one. Made by [`ActiveScan::scope`] and [`ScanContext::scope`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Scope<'a, F> {
        #[pin]
        inner: F,
        context: ScanContext,
        // The scan, if it stands or falls with this future.
        scan: Option<&'a ActiveScan>,
    }
}

impl<'a, F> Scope<'a, F> {
    pub(crate) const fn new(inner: F, context: ScanContext, scan: Option<&'a ActiveScan>) -> Self {
        Self {
            inner,
            context,
            scan,
        }
    }
}

impl<F: Future> Future for Scope<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.scan {
            Some(scan) => scan.in_scope(|| this.inner.poll(cx)),
            None => this.context.in_scope(|| this.inner.poll(cx)),
        }
    }
}

impl<F> fmt::Debug for Scope<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}
