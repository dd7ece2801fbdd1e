use std::{
    cell::RefCell,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tracing::Span;

use crate::{
    EngineRun, EngineStatus, ScanMeta, ScanReport, Scope, Severity, Stage, Verdict, books::Entry,
    metrics::Core,
};

/// A running scan, for the code that does the scanning: it can add to the scan, and not end it.
///
/// Clones are of the same scan. After the scan's end they do nothing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_scan_lifecycle::BuildError> {
/// use tower_scan_lifecycle::{ScanContext, ScanMeta, ScanMetrics, ScanReport, Severity};
///
/// async fn look_into(path: &str) {
///     // Wherever the scan's code is, however deep.
///     if let (Some(scan), "secrets.env") = (ScanContext::current(), path) {
///         scan.finding(Severity::High);
///     }
/// }
///
/// let scans = ScanMetrics::builder().types(["model"]).build()?;
/// let scan = scans.start(ScanMeta::new("model"));
/// scan.scope(look_into("secrets.env")).await;
/// assert_eq!(scan.context().found().count(Severity::High), 1);
/// scan.complete(ScanReport::new());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ScanContext {
    running: Arc<Running>,
}

/// What belongs to one run of a scan.
pub(crate) struct Running {
    pub(crate) core: Arc<Core>,
    pub(crate) meta: ScanMeta,
    /// Known at the start, or later.
    id: OnceLock<Box<str>>,
    pub(crate) row: usize,
    pub(crate) entry: Entry,
    pub(crate) waited: Option<Duration>,
    span: Mutex<Span>,
    /// What was found so far; nothing once the scan has ended.
    found: Mutex<Option<ScanReport>>,
    driven: AtomicU8,
}

/// Whether the scan's code is seen to run: still inside when its scan is dropped, it did not return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driven {
    Never,
    Inside,
    Outside,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Running>>> = const { RefCell::new(None) };
}

impl ScanContext {
    pub(crate) fn new(
        core: Arc<Core>,
        mut meta: ScanMeta,
        row: usize,
        entry: Entry,
        waited: Option<Duration>,
    ) -> Self {
        let id = meta.id.take().map_or_else(OnceLock::new, OnceLock::from);
        Self {
            running: Arc::new(Running {
                core,
                meta,
                id,
                row,
                entry,
                waited,
                span: Mutex::new(Span::none()),
                found: Mutex::new(Some(ScanReport::new())),
                driven: AtomicU8::new(Driven::Never as u8),
            }),
        }
    }

    /// The scan that runs here: in the scope of an [`ActiveScan`](crate::ActiveScan), behind a
    /// [`ScanLayer`](crate::ScanLayer) or an `HttpScanLayer`. Another task, or a blocking thread, is not
    /// "here", until it has the context's [`scope`](Self::scope) or [`in_scope`](Self::in_scope).
    pub fn current() -> Option<Self> {
        let current = CURRENT.try_with(|current| current.try_borrow().ok()?.clone());
        let running = current.ok().flatten()?;
        Some(Self { running })
    }

    /// Runs `future` in the scan's span, and as its [`current`](Self::current): for a task of its own.
    pub fn scope<F>(&self, future: F) -> Scope<'static, F> {
        Scope::new(future, self.clone(), None)
    }

    /// Runs `piece` in the scan's span, and as its [`current`](Self::current): for a blocking thread.
    pub fn in_scope<R>(&self, piece: impl FnOnce() -> R) -> R {
        let span = self.span();
        self.within(&span, piece)
    }

    pub(crate) fn within<R>(&self, span: &Span, piece: impl FnOnce() -> R) -> R {
        let _here = Here::enter(Arc::clone(&self.running));
        span.in_scope(piece)
    }

    /// Adds a finding. Findings count when the scan completes, in whatever way it was told of them.
    pub fn finding(&self, severity: Severity) {
        self.findings(severity, 1);
    }

    /// Adds `count` findings of one severity.
    pub fn findings(&self, severity: Severity, count: u64) {
        self.change(|found| found.add(severity, count));
    }

    /// Sets the policy's verdict.
    pub fn verdict(&self, verdict: Verdict) {
        self.change(|found| found.set_verdict(verdict));
    }

    /// Says that what is scanned differs from its baseline.
    pub fn drift(&self) {
        self.change(ScanReport::set_drift);
    }

    /// What was found so far; nothing after the end.
    pub fn found(&self) -> ScanReport {
        self.running.found().unwrap_or_default()
    }

    /// Says how far the scan is, in percent: an event in its span, `scan progress`, at DEBUG. No series: one
    /// for each scan would have no bound.
    pub fn progress(&self, percent: u8) {
        self.in_scope(|| {
            tracing::debug!(target: "scan", scan_progress_percent = percent, "scan progress");
        });
    }

    /// Measures a part of the scan: from now until the value that is returned is dropped.
    pub fn stage(&self, stage: &str) -> Stage {
        Stage::new(self.clone(), stage)
    }

    /// Follows the run of one engine within the scan. Dropped without a word it has failed.
    pub fn engine(&self, engine: &str) -> EngineRun {
        EngineRun::new(self.clone(), engine)
    }

    /// Says how the run of one engine ended.
    pub fn engine_ended(&self, engine: &str, status: EngineStatus) {
        self.engine(engine).end(status);
    }

    /// Sets the scan's id, if it was not known at the start. The first that is set stays.
    pub fn set_id(&self, id: impl Into<String>) {
        let id: String = id.into();
        if self.running.id.set(id.into_boxed_str()).is_ok() {
            self.span().record("scan_id", self.id());
        }
    }

    /// The scan's id.
    pub fn id(&self) -> Option<&str> {
        self.running.id.get().map(AsRef::as_ref)
    }

    /// The scan's type, as it is recorded.
    pub fn scan_type(&self) -> &str {
        self.running.core.type_name(self.running.row)
    }

    /// Which attempt it is, from 1.
    pub fn attempt(&self) -> u32 {
        self.running.meta.attempt
    }

    /// For how long the scan has run.
    pub fn elapsed(&self) -> Duration {
        self.running.core.since(self.running.entry.since)
    }

    /// How much of the scan's [deadline](ScanMeta::deadline) is left; none without one.
    pub fn remaining(&self) -> Option<Duration> {
        let deadline = self.running.meta.deadline?;
        Some(deadline.saturating_sub(self.elapsed()))
    }

    /// Whether the scan has ended.
    pub fn has_ended(&self) -> bool {
        self.running.found().is_none()
    }

    /// The scan's span.
    pub fn span(&self) -> Span {
        let span = self.running.span.lock();
        span.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_span(&self, span: Span) {
        let mut place = self
            .running
            .span
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *place, span);
        drop(place);
        // A subscriber may be told that it is closed: not under the lock.
        drop(before);
    }

    pub(crate) fn running(&self) -> &Running {
        &self.running
    }

    fn change(&self, change: impl FnOnce(&mut ScanReport)) {
        if let Some(found) = &mut *self.running.found_mut() {
            change(found);
        }
    }
}

impl Running {
    fn found_mut(&self) -> MutexGuard<'_, Option<ScanReport>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn found(&self) -> Option<ScanReport> {
        *self.found_mut()
    }

    /// Ends the scan for everybody: what was found, the first time.
    pub(crate) fn take_found(&self) -> Option<ScanReport> {
        self.found_mut().take()
    }

    pub(crate) fn id(&self) -> Option<&str> {
        self.id.get().map(AsRef::as_ref)
    }

    pub(crate) fn driven(&self) -> Driven {
        match self.driven.load(Ordering::Relaxed) {
            state if state == Driven::Inside as u8 => Driven::Inside,
            state if state == Driven::Outside as u8 => Driven::Outside,
            _ => Driven::Never,
        }
    }

    /// Runs the scan's code, knowing that it may not return.
    pub(crate) fn drive<R>(&self, piece: impl FnOnce() -> R) -> R {
        let before = self.driven.swap(Driven::Inside as u8, Ordering::Relaxed);
        let result = piece();
        let after = if before == Driven::Inside as u8 {
            Driven::Inside
        } else {
            Driven::Outside
        };
        self.driven.store(after as u8, Ordering::Relaxed);
        result
    }
}

/// While it lives, this thread works for a scan.
struct Here(Option<Arc<Running>>);

impl Here {
    fn enter(running: Arc<Running>) -> Self {
        Self(Self::replace(Some(running)))
    }

    fn replace(current: Option<Arc<Running>>) -> Option<Arc<Running>> {
        let replace = |place: &RefCell<Option<Arc<Running>>>| {
            let mut place = place.try_borrow_mut().ok()?;
            std::mem::replace(&mut *place, current)
        };
        // A thread whose locals are gone already is on its way out.
        CURRENT.try_with(replace).ok().flatten()
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        let left = Self::replace(self.0.take());
        drop(left);
    }
}

impl fmt::Debug for ScanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanContext")
            .field("type", &self.scan_type())
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
