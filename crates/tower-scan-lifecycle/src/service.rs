use std::task::{Context, Poll};

use tower_service::Service;

use crate::{ClassifyOutcome, ClassifyScan, ScanFuture, ScanMetrics};

/// A service whose calls are recorded as scans. Made by [`ScanLayer`](crate::ScanLayer).
#[derive(Clone, Debug)]
pub struct ScanService<S, C, O> {
    inner: S,
    scans: ScanMetrics,
    classify: C,
    outcome: O,
}

impl<S, C, O> ScanService<S, C, O> {
    pub(crate) const fn new(inner: S, scans: ScanMetrics, classify: C, outcome: O) -> Self {
        Self {
            inner,
            scans,
            classify,
            outcome,
        }
    }
}

impl<S, C, O, Req> Service<Req> for ScanService<S, C, O>
where
    S: Service<Req>,
    C: ClassifyScan<Req>,
    O: ClassifyOutcome<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ScanFuture<S::Future, O>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        // Started before the inner service is called: a panic in there is an end, too.
        let scan = self.classify.scan(&request);
        match scan.map(|meta| self.scans.start(meta)) {
            Some(scan) => {
                let future = scan.in_scope(|| self.inner.call(request));
                ScanFuture::new(future, Some(scan), self.outcome.clone())
            }
            None => ScanFuture::new(self.inner.call(request), None, self.outcome.clone()),
        }
    }
}
