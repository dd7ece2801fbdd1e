//! What a model checker checks is compiled with its own of these.

use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};

/// Numbers the threads that ever got here, from 0.
pub(crate) fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
    }
    // A thread whose locals are gone already is on its way out.
    let number = NUMBER.try_with(|number| {
        number.get().unwrap_or_else(|| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            number.set(Some(next));
            next
        })
    });
    number.unwrap_or_default()
}
