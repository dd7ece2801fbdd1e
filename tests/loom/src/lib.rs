//! Files of the crates, compiled with loom's atomics in place of the standard library's, and run in every
//! interleaving of their threads.
//!
//! What the standard library synchronises (`OnceLock`) the checker does not see, and so does not check.

#![cfg(test)]

mod recorder;
mod sink;

/// As in tower-metrics-exporter.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};

    pub(crate) mod thread {
        use std::cell::Cell;

        pub(crate) use loom::thread::yield_now;

        pub(crate) const NEW: u64 = u64::MAX - 1;
        const NONE: u64 = u64::MAX;

        // The checker's threads are all of one thread of the system's.
        loom::thread_local! {
            static NUMBER: Cell<u64> = Cell::new(NONE);
        }

        pub(crate) fn known() -> u64 {
            NUMBER.with(Cell::get)
        }

        pub(crate) fn number() -> Option<u64> {
            Some(known()).filter(|number| *number != NONE)
        }

        /// The number of this thread, which has none by itself.
        pub(crate) fn set_number(number: u64) {
            NUMBER.with(|own| own.set(number));
        }
    }
}
