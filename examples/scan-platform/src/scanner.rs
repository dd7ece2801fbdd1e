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

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::{
    BoxError, Service, ServiceBuilder, ServiceExt as _,
    timeout::{Timeout, error::Elapsed},
    util::BoxCloneSyncService,
};
use tower_scan_lifecycle::{
    EngineStatus, Failure, FailureReason, Outcome, ScanContext, ScanLayer, ScanMeta, ScanMetrics,
    Ticket,
};

use crate::{
    assess::{Assessed, Assessor},
    scan::{self, EngineEnd, Finding, Limits, Progress, ScanError, ScanType, Target, TargetError},
};

/// How long a scan may take: the platform's own promise for each type.
pub const fn deadline(scan_type: ScanType) -> Duration {
    match scan_type {
        ScanType::Mcp => Duration::from_secs(300),
        ScanType::Model => Duration::from_secs(600),
    }
}

/// How long a scan that has waited waits for a database that does not answer, before it asks again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

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
    /// What it waited with, if it did. Told to stop, such a scan can wait again.
    pub ticket: Option<Ticket>,
}

/// Why a scan has no findings.
#[derive(Debug)]
pub enum JobError {
    /// The scanner said so.
    Scan(ScanError),
    /// What was to be scanned is not there any more.
    Target(TargetError),
    /// The scanner took longer than its type may.
    TimedOut(Duration),
    /// The scanner panicked.
    Panicked(String),
    /// The platform itself failed.
    Platform(anyhow::Error),
    /// The platform is going down, and the scan can wait for the next.
    Interrupted,
}

impl JobError {
    /// A stable code for clients.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Scan(error) => error.code(),
            Self::Target(error) => error.code(),
            Self::TimedOut(_) => "timed_out",
            Self::Panicked(_) | Self::Platform(_) => "internal",
            Self::Interrupted => "interrupted",
        }
    }
}

impl std::fmt::Display for JobError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Scan(error) => error.fmt(f),
            Self::Target(error) => error.fmt(f),
            Self::TimedOut(after) => write!(f, "the scan did not end within {} s", after.as_secs()),
            Self::Panicked(why) => write!(f, "the scanner broke: {why}"),
            Self::Platform(_) => f.write_str("the platform failed; its log says why"),
            Self::Interrupted => f.write_str("the platform was told to stop"),
        }
    }
}

impl std::error::Error for JobError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Scan(error) => error.source(),
            Self::Target(error) => error.source(),
            Self::Platform(error) => Some(error.as_ref()),
            _ => None,
        }
    }
}

/// Runs scans: at most as many at once as there are processors, each counted from its start.
#[derive(Clone)]
pub struct Scanners {
    mcp: Scanner,
    model: Scanner,
    turns: Arc<Semaphore>,
}

type Scanner = BoxCloneSyncService<Job, Assessed, BoxError>;

/// A scan's right to run now.
pub type Turn = OwnedSemaphorePermit;

impl Scanners {
    /// Scanners whose scans `scans` records. Those that have waited stop once `stop` says so.
    pub fn new(
        scans: &ScanMetrics,
        limits: Limits,
        assessor: Assessor,
        stop: &watch::Receiver<bool>,
    ) -> Self {
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        let limits = Arc::new(limits);
        let scanner = |scan_type| {
            // From the outside in: start the scan's clock, watch its deadline, run it.
            let service = ServiceBuilder::new()
                .layer(ScanLayer::new(scans.clone(), describe).outcome(judge))
                .layer_fn(|inner| Timeout::new(inner, deadline(scan_type)))
                .service(Engine {
                    limits: Arc::clone(&limits),
                    assessor: assessor.clone(),
                    stop: stop.clone(),
                });
            BoxCloneSyncService::new(service)
        };
        Self {
            mcp: scanner(ScanType::Mcp),
            model: scanner(ScanType::Model),
            turns: Arc::new(Semaphore::new(at_once)),
        }
    }

    /// Waits for a turn.
    pub async fn turn(&self) -> Turn {
        let turns = Arc::clone(&self.turns);
        match turns.acquire_owned().await {
            Ok(turn) => turn,
            // It is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// Runs one scan to its end. Dropping the future stops it.
    ///
    /// # Errors
    ///
    /// See [`JobError`].
    pub async fn run(&self, turn: Turn, job: Job) -> Result<Assessed, JobError> {
        let scan_type = job.scan_type;
        let scanner = match scan_type {
            ScanType::Mcp => &self.mcp,
            ScanType::Model => &self.model,
        };
        let result = scanner.clone().oneshot(job).await;
        drop(turn);
        result.map_err(|error| {
            if error.is::<Elapsed>() {
                return JobError::TimedOut(deadline(scan_type));
            }
            match error.downcast::<JobError>() {
                Ok(error) => *error,
                Err(error) => JobError::Platform(anyhow::Error::from_boxed(error)),
            }
        })
    }
}

fn describe(job: &Job) -> Option<ScanMeta> {
    let meta = match &job.ticket {
        Some(ticket) => ticket.clone().into_meta(),
        None => ScanMeta::new(job.scan_type.as_str()),
    };
    Some(meta.id(&job.id).target(job.target.display_path()))
}

fn judge(result: Result<&Assessed, &BoxError>) -> Outcome {
    let error = match result {
        Ok(assessed) => return Outcome::Completed(assessed.report()),
        Err(error) if error.is::<Elapsed>() => return Outcome::TimedOut,
        Err(error) => error,
    };
    match error.downcast_ref() {
        Some(JobError::Interrupted) => Outcome::Retry,
        Some(JobError::Panicked(why)) => {
            Outcome::Failed(Failure::new(FailureReason::Panic).message(why.clone()))
        }
        _ => Outcome::failed(error.as_ref()),
    }
}

/// Runs the synchronous engine on a blocking thread, and assesses what it found.
#[derive(Clone)]
struct Engine {
    limits: Arc<Limits>,
    assessor: Assessor,
    stop: watch::Receiver<bool>,
}

impl Service<Job> for Engine {
    type Response = Assessed;
    type Error = JobError;
    type Future = Pin<Box<dyn Future<Output = Result<Assessed, JobError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), JobError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, job: Job) -> Self::Future {
        let Self {
            limits,
            assessor,
            mut stop,
        } = self.clone();
        let scan = ScanContext::current();
        Box::pin(async move {
            let path = job.target.display_path().to_owned();
            let told_to_stop = async {
                // An error says that nobody can tell any more.
                if job.ticket.is_none() || stop.wait_for(|stop| *stop).await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            let findings = tokio::select! {
                found = on_thread(scan, job.scan_type, job.target, limits, job.watch) => found?,
                () = told_to_stop => return Err(JobError::Interrupted),
            };
            loop {
                let assessed = assessor.assess(job.scan_type, &path, &findings).await;
                match assessed {
                    // Nobody waits for an answer: what was found is not thrown away for a database that
                    // is away for a while.
                    Err(error) if job.ticket.is_some() => {
                        let error = error.as_ref() as &dyn std::error::Error;
                        tracing::error!(error, "cannot assess what was found yet");
                    }
                    assessed => return assessed.map_err(JobError::Platform),
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
        })
    }
}

/// Scans on a blocking thread, as part of `scan` if there is one, which hears of every engine that ran.
/// Dropping the future stops it.
///
/// # Errors
///
/// [`JobError::Scan`] and [`JobError::Panicked`].
pub async fn on_thread(
    scan: Option<ScanContext>,
    scan_type: ScanType,
    target: Target,
    limits: Arc<Limits>,
    watch: Option<Watch>,
) -> Result<Vec<Finding>, JobError> {
    let cancel = CancelOnDrop::default();
    let flag = Arc::clone(&cancel.0);
    let work = move || {
        let run = || {
            run(
                scan.as_ref(),
                scan_type,
                &target,
                &limits,
                &flag,
                watch.as_ref(),
            )
        };
        match &scan {
            Some(scan) => scan.in_scope(run),
            None => run(),
        }
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(JobError::Scan),
        Err(error) => Err(JobError::Panicked(error.to_string())),
    }
}

fn run(
    scan: Option<&ScanContext>,
    scan_type: ScanType,
    target: &Target,
    limits: &Limits,
    cancel: &AtomicBool,
    watch: Option<&Watch>,
) -> Result<Vec<Finding>, ScanError> {
    tracing::info!(bytes = target.size(), "scan started");
    let engines = |engine: scan::Engine, end: EngineEnd| {
        let Some(scan) = scan else { return };
        let status = match end {
            EngineEnd::Completed => EngineStatus::Completed,
            EngineEnd::Failed => EngineStatus::Failed,
            EngineEnd::Skipped => EngineStatus::Skipped,
        };
        scan.engine_ended(engine.as_str(), status);
    };
    let progress = Progress::new().with_cancel(cancel).with_engines(&engines);
    match watch {
        None => scan::scan(scan_type, target, limits, &progress),
        Some(watch) => {
            let watch = |step: &scan::Step<'_>| watch(step);
            scan::scan(scan_type, target, limits, &progress.with_observer(&watch))
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
