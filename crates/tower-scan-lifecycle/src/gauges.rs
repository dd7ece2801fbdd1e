//! Sets the gauges from the books.

use std::{
    cell::Cell,
    sync::PoisonError,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    books::{Ledger, Standing},
    metrics::Core,
};

thread_local! {
    static SETTING: Cell<bool> = const { Cell::new(false) };
}

/// Notes that this thread sets gauges: a recorder that starts a scan of its own meanwhile must not wait for
/// the lock that it holds itself.
struct Setting;

impl Setting {
    fn begin() -> Option<Self> {
        // Not made where it is nested, even for a moment: its drop would say that the outer one is done.
        match SETTING.try_with(|setting| setting.replace(true)) {
            Ok(false) => Some(Self),
            _ => None,
        }
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        // A thread whose locals are gone already is on its way out.
        let _ = SETTING.try_with(|setting| setting.set(false));
    }
}

impl Core {
    /// Sets what one type's scans change.
    pub(crate) fn set_gauges(&self, ledger: Ledger, row: usize) {
        self.setting(|core| core.set(ledger, row));
    }

    pub(crate) fn set_all_gauges(&self) {
        self.setting(|core| {
            for row in 0..core.types.len() {
                core.set(Ledger::Active, row);
                core.set(Ledger::Queued, row);
                core.set_last_success(row);
            }
        });
    }

    /// Notes the time of a success.
    pub(crate) fn succeeded(&self, row: usize, at: SystemTime) {
        self.books.succeeded(row, at);
        self.setting(|core| core.set_last_success(row));
    }

    /// One thread at a time, so that what is set last is the newest. Within itself it does nothing: what is
    /// left out then is set at the next change, or the next refresh.
    fn setting(&self, set: impl FnOnce(&Self)) {
        let Some(_setting) = Setting::begin() else {
            return;
        };
        let _turn = self.setting.lock().unwrap_or_else(PoisonError::into_inner);
        set(self);
    }

    fn set(&self, ledger: Ledger, row: usize) {
        let Standing {
            count,
            of_all_types,
            oldest,
            stored,
        } = self.books.standing(ledger, row, self.clock.now());
        let (scans, ages) = match ledger {
            Ledger::Active => (&self.instruments.active, &self.instruments.oldest_active),
            Ledger::Queued => (&self.instruments.queued, &self.instruments.oldest_queued),
        };
        let shown = if self.instruments.type_on_gauges {
            count
        } else {
            of_all_types
        };
        scans.set(&self.target, row, float(shown));
        ages.set(&self.target, row, oldest.as_secs_f64());
        if let Some(depth) = stored {
            let series = &self.instruments.queue_depth;
            series.set(&self.target, row, float(depth));
        }
    }

    fn set_last_success(&self, row: usize) {
        let at = self.books.last_success(row);
        let since = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let series = &self.instruments.last_success;
        series.set(&self.target, row, since.unwrap_or_default().as_secs_f64());
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 scans at once")]
const fn float(count: u64) -> f64 {
    count as f64
}
