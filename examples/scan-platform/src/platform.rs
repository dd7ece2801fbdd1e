//! What every way of asking for a scan shares: resolve the path, run the scanner, judge, remember.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use futures_util::Stream;
use tower_scan_lifecycle::ScanMetrics;
use tracing::Span;

use crate::{
    follow::follow,
    record::{Failure, ScanRecord, ScanStatus},
    scan::{Finding, Limits, Policy, ScanRoot, ScanType, Severities, Target, TargetError},
    scanner::{Job, JobError, Scanners, Watch},
    store::Store,
};

/// The scan platform, without any way in.
#[derive(Clone)]
pub struct Platform {
    shared: Arc<Shared>,
}

struct Shared {
    root: Arc<ScanRoot>,
    policy: Policy,
    scanners: Scanners,
    store: Store,
}

/// Why what a client asks for is not scanned.
#[derive(Debug)]
pub enum AskError {
    /// The path it gave is not one to be scanned.
    Target(TargetError),
    /// The platform itself failed.
    Platform(anyhow::Error),
}

impl From<AskError> for anyhow::Error {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Target(error) => Self::new(error),
            AskError::Platform(error) => error,
        }
    }
}

impl Platform {
    /// A platform that scans below `root`.
    ///
    /// # Errors
    ///
    /// If `root` is no directory that can be read.
    pub fn new(
        root: &PathBuf,
        policy: Policy,
        scans: &ScanMetrics,
        store: Store,
    ) -> anyhow::Result<Self> {
        let root = ScanRoot::open(root)
            .with_context(|| format!("cannot open the scan root {root:?}: give a directory"))?;
        let scanners = Scanners::new(scans, Limits::default());
        Ok(Self {
            shared: Arc::new(Shared {
                root: Arc::new(root),
                policy,
                scanners,
                store,
            }),
        })
    }

    /// Where scans are kept.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Opens what is to be scanned.
    ///
    /// # Errors
    ///
    /// See [`TargetError`].
    pub async fn target(&self, path: String) -> Result<Target, TargetError> {
        let root = Arc::clone(&self.shared.root);
        let asked = path.clone();
        let opened = tokio::task::spawn_blocking(move || root.target(&asked)).await;
        opened.unwrap_or_else(|error| {
            Err(TargetError::Io {
                path,
                source: std::io::Error::other(error),
            })
        })
    }

    /// Runs one scan to its end, and remembers it at its start and at its end.
    ///
    /// Dropping the future stops the scan and remembers it as cancelled.
    ///
    /// # Errors
    ///
    /// If the database does not take it. That the scan fails is not an error here, but its status.
    pub async fn scan(
        &self,
        mut scan: ScanRecord,
        target: Target,
        watch: Option<Watch>,
    ) -> anyhow::Result<ScanRecord> {
        let store = &self.shared.store;
        store
            .start(&scan)
            .await
            .context("cannot record the start of the scan")?;
        let unfinished = Unfinished {
            scan: Some(scan.clone()),
            store: store.clone(),
        };
        let job = Job {
            id: scan.id.clone(),
            scan_type: scan.scan_type,
            target,
            watch,
        };
        match self.shared.scanners.run(job).await {
            Ok(findings) => self.completed(&mut scan, findings),
            Err(error) => failed(&mut scan, &error),
        }
        end(store, &scan)
            .await
            .context("cannot record the end of the scan")?;
        unfinished.defuse();
        Ok(scan)
    }

    /// Scans what a client asks for.
    ///
    /// The log line of the request, in whose span this is called, is to have the scan's id, too.
    ///
    /// # Errors
    ///
    /// See [`target`](Self::target) and [`scan`](Self::scan).
    pub async fn scan_path(
        &self,
        scan_type: ScanType,
        path: String,
    ) -> Result<ScanRecord, AskError> {
        let target = self.target(path).await.map_err(AskError::Target)?;
        let scan = ScanRecord::start(scan_type, target.display_path());
        Span::current().record("scan_id", scan.id.as_str());
        let scan = self.scan(scan, target, None).await;
        scan.map_err(AskError::Platform)
    }

    /// The scan with the id that a client gives, which the log line of its request is to have.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn find(&self, id: &str) -> anyhow::Result<Option<ScanRecord>> {
        // What a client made up goes neither to the database nor to the log.
        let Ok(id) = uuid::Uuid::parse_str(id) else {
            return Ok(None);
        };
        Span::current().record("scan_id", tracing::field::display(id));
        self.store().get(&id.to_string()).await
    }

    /// As [`find`](Self::find), and the scan again at its end, which ends the stream.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn follow(
        &self,
        id: &str,
    ) -> anyhow::Result<Option<impl Stream<Item = ScanRecord> + Send + use<>>> {
        let changes = self.store().changes();
        let found = self.find(id).await?;
        Ok(found.map(|now| follow(now, changes, self.store().clone())))
    }

    fn completed(&self, scan: &mut ScanRecord, findings: Vec<Finding>) {
        scan.status = ScanStatus::Completed;
        scan.severities = Severities::of(&findings);
        scan.findings = findings;
        scan.passed = Some(self.shared.policy.passed(&scan.severities));
    }
}

async fn end(store: &Store, scan: &ScanRecord) -> anyhow::Result<()> {
    if !store.end(scan).await? {
        tracing::warn!(
            scan_id = scan.id,
            "another instance has given the scan up for dead; its own end is not recorded"
        );
    }
    Ok(())
}

fn failed(scan: &mut ScanRecord, error: &JobError) {
    scan.status = match error {
        JobError::TimedOut(_) => ScanStatus::TimedOut,
        _ => ScanStatus::Failed,
    };
    scan.error = Some(Failure {
        code: error.code().to_owned(),
        message: error.to_string(),
    });
}

/// Remembers a scan as cancelled if it is dropped before its end.
struct Unfinished {
    scan: Option<ScanRecord>,
    store: Store,
}

impl Unfinished {
    fn defuse(mut self) {
        self.scan = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(mut scan) = self.scan.take() else {
            return;
        };
        scan.status = ScanStatus::Cancelled;
        let store = self.store.clone();
        // Outside a runtime the process is going down, and the next start ends the scan.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = end(&store, &scan).await {
                    tracing::error!(
                        scan_id = scan.id,
                        error = error.as_ref() as &dyn std::error::Error,
                        "cannot record that the scan was cancelled",
                    );
                }
            });
        }
    }
}

/// The types that scans are recorded with.
///
/// # Errors
///
/// If one of them is no value for a label.
pub fn scan_metrics() -> anyhow::Result<ScanMetrics> {
    let scans = ScanMetrics::builder().types(ScanType::ALL.map(ScanType::as_str));
    Ok(scans.build()?)
}
