//! Files of the crates, compiled with loom's atomics in place of the standard library's, and run in every
//! interleaving of their threads.
//!
//! What the standard library synchronises (`OnceLock`) the checker does not see, and so does not check.

#![cfg(test)]

mod recorder;
mod sink;

/// As in tower-metrics-exporter.
mod sync {
    use std::cell::Cell;

    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};

    loom::thread_local! {
        static NUMBER: Cell<usize> = Cell::new(0);
    }

    /// The checker's threads are all of one thread of the system's.
    pub(crate) fn thread_number() -> usize {
        NUMBER.with(Cell::get)
    }

    pub(crate) fn number_thread(number: usize) {
        NUMBER.with(|own| own.set(number));
    }
}
