use std::{
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use metrics::SharedString;
use tower_observe::{Clock, Moment, Spec};

use crate::{
    ActiveScan, KeyUse, QueuedScan, RejectReason, ScanMeta, ScanMetricsBuilder, Ticket,
    books::Books,
    end,
    instruments::{Instruments, Options},
    names,
    recorder::Target,
};

/// Records scans in the `metrics` facade: a cheap handle, to be cloned where scans are asked for, wait and
/// run. One for a process: the gauges are its own count.
///
/// See the [crate's documentation](crate) for what is recorded when.
#[derive(Clone)]
pub struct ScanMetrics {
    pub(crate) core: Arc<Core>,
}

pub(crate) struct Core {
    pub(crate) types: Vec<SharedString>,
    stages: Vec<SharedString>,
    engines: Vec<SharedString>,
    roles: Vec<SharedString>,
    pub(crate) status_names: crate::StatusNames,
    pub(crate) instruments: Instruments,
    pub(crate) target: Target,
    pub(crate) clock: Clock,
    pub(crate) wall: WallClock,
    pub(crate) books: Books,
    /// Held while gauges are set from the books: else the older of two counts could be set last.
    pub(crate) setting: Mutex<()>,
}

/// Where the time of day is read.
#[derive(Clone)]
pub(crate) struct WallClock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl WallClock {
    pub(crate) fn system() -> Self {
        Self::of(SystemTime::now)
    }

    pub(crate) fn of(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl ScanMetrics {
    /// Starts building a handle.
    pub fn builder() -> ScanMetricsBuilder {
        ScanMetricsBuilder::default()
    }

    pub(crate) fn new(
        options: Options,
        instruments: Instruments,
        clock: Clock,
        wall: WallClock,
        target: Target,
    ) -> Self {
        let books = Books::new(options.types.len());
        Self {
            core: Arc::new(Core {
                types: options.types,
                stages: options.stages,
                engines: options.engines,
                roles: options.roles,
                status_names: options.status_names,
                instruments,
                target,
                clock,
                wall,
                books,
                setting: Mutex::new(()),
            }),
        }
    }

    /// What is recorded: names, labels, units, help texts and buckets, for the exporter. Without the
    /// buckets an exporter takes others, or makes a summary, and no query for a quantile works.
    pub fn specs(&self) -> Vec<Spec> {
        self.core.instruments.specs()
    }

    /// Creates every counter and histogram at zero, so that the first failure is seen as a rise, and sets
    /// every gauge.
    ///
    /// To be called once the recorder is installed; calling it again does no harm.
    pub fn register(&self) {
        self.core.instruments.register(&self.core.target);
        self.refresh();
    }

    /// Sets every gauge from this handle's own count.
    ///
    /// Each start and end sets those of its type by itself. The ages of the oldest scans rise in between: have
    /// the exporter call this before it answers a scrape, or call it every few seconds.
    pub fn refresh(&self) {
        self.core.set_all_gauges();
    }

    /// Starts a scan, now. It ends when the value that is returned does.
    ///
    /// Its span is a child of the present one, unless it comes from a queue
    /// ([`enqueued_at`](ScanMeta::enqueued_at)).
    pub fn start(&self, meta: ScanMeta) -> ActiveScan {
        let waited = meta.enqueued_at.map(|since| {
            // What another machine's clock says may lie ahead of ours.
            let now = self.core.wall.now();
            now.duration_since(since).unwrap_or_default()
        });
        ActiveScan::start(self, meta, waited, None)
    }

    /// Starts a scan that waited in a queue that processes share.
    pub fn start_ticket(&self, ticket: Ticket) -> ActiveScan {
        self.start(ticket.into_meta())
    }

    /// Notes that a scan waits from now on.
    pub fn queue(&self, meta: ScanMeta) -> QueuedScan {
        QueuedScan::new(self, meta)
    }

    /// Counts what was asked for and never became a scan.
    ///
    /// | series | |
    /// |---|---|
    /// | `…_scans_started_total{type}` | + 1 |
    /// | `…_scans_rejected_total{type,reason}` | + 1 |
    pub fn reject(&self, scan_type: &str, reason: RejectReason) {
        let row = self.core.row(scan_type);
        self.core.started(row);
        self.core.rejected(row, reason);
    }

    /// Counts scans of which the store says that they run, in a process that is gone: to be called at the
    /// start, for those that this instance owned. Those of other instances are not its to count.
    ///
    /// | series | |
    /// |---|---|
    /// | `…_scans_started_total{type}` | + `scans`: the process that began them took its count along |
    /// | `…_scans_total{type,status="failed"}` | + `scans` |
    /// | `…_scan_failures_total{type,reason="worker_lost"}` | + `scans` |
    /// | `…_scan_duration_seconds{type}` | nothing: nobody knows when they ended |
    pub fn abandoned(&self, scan_type: &str, scans: u64) {
        if scans > 0 {
            end::abandoned(&self.core, scan_type, scans);
        }
    }

    /// As [`abandoned`](Self::abandoned), of one scan of which more is known: its end is logged with its id,
    /// and if `ran` is told, as by a heartbeat, its duration is recorded.
    pub fn abandoned_scan(&self, meta: &ScanMeta, ran: Option<Duration>) {
        end::abandoned_scan(&self.core, meta, ran);
    }

    /// Says what the store of a shared queue says: how many scans of a type wait, and for how long the oldest
    /// of them has. To be called every few seconds; in between, the oldest ages.
    ///
    /// Every instance says the same of the same queue: the maximum of
    /// [`QUEUE_DEPTH`](names::QUEUE_DEPTH) is the depth, not the sum.
    pub fn set_queue(&self, scan_type: &str, depth: u64, oldest: Option<Duration>) {
        let row = self.core.row(scan_type);
        let now = self.core.clock.now();
        self.core.books.stored(row, depth, oldest, now);
        self.core.set_gauges(crate::books::Ledger::Queued, row);
    }

    /// Says when a scan of this type last succeeded, if the store knows it from an earlier process.
    pub fn set_last_success(&self, scan_type: &str, at: SystemTime) {
        let row = self.core.row(scan_type);
        self.core.succeeded(row, at);
    }

    /// Counts what became of an API key. Never the key, a hash of it or its id: who used it is for the log.
    pub fn api_key_use(&self, outcome: KeyUse) {
        self.api_key_use_as(outcome, None);
    }

    /// As [`api_key_use`](Self::api_key_use), with the role of who holds the key, `none` if nobody does.
    /// Recorded if the builder was given [`roles`](ScanMetricsBuilder::roles).
    pub fn api_key_use_as(&self, outcome: KeyUse, role: Option<&str>) {
        let roles = &self.core.roles;
        let role = place(roles, role.unwrap_or(names::NONE));
        let series = &self.core.instruments.api_keys;
        series.add(&self.core.target, outcome.index(), role, 1);
    }

    /// Says whether a probe found an engine working. Recorded if the builder was given
    /// [`engines`](ScanMetricsBuilder::engines).
    pub fn engine_up(&self, engine: &str, up: bool) {
        if let Some(engines) = &self.core.instruments.engines {
            let row = place(&self.core.engines, engine);
            engines
                .up
                .set(&self.core.target, row, f64::from(u8::from(up)));
        }
    }

    /// How many scans run now, in this process.
    pub fn active(&self) -> u64 {
        self.core.books.count(crate::books::Ledger::Active)
    }

    /// How many scans wait now, in this process.
    pub fn queued(&self) -> u64 {
        self.core.books.count(crate::books::Ledger::Queued)
    }
}

/// Where a value stands among those that there are; if it is none of them, the place of the last, `other`.
fn place(values: &[SharedString], value: &str) -> usize {
    let place = values.iter().position(|known| known.as_ref() == value);
    place.unwrap_or_else(|| values.len().saturating_sub(1))
}

impl Core {
    pub(crate) fn row(&self, scan_type: &str) -> usize {
        place(&self.types, scan_type)
    }

    pub(crate) fn type_name(&self, row: usize) -> &str {
        self.types.get(row).map_or(names::OTHER, AsRef::as_ref)
    }

    pub(crate) fn stage(&self, stage: &str) -> usize {
        place(&self.stages, stage)
    }

    pub(crate) fn engine(&self, engine: &str) -> usize {
        place(&self.engines, engine)
    }

    pub(crate) fn started(&self, row: usize) {
        self.instruments.started.add(&self.target, row, 0, 1);
    }

    pub(crate) fn rejected(&self, row: usize, reason: RejectReason) {
        let series = &self.instruments.rejected;
        series.add(&self.target, row, reason.index(), 1);
    }

    pub(crate) fn since(&self, started: Moment) -> Duration {
        self.clock.now().saturating_duration_since(started)
    }
}

impl fmt::Debug for ScanMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanMetrics")
            .field("types", &self.core.types)
            .field("active", &self.active())
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}
