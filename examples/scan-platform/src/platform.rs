//! What every way of asking for a scan shares: resolve the path, run the scanner, judge, remember.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use futures_util::Stream;
use tokio::sync::watch;
use tower_scan_lifecycle::{RejectReason, ScanMeta, ScanMetrics};
use tracing::Span;

use crate::{
    assess::Assessor,
    auth::{Gate, Role},
    ending::{Unfinished, completed, end, failed},
    follow::follow,
    record::{ScanRecord, ScanStatus},
    scan::{Engine, Limits, Policy, ScanRoot, ScanType, Target, TargetError},
    scanner::{Job, Scanners, Watch},
    store::Store,
};

/// The scan platform, without any way in.
#[derive(Clone)]
pub struct Platform {
    shared: Arc<Shared>,
}

struct Shared {
    root: Arc<ScanRoot>,
    scans: ScanMetrics,
    scanners: Scanners,
    store: Store,
    gate: Gate,
    max_queued: u32,
}

/// How a platform is to be set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// When findings block.
    pub policy: Policy,
    /// Whether requests need an API key.
    pub require_api_key: bool,
    /// How many scans may wait at once.
    pub max_queued: u32,
}

impl Default for Setup {
    /// The default policy, no keys, and 1,000 scans that may wait.
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            require_api_key: false,
            max_queued: 1_000,
        }
    }
}

/// Why what a client asks for is not scanned.
#[derive(Debug)]
pub enum AskError {
    /// The path it gave is not one to be scanned.
    Target(TargetError),
    /// As many scans wait as may.
    QueueFull,
    /// The platform itself failed.
    Platform(anyhow::Error),
}

impl From<AskError> for anyhow::Error {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Target(error) => Self::new(error),
            AskError::QueueFull => Self::msg("too many scans wait already"),
            AskError::Platform(error) => error,
        }
    }
}

impl Platform {
    /// A platform that scans below `root`. Scans that have waited stop, and wait again, once `stop` says
    /// so.
    ///
    /// # Errors
    ///
    /// If `root` is no directory that can be read.
    pub fn new(
        root: &PathBuf,
        setup: &Setup,
        scans: &ScanMetrics,
        store: Store,
        stop: &watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let root = ScanRoot::open(root)
            .with_context(|| format!("cannot open the scan root {root:?}: give a directory"))?;
        let assessor = Assessor::new(setup.policy, store.clone());
        Ok(Self {
            shared: Arc::new(Shared {
                root: Arc::new(root),
                scanners: Scanners::new(scans, Limits::default(), assessor, stop),
                scans: scans.clone(),
                gate: Gate::new(setup.require_api_key, scans.clone(), store.clone()),
                store,
                max_queued: setup.max_queued,
            }),
        })
    }

    /// A platform for one process's own use: nothing but a policy.
    ///
    /// # Errors
    ///
    /// See [`new`](Self::new).
    pub fn by_itself(
        root: &PathBuf,
        policy: Policy,
        scans: &ScanMetrics,
        store: Store,
    ) -> anyhow::Result<Self> {
        let setup = Setup {
            policy,
            ..Setup::default()
        };
        let (_, never) = watch::channel(false);
        Self::new(root, &setup, scans, store, &never)
    }

    /// Who asks for the API keys of requests.
    pub fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    /// What records scans.
    pub fn scan_metrics(&self) -> &ScanMetrics {
        &self.shared.scans
    }

    /// What runs scans.
    pub(crate) fn scanners(&self) -> &Scanners {
        &self.shared.scanners
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
        let mut unfinished = Unfinished::new(&scan, store);
        let job = Job {
            id: scan.id.clone(),
            scan_type: scan.scan_type,
            target,
            watch,
            ticket: None,
        };
        let turn = self.shared.scanners.turn().await;
        match self.shared.scanners.run(turn, job).await {
            Ok(assessed) => completed(&mut scan, assessed),
            Err(error) => failed(&mut scan, &error),
        }
        unfinished.ends(&scan);
        self.record_end(&scan).await?;
        unfinished.defuse();
        Ok(scan)
    }

    /// Remembers how a scan ended, and its target's first baseline.
    ///
    /// # Errors
    ///
    /// If the database does not take it.
    pub(crate) async fn record_end(&self, scan: &ScanRecord) -> anyhow::Result<()> {
        let store = &self.shared.store;
        end(store, scan)
            .await
            .context("cannot record the end of the scan")?;
        if scan.status == ScanStatus::Completed && scan.drift.is_none() {
            // The first of its target: what it found is what is known of it.
            if let Err(error) = store.set_baseline(scan, false).await {
                let error = error.as_ref() as &dyn std::error::Error;
                tracing::error!(
                    scan_id = scan.id,
                    error,
                    "cannot record the target's baseline"
                );
            }
        }
        Ok(())
    }

    /// Lets a scan wait for its turn, and gives it back at once.
    ///
    /// # Errors
    ///
    /// See [`target`](Self::target), and if too many wait or the database does not take it.
    pub async fn enqueue_path(
        &self,
        scan_type: ScanType,
        path: String,
    ) -> Result<ScanRecord, AskError> {
        // What is wrong with the path the client is to hear now.
        let target = self.ask_target(scan_type, path).await?;
        let scan = ScanRecord::queued(scan_type, target.display_path());
        Span::current().record("scan_id", scan.id.as_str());
        let Shared {
            scans,
            store,
            max_queued,
            ..
        } = &*self.shared;
        let queued = scans.queue(ScanMeta::new(scan_type.as_str()).id(&scan.id));
        let written = async {
            let ticket = serde_json::to_string(&queued.ticket())?;
            store.enqueue(&scan, &ticket, *max_queued).await
        };
        let written = written.await.context("cannot record that the scan waits");
        match written.map_err(AskError::Platform)? {
            true => {
                // From here on it is the store's.
                drop(queued.into_ticket());
                Ok(scan)
            }
            false => {
                queued.reject(RejectReason::QueueFull);
                Err(AskError::QueueFull)
            }
        }
    }

    /// Opens what a client asks to be scanned; what it may not ask for is counted.
    async fn ask_target(&self, scan_type: ScanType, path: String) -> Result<Target, AskError> {
        let target = self.target(path).await;
        target.map_err(|error| {
            let reason = match &error {
                TargetError::OutsideRoot { .. } => Some(RejectReason::Forbidden),
                TargetError::Io { .. } => None,
                _ => Some(RejectReason::Invalid),
            };
            if let Some(reason) = reason {
                self.shared.scans.reject(scan_type.as_str(), reason);
            }
            AskError::Target(error)
        })
    }

    /// Makes what a scan found its target's baseline. Gives the scan, or nothing if there is none or it
    /// has not completed.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn approve(&self, id: &str) -> anyhow::Result<Approval> {
        let Some(scan) = self.find(id).await? else {
            return Ok(Approval::Absent);
        };
        if scan.status != ScanStatus::Completed {
            return Ok(Approval::NotCompleted(scan.status));
        }
        self.store().set_baseline(&scan, true).await?;
        Ok(Approval::Approved(Box::new(scan)))
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
        let target = self.ask_target(scan_type, path).await?;
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
}

/// What became of a baseline.
#[derive(Debug)]
pub enum Approval {
    /// The scan's findings are its target's baseline now.
    Approved(Box<ScanRecord>),
    /// The scan has no findings yet, or never will.
    NotCompleted(ScanStatus),
    /// There is no such scan.
    Absent,
}

/// What scans are recorded with.
///
/// # Errors
///
/// If a type or an engine is no value for a label.
pub fn scan_metrics() -> anyhow::Result<ScanMetrics> {
    let scans = ScanMetrics::builder()
        .types(ScanType::ALL.map(ScanType::as_str))
        .engines(Engine::ALL.map(Engine::as_str))
        .roles(Role::ALL.map(Role::as_str));
    Ok(scans.build()?)
}
