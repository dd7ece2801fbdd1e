//! The scan engine as a tower service, and the layers around it.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tower::{
    BoxError, Service, ServiceBuilder, ServiceExt as _,
    limit::ConcurrencyLimit,
    timeout::{Timeout, error::Elapsed},
    util::BoxCloneSyncService,
};
use tower_scan_lifecycle::{Outcome, ScanLayer, ScanMeta, ScanMetrics, ScanReport};
use tracing::Span;

use crate::scan::{
    self, Finding, Limits, Progress, ScanError, ScanType, Severities, Severity, Target,
};

/// How long a scan may take: the platform's own promise for each type.
const fn deadline(scan_type: ScanType) -> Duration {
    match scan_type {
        ScanType::Mcp => Duration::from_secs(300),
        ScanType::Model => Duration::from_secs(600),
    }
}

/// Observes a running scan: called on the scanning thread, often.
pub type Watch = Arc<dyn Fn(&scan::Step<'_>) + Send + Sync>;

/// One scan to be run.
pub struct Job {
    /// The scan's id, for its span.
    pub id: String,
    /// Which scanner is to run.
    pub scan_type: ScanType,
    /// What it is to read.
    pub target: Target,
    /// Who watches it, if anybody.
    pub watch: Option<Watch>,
}

/// Why a scan has no findings.
#[derive(Debug)]
pub enum JobError {
    /// The scanner said so.
    Scan(ScanError),
    /// The scanner took longer than its type may.
    TimedOut(Duration),
    /// The scanner panicked, or the process is going down.
    Broken(String),
}

impl JobError {
    /// A stable code for clients.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Scan(error) => error.code(),
            Self::TimedOut(_) => "timed_out",
            Self::Broken(_) => "internal",
        }
    }
}

impl std::fmt::Display for JobError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Scan(error) => error.fmt(f),
            Self::TimedOut(after) => write!(f, "the scan did not end within {} s", after.as_secs()),
            Self::Broken(why) => write!(f, "the scanner broke: {why}"),
        }
    }
}

impl std::error::Error for JobError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Scan(error) => error.source(),
            _ => None,
        }
    }
}

/// Runs scans: at most as many at once as there are processors, each counted from its start.
#[derive(Clone)]
pub struct Scanners {
    mcp: Scanner,
    model: Scanner,
}

type Scanner = BoxCloneSyncService<Job, Vec<Finding>, BoxError>;

impl Scanners {
    /// Scanners whose scans `scans` records.
    pub fn new(scans: &ScanMetrics, limits: Limits) -> Self {
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        let permits = Arc::new(tokio::sync::Semaphore::new(at_once));
        let limits = Arc::new(limits);
        let scanner = |scan_type| {
            // From the outside in: wait for a turn, start the scan's clock, watch its deadline, run it.
            let service = ServiceBuilder::new()
                .layer(ScanLayer::new(scans.clone(), describe).outcome(judge))
                .layer_fn(|inner| Timeout::new(inner, deadline(scan_type)))
                .service(Engine {
                    limits: Arc::clone(&limits),
                });
            BoxCloneSyncService::new(ConcurrencyLimit::with_semaphore(
                service,
                Arc::clone(&permits),
            ))
        };
        Self {
            mcp: scanner(ScanType::Mcp),
            model: scanner(ScanType::Model),
        }
    }

    /// Runs one scan to its end. Dropping the future stops it.
    ///
    /// # Errors
    ///
    /// See [`JobError`].
    pub async fn run(&self, job: Job) -> Result<Vec<Finding>, JobError> {
        let scan_type = job.scan_type;
        let scanner = match scan_type {
            ScanType::Mcp => &self.mcp,
            ScanType::Model => &self.model,
        };
        scanner.clone().oneshot(job).await.map_err(|error| {
            if error.is::<Elapsed>() {
                return JobError::TimedOut(deadline(scan_type));
            }
            match error.downcast::<JobError>() {
                Ok(error) => *error,
                Err(error) => JobError::Broken(error.to_string()),
            }
        })
    }
}

fn describe(job: &Job) -> Option<ScanMeta> {
    let meta = ScanMeta::new(job.scan_type.as_str())
        .id(&job.id)
        .target(job.target.display_path());
    Some(meta)
}

fn judge(result: Result<&Vec<Finding>, &BoxError>) -> Outcome {
    match result {
        Ok(findings) => Outcome::Completed(report(&Severities::of(findings))),
        Err(error) if error.is::<Elapsed>() => Outcome::TimedOut,
        Err(error) => Outcome::failed(error.as_ref()),
    }
}

fn report(found: &Severities) -> ScanReport {
    found
        .iter()
        .fold(ScanReport::new(), |report, (severity, count)| {
            let severity = match severity {
                Severity::Critical => tower_scan_lifecycle::Severity::Critical,
                Severity::High => tower_scan_lifecycle::Severity::High,
                Severity::Medium => tower_scan_lifecycle::Severity::Medium,
                Severity::Low => tower_scan_lifecycle::Severity::Low,
                Severity::Info => tower_scan_lifecycle::Severity::Info,
            };
            report.findings(severity, count)
        })
}

/// Runs the synchronous engine on a blocking thread.
#[derive(Clone)]
struct Engine {
    limits: Arc<Limits>,
}

impl Service<Job> for Engine {
    type Response = Vec<Finding>;
    type Error = JobError;
    type Future = Pin<Box<dyn Future<Output = Result<Vec<Finding>, JobError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), JobError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, job: Job) -> Self::Future {
        let limits = Arc::clone(&self.limits);
        // The layer calls this in the scan's span; the blocking thread works in it, too.
        let span = Span::current();
        Box::pin(async move {
            let cancel = CancelOnDrop::default();
            let flag = Arc::clone(&cancel.0);
            let scan = move || span.in_scope(|| run(&job, &limits, &flag));
            match tokio::task::spawn_blocking(scan).await {
                Ok(result) => result.map_err(JobError::Scan),
                Err(error) => Err(JobError::Broken(error.to_string())),
            }
        })
    }
}

fn run(job: &Job, limits: &Limits, cancel: &AtomicBool) -> Result<Vec<Finding>, ScanError> {
    tracing::info!(bytes = job.target.size(), "scan started");
    let progress = Progress::new().with_cancel(cancel);
    match &job.watch {
        None => scan::scan(job.scan_type, &job.target, limits, &progress),
        Some(watch) => {
            let watch = |step: &scan::Step<'_>| watch(step);
            scan::scan(
                job.scan_type,
                &job.target,
                limits,
                &progress.with_observer(&watch),
            )
        }
    }
}

/// A blocking thread cannot be stopped from outside: it looks at this flag and stops by itself.
#[derive(Default)]
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
