use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::Span;

use crate::{ActiveScan, Outcome, ScanContext};

/// The scan of a request: what [`HttpScanLayer`](crate::HttpScanLayer) puts into the request's extensions.
///
/// The handler reports how the scan ended, or takes it over to end it later. If it does neither, the layer
/// ends it by the response. Clones are of the same scan; once it has ended, they do nothing.
#[derive(Clone)]
pub struct CurrentScan {
    slot: Arc<Slot>,
}

struct Slot {
    context: ScanContext,
    scan: Mutex<Option<ActiveScan>>,
}

impl CurrentScan {
    pub(crate) fn new(scan: ActiveScan) -> Self {
        Self {
            slot: Arc::new(Slot {
                context: scan.context().clone(),
                scan: Mutex::new(Some(scan)),
            }),
        }
    }

    /// For the code that does the scanning: findings, stages, engines, the scan's id.
    pub fn context(&self) -> &ScanContext {
        &self.slot.context
    }

    /// Sets the scan's id: see [`ScanContext::set_id`].
    pub fn set_id(&self, id: impl Into<String>) {
        self.slot.context.set_id(id);
    }

    /// Ends the scan, now: with a [`ScanReport`](crate::ScanReport), a [`Failure`](crate::Failure) or any
    /// other [`Outcome`]. What becomes of the response then is of no matter.
    ///
    /// Tells whether it was this that ended it: not so if it had ended, or was [detached](Self::detach).
    pub fn report(&self, outcome: impl Into<Outcome>) -> bool {
        let Some(scan) = self.take() else {
            return false;
        };
        scan.end(outcome.into());
        true
    }

    /// Takes the scan over, to end it after the response: for an answer of `202` and work that goes on. The
    /// layer will not end it, and a client that goes away does not cancel it.
    ///
    /// The scan's span is parted from the request's, which it outlives: it is linked to it, and not its
    /// child.
    ///
    /// `None` if the scan has ended, or was taken over before.
    pub fn detach(&self) -> Option<ActiveScan> {
        let mut scan = self.take()?;
        scan.part();
        Some(scan)
    }

    pub(crate) fn take(&self) -> Option<ActiveScan> {
        self.lock().take()
    }

    /// Opens the scan's span within the present one.
    pub(crate) fn open_span(&self) -> Span {
        if let Some(scan) = &mut *self.lock() {
            scan.open_span();
        }
        self.slot.context.span()
    }

    fn lock(&self) -> MutexGuard<'_, Option<ActiveScan>> {
        self.slot
            .scan
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CurrentScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CurrentScan")
            .field(&self.slot.context)
            .finish()
    }
}
