use std::{fmt, time::SystemTime};

use tracing::{Id, Span};

use crate::{
    ActiveScan, RejectReason, ScanMeta, ScanMetrics, Ticket,
    books::{Entry, Ledger},
};

/// A scan that waits in this process. It leaves the queue by [`start`](Self::start),
/// [`into_ticket`](Self::into_ticket) or [`reject`](Self::reject); dropped, it is rejected as `dropped`.
///
/// One that is not to start before some time is to be queued then: the wait is counted from here on.
#[must_use = "a queued scan that is dropped is rejected"]
pub struct QueuedScan {
    meta: ScanMeta,
    at: SystemTime,
    /// The span that asked. It is not held open.
    asked_in: Option<Id>,
    place: Place,
}

/// A place in the queue. Dropped with its scan still in it, the scan is rejected.
struct Place {
    scans: ScanMetrics,
    row: usize,
    entry: Entry,
    taken: bool,
}

impl QueuedScan {
    pub(crate) fn new(scans: &ScanMetrics, meta: ScanMeta) -> Self {
        let core = &scans.core;
        let row = core.row(&meta.scan_type);
        let entry = core.books.open(Ledger::Queued, row, core.clock.now());
        core.set_gauges(Ledger::Queued, row);
        Self {
            meta,
            at: core.wall.now(),
            asked_in: Span::current().id(),
            place: Place {
                scans: scans.clone(),
                row,
                entry,
                taken: true,
            },
        }
    }

    /// Starts the scan, in this process. Its wait is recorded, by the monotonic clock. Its span has no
    /// parent; the span that asked for it is linked, if it is still open.
    pub fn start(self) -> ActiveScan {
        let Self {
            meta,
            asked_in,
            mut place,
            ..
        } = self;
        place.leave();
        let waited = place.scans.core.since(place.entry.since);
        ActiveScan::start(&place.scans, meta, Some(waited), asked_in)
    }

    /// The ticket to be sent through a queue that processes share, while the scan keeps its place here: for a
    /// sending that may fail.
    pub fn ticket(&self) -> Ticket {
        Ticket::of(&self.meta, self.id(), self.at)
    }

    /// Hands the scan over to a queue that processes share. It no longer waits in this process; what the
    /// queue holds is for its store to say ([`set_queue`](ScanMetrics::set_queue)).
    pub fn into_ticket(mut self) -> Ticket {
        self.place.leave();
        self.ticket()
    }

    /// Ends the wait: it does not become a scan. It counts as started and as rejected.
    pub fn reject(mut self, reason: RejectReason) {
        self.place.reject(reason);
    }

    /// The scan's id.
    pub fn id(&self) -> Option<&str> {
        self.meta.id.as_deref()
    }

    /// What is known of the scan.
    pub const fn meta(&self) -> &ScanMeta {
        &self.meta
    }
}

impl Place {
    fn leave(&mut self) {
        if std::mem::take(&mut self.taken) {
            let core = &self.scans.core;
            core.books.close(Ledger::Queued, self.row, self.entry);
            core.set_gauges(Ledger::Queued, self.row);
        }
    }

    fn reject(&mut self, reason: RejectReason) {
        if self.taken {
            self.leave();
            self.scans.core.started(self.row);
            self.scans.core.rejected(self.row, reason);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.reject(RejectReason::Dropped);
    }
}

impl fmt::Debug for QueuedScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedScan")
            .field("meta", &self.meta)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
