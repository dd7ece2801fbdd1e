use std::{fmt, sync::Arc, thread, time::Duration};

use tracing::{Id, Span};

use crate::{
    EngineRun, Failure, FailureReason, Outcome, RejectReason, ScanContext, ScanMeta, ScanMetrics,
    ScanReport, Scope, Severity, Stage, Ticket,
    books::Ledger,
    context::Driven,
    end,
    span::{self, Place},
};

/// A scan that runs. It ends exactly once: by one of the methods that consume it, else when dropped.
///
/// | how | ends as |
/// |---|---|
/// | [`complete`](Self::complete), [`fail`](Self::fail), [`cancel`](Self::cancel), [`retry`](Self::retry), [`reject`](Self::reject), [`end`](Self::end) | what they say |
/// | dropped | cancelled |
/// | dropped at its [deadline](ScanMeta::deadline) or later | timed out |
/// | dropped because its code, in its [scope](Self::scope) or behind a [`ScanLayer`](crate::ScanLayer), panicked, whether or not something caught that | failed, `panic` |
/// | never in a scope, dropped while its thread unwinds | failed, `panic` |
///
/// `std::mem::forget` leaves it active for ever, and where the process is killed nothing is recorded at all:
/// see [`abandoned`](ScanMetrics::abandoned).
#[must_use = "a scan that is dropped is cancelled"]
pub struct ActiveScan {
    context: ScanContext,
    span: Span,
}

impl ActiveScan {
    pub(crate) fn start(
        scans: &ScanMetrics,
        meta: ScanMeta,
        waited: Option<Duration>,
        asked_in: Option<Id>,
    ) -> Self {
        let mut scan = Self::begun(scans, meta, waited);
        let place = match waited {
            Some(_) => Place::Linked(asked_in),
            None => Place::Child,
        };
        scan.open(place);
        if let Some(waited) = waited {
            let (core, row) = (&scans.core, scan.context.running().row);
            let series = &core.instruments.queue_duration;
            let seconds = waited.as_secs_f64();
            // Within the span: its exemplar is of the scan's trace.
            scan.span
                .in_scope(|| series.record(&core.target, row, 0, seconds));
        }
        scan
    }

    /// Starts a scan whose span is yet to be [opened](Self::open_span).
    #[cfg(feature = "http")]
    pub(crate) fn begin(scans: &ScanMetrics, meta: ScanMeta) -> Self {
        Self::begun(scans, meta, None)
    }

    fn begun(scans: &ScanMetrics, meta: ScanMeta, waited: Option<Duration>) -> Self {
        let core = &scans.core;
        let row = core.row(&meta.scan_type);
        let entry = core.books.open(Ledger::Active, row, core.clock.now());
        core.started(row);
        core.set_gauges(Ledger::Active, row);
        Self {
            context: ScanContext::new(Arc::clone(core), meta, row, entry, waited),
            span: Span::none(),
        }
    }

    fn open(&mut self, place: Place) {
        self.span = span::open(self.context.running(), place);
        self.context.set_span(self.span.clone());
    }

    /// Opens the span, within the present one.
    #[cfg(feature = "http")]
    pub(crate) fn open_span(&mut self) {
        self.open(Place::Child);
    }

    /// For the code that does the scanning.
    pub const fn context(&self) -> &ScanContext {
        &self.context
    }

    /// The scan's span.
    pub const fn span(&self) -> &Span {
        &self.span
    }

    /// The scan's id.
    pub fn id(&self) -> Option<&str> {
        self.context.id()
    }

    /// Runs `future`, the scan's code, in its span and as the [current](ScanContext::current) scan, knowing
    /// that it may panic.
    pub fn scope<F>(&self, future: F) -> Scope<'_, F> {
        Scope::new(future, self.context.clone(), Some(self))
    }

    /// The same for code that is no future: on a blocking thread, say.
    pub fn in_scope<R>(&self, piece: impl FnOnce() -> R) -> R {
        let running = self.context.running();
        running.drive(|| self.context.within(&self.span, piece))
    }

    /// Adds a finding: see [`ScanContext::finding`].
    pub fn finding(&self, severity: Severity) {
        self.context.finding(severity);
    }

    /// Measures a part of the scan: see [`ScanContext::stage`].
    pub fn stage(&self, stage: &str) -> Stage {
        self.context.stage(stage)
    }

    /// Follows the run of one engine: see [`ScanContext::engine`].
    pub fn engine(&self, engine: &str) -> EngineRun {
        self.context.engine(engine)
    }

    /// Ends the scan: it ran to its end. To the report is added what was found through its
    /// [context](Self::context): tell of each finding in one of both ways.
    pub fn complete(self, report: impl Into<ScanReport>) {
        self.end(Outcome::Completed(report.into()));
    }

    /// Ends the scan: it did not complete.
    pub fn fail(self, failure: impl Into<Failure>) {
        self.end(Outcome::Failed(failure.into()));
    }

    /// Ends the scan: its deadline passed.
    pub fn time_out(self) {
        self.end(Outcome::TimedOut);
    }

    /// Ends the scan: it was told to stop.
    pub fn cancel(self) {
        self.end(Outcome::Cancelled);
    }

    /// Ends this attempt, to be tried again by whoever gets the ticket. The scan itself has not ended.
    pub fn retry(self) -> Ticket {
        let running = self.context.running();
        let now = running.core.wall.now();
        let next = running.meta.attempt.saturating_add(1);
        let ticket = Ticket::of(&running.meta, running.id(), now).with_attempt(next);
        self.end(Outcome::Retry);
        ticket
    }

    /// Ends what turned out to be no scan.
    pub fn reject(self, reason: RejectReason) {
        self.end(Outcome::Rejected(reason));
    }

    /// Ends the scan.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "one end, one outcome: neither is used again"
    )]
    pub fn end(self, outcome: Outcome) {
        end::end(self.context.running(), &self.span, &outcome);
    }

    /// How a scan ends of which nobody said more.
    pub(crate) fn unfinished(&self) -> Outcome {
        if self.context.remaining() == Some(Duration::ZERO) {
            Outcome::TimedOut
        } else {
            Outcome::Cancelled
        }
    }

    /// Parts the scan from what asked for it: it will go on longer than that, which a child must not.
    #[cfg(feature = "http")]
    pub(crate) fn part(&mut self) {
        let asked_in = self.span.id();
        self.open(Place::Linked(asked_in));
    }
}

impl Drop for ActiveScan {
    fn drop(&mut self) {
        let running = self.context.running();
        if running.found().is_none() {
            return;
        }
        let panicked = match running.driven() {
            Driven::Inside => true,
            // Whoever held it is unwinding.
            Driven::Never => thread::panicking(),
            Driven::Outside => false,
        };
        let outcome = if panicked {
            Outcome::Failed(Failure::new(FailureReason::Panic).message("the scan panicked"))
        } else {
            self.unfinished()
        };
        end::end(running, &self.span, &outcome);
    }
}

impl fmt::Debug for ActiveScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveScan")
            .field("type", &self.context.scan_type())
            .field("id", &self.context.id())
            .finish_non_exhaustive()
    }
}
