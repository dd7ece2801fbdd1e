//! The innermost service: one scan.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use apalis::prelude::Task;
use scan_platform::{
    assess::report,
    scan::{Limits, Policy, ScanError, ScanRoot, Severities, TargetError},
    scanner::{JobError, on_thread},
};
use tokio::sync::watch;
use tower::{BoxError, Service, timeout::error::Elapsed};
use tower_scan_lifecycle::{Failure, FailureReason, Outcome, ScanContext, ScanMeta, ScanReport};

use crate::job::Job;

/// What a scan found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) severities: Severities,
    pub(crate) passed: bool,
}

/// Reads a job for the layer that records scans.
pub(crate) fn describe(task: &Task<Job>) -> Option<ScanMeta> {
    Some(task.args.meta())
}

/// Reads what came back, for the same layer. A scan that may be tried again has not failed.
pub(crate) fn judge(result: Result<&Found, &BoxError>) -> Outcome {
    let error = match result {
        Ok(found) => return Outcome::Completed(found.report()),
        Err(error) if error.is::<Elapsed>() => return Outcome::TimedOut,
        Err(error) => error,
    };
    match error.downcast_ref::<Stopped>() {
        Some(stopped) if stopped.again => Outcome::Retry,
        Some(Stopped {
            error: JobError::Panicked(why),
            ..
        }) => Outcome::Failed(Failure::new(FailureReason::Panic).message(why.clone())),
        _ => Outcome::failed(error.as_ref()),
    }
}

impl Found {
    fn report(&self) -> ScanReport {
        report(&self.severities, self.passed)
    }
}

/// Why a scan found nothing.
#[derive(Debug)]
pub(crate) struct Stopped {
    error: JobError,
    /// Whether it is to be put into the queue again.
    pub(crate) again: bool,
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Stopped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

/// Scans below a root.
#[derive(Clone)]
pub(crate) struct Scanner {
    pub(crate) root: Arc<ScanRoot>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) policy: Policy,
    /// How often a scan may be begun.
    pub(crate) attempts: u32,
    /// Scans stop, and wait again, once it says so.
    pub(crate) stop: watch::Receiver<bool>,
}

impl Service<Task<Job>> for Scanner {
    type Response = Found;
    type Error = Stopped;
    type Future = Pin<Box<dyn Future<Output = Result<Found, Stopped>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<Job>) -> Self::Future {
        let scanner = self.clone();
        let attempts = self.attempts;
        let scan = ScanContext::current();
        Box::pin(async move {
            let job = task.args;
            let may_again = job.ticket.attempt() < attempts;
            let found = scanner.scan(scan, job).await;
            found.map_err(|error| Stopped {
                again: match &error {
                    // That is no fault of its own.
                    JobError::Interrupted => true,
                    _ => may_again && is_passing(&error),
                },
                error,
            })
        })
    }
}

/// Whether it may be otherwise another time: a file on its way here, a disk that did not answer.
const fn is_passing(error: &JobError) -> bool {
    matches!(
        error,
        JobError::Target(TargetError::NotFound { .. } | TargetError::Io { .. })
            | JobError::Scan(ScanError::Io { .. })
    )
}

impl Scanner {
    async fn scan(mut self, scan: Option<ScanContext>, job: Job) -> Result<Found, JobError> {
        let Job {
            scan_type, path, ..
        } = job;
        let root = Arc::clone(&self.root);
        let opened = tokio::task::spawn_blocking(move || root.target(&path)).await;
        let target = match opened {
            Ok(target) => target.map_err(JobError::Target)?,
            Err(error) => return Err(JobError::Panicked(error.to_string())),
        };
        let told_to_stop = async {
            if self.stop.wait_for(|stop| *stop).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let findings = tokio::select! {
            found = on_thread(scan, scan_type, target, self.limits, None) => found?,
            () = told_to_stop => return Err(JobError::Interrupted),
        };
        let severities = Severities::of(&findings);
        Ok(Found {
            passed: self.policy.passed(&severities),
            severities,
        })
    }
}
