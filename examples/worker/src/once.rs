//! The outermost layer: each scan runs, and counts, once.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use apalis::prelude::Task;
use tower::{BoxError, Layer, Service};
use tower_scan_lifecycle::{ScanMetrics, Ticket};

use crate::{
    job::{Job, Summary},
    ledger::Begun,
    queue::Queue,
};

/// Looks up each job in the ledger before it is run, and notes its end.
#[derive(Clone)]
pub(crate) struct OnceLayer {
    pub(crate) queue: Queue,
    pub(crate) scans: ScanMetrics,
    /// This worker's name.
    pub(crate) worker: Arc<str>,
    /// How often a scan may be begun.
    pub(crate) attempts: u32,
    /// How long another worker may say nothing until it is dead.
    pub(crate) dead_after: Duration,
}

impl<S> Layer<S> for OnceLayer {
    type Service = Once<S>;

    fn layer(&self, inner: S) -> Once<S> {
        Once {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service of [`OnceLayer`].
#[derive(Clone)]
pub(crate) struct Once<S> {
    inner: S,
    layer: OnceLayer,
}

impl<S> Service<Task<Job>> for Once<S>
where
    S: Service<Task<Job>, Response = Summary, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Summary;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Summary, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut task: Task<Job>) -> Self::Future {
        let fresh = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, fresh);
        let layer = self.layer.clone();
        Box::pin(async move {
            if !layer.begin(&mut task.args).await? {
                return Ok(Summary::of("skipped"));
            }
            let job = task.args.clone();
            let summary = ready.call(task).await?;
            // One that waits for its next attempt has not ended.
            if summary.status != WAITS {
                layer.queue.ledger.end(&job).await?;
            }
            Ok(summary)
        })
    }
}

/// The status of a scan that was put into the queue again.
pub(crate) const WAITS: &str = "waits";

impl OnceLayer {
    /// Whether the job is to be run; if a worker took it along before, as its next attempt.
    async fn begin(&self, job: &mut Job) -> anyhow::Result<bool> {
        let (worker, since) = match self.queue.ledger.begin(job, &self.worker).await? {
            Begun::Now => return Ok(true),
            Begun::Over => {
                tracing::info!(scan_id = job.id(), "the queue gave a scan that has ended");
                return Ok(false);
            }
            Begun::Elsewhere => {
                // If it dies after all, somebody must know of the scan.
                let mut queue = self.queue.clone();
                queue.put(job.clone(), self.dead_after).await?;
                return Ok(false);
            }
            Begun::Lost { worker, since } => (worker, since),
        };
        let may_again = job.ticket.attempt() < self.attempts;
        tracing::warn!(
            scan_id = job.id(),
            worker,
            began = %humantime::format_rfc3339_millis(since),
            again = may_again,
            "a worker died with a scan"
        );
        if may_again {
            job.ticket = next_attempt(&job.ticket);
        } else {
            // When it ended nobody knows.
            self.scans.abandoned_scan(&job.meta(), None);
            self.queue.ledger.end(job).await?;
        }
        Ok(may_again)
    }
}

/// The ticket of the same scan for its next attempt, which waits from now on.
pub(crate) fn next_attempt(ticket: &Ticket) -> Ticket {
    let attempt = ticket.attempt().saturating_add(1);
    let mut next = Ticket::new(ticket.scan_type(), SystemTime::now()).with_attempt(attempt);
    if let Some(id) = ticket.id() {
        next = next.with_id(id);
    }
    if let Some(parent) = ticket.traceparent() {
        next = next.with_traceparent(parent);
    }
    next
}
