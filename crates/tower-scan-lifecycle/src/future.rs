use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use crate::{ActiveScan, ClassifyOutcome};

pin_project! {
    /// The response future of a [`ScanService`](crate::ScanService).
    #[must_use = "futures do nothing unless polled; dropping this one cancels the scan"]
    pub struct ScanFuture<F, O> {
        #[pin]
        inner: F,
        scan: Option<ActiveScan>,
        outcome: O,
    }
}

impl<F, O> ScanFuture<F, O> {
    pub(crate) const fn new(inner: F, scan: Option<ActiveScan>, outcome: O) -> Self {
        Self {
            inner,
            scan,
            outcome,
        }
    }
}

impl<F, O, Res, Err> Future for ScanFuture<F, O>
where
    F: Future<Output = Result<Res, Err>>,
    O: ClassifyOutcome<Res, Err>,
{
    type Output = Result<Res, Err>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(scan) = this.scan else {
            return this.inner.poll(cx);
        };
        let result = ready!(scan.in_scope(|| this.inner.poll(cx)));
        let outcome = scan.in_scope(|| this.outcome.outcome(result.as_ref()));
        if let Some(scan) = this.scan.take() {
            scan.end(outcome);
        }
        Poll::Ready(result)
    }
}

impl<F, O> fmt::Debug for ScanFuture<F, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanFuture")
            .field("scan", &self.scan)
            .finish_non_exhaustive()
    }
}
