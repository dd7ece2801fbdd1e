//! Whether a series is in its family, and whether it is used.

use std::sync::atomic::Ordering;

// The model checker's, where this file is compiled for it.
use crate::sync::{AtomicU8, AtomicU64};

/// Used since somebody looked, or not looked at yet.
const USED: u8 = 0;
const IDLE: u8 = 1;
/// Not in its family: expired or removed. A handle that is used again puts it back.
const GONE: u8 = 2;

/// The state of a series. Whoever holds the lock of its family takes it out and puts it back; whoever has a
/// handle uses it without.
#[derive(Debug)]
pub(super) struct Life {
    state: AtomicU8,
    /// When it was first found unused, in nanoseconds of the registry's time.
    idle_since: AtomicU64,
}

impl Life {
    /// Of a series that is about to be put into its family.
    pub(super) fn new() -> Self {
        Self {
            state: AtomicU8::new(USED),
            idle_since: AtomicU64::new(0),
        }
    }

    /// After every change of the value, so that what expires meanwhile comes back with it. Tells whether it
    /// is gone, and must be put back.
    #[inline]
    pub(super) fn touch(&self) -> bool {
        self.state.load(Ordering::Relaxed) != USED && self.used_again()
    }

    #[cold]
    fn used_again(&self) -> bool {
        let (from, to) = (IDLE, USED);
        let was_there = self
            .state
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
        was_there == Err(GONE)
    }

    // Both after whatever a handle has just made of the state, which a mere store need not be to the checker.

    /// It is put back. Under the family's lock.
    pub(super) fn come_back(&self) {
        self.state.swap(USED, Ordering::Relaxed);
    }

    /// It is taken out. Under the family's lock.
    pub(super) fn leave(&self) {
        self.state.swap(GONE, Ordering::Relaxed);
    }

    /// Whether it was unused for `ttl`, and is gone now. Called every so often, under the family's lock.
    pub(super) fn expire(&self, now: u64, ttl: u64) -> bool {
        let change = |from, to| {
            self.state
                .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
        };
        match change(USED, IDLE) {
            Ok(_) => {
                self.idle_since.store(now, Ordering::Relaxed);
                false
            }
            Err(IDLE) => {
                let idle = now.saturating_sub(self.idle_since.load(Ordering::Relaxed));
                // Not if it is used in between.
                idle >= ttl && change(IDLE, GONE).is_ok()
            }
            Err(_) => false,
        }
    }
}
