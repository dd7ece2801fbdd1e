//! Who may change a number without the others' waiting for it.

use std::sync::atomic::Ordering;

// The model checker's, where this file is compiled for it.
use crate::sync::{AtomicU64, thread};

/// The thread that a place is of: the first that asked. It alone writes there, and so need not read and write
/// at once, which takes several times as long even where nobody is in the way. The others have another place.
#[derive(Debug)]
pub(super) struct Owner(AtomicU64);

/// Nobody asked yet. No thread's number, as those that follow.
const FREE: u64 = 0;
const CHANGING: u64 = u64::MAX - 2;
const NOBODY: u64 = u64::MAX - 3;

impl Owner {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(FREE))
    }

    /// Whether the place is this thread's.
    #[inline]
    pub(super) fn is_this_thread(&self) -> bool {
        let (owner, this) = (self.0.load(Ordering::Relaxed), thread::known());
        owner == this || (owner == FREE || this == thread::NEW) && self.asks()
    }

    /// The same, without asking for it.
    #[inline]
    pub(super) fn is_known_to_be_this_thread(&self) -> bool {
        self.0.load(Ordering::Relaxed) == thread::known()
    }

    #[cold]
    fn asks(&self) -> bool {
        let Some(this) = thread::number() else {
            return false;
        };
        let (from, to) = (FREE, this);
        let owner = self
            .0
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
        // The number may have been the owner's, who has ended.
        owner.is_ok() || owner == Err(this)
    }

    /// Whether it is nobody's, and will stay so.
    #[inline]
    pub(super) fn is_nobody(&self) -> bool {
        self.0.load(Ordering::Relaxed) == NOBODY
    }

    /// Takes the place from its owner, for ever: what that wrote there counts no more, and what `change` does
    /// does. Nobody sees one without the other by [`read`](Self::read).
    #[cold]
    pub(super) fn dismiss<T>(&self, change: impl FnOnce() -> T) {
        self.0.swap(CHANGING, Ordering::AcqRel);
        change();
        self.0.store(NOBODY, Ordering::Release);
    }

    /// What `both` reads of both places, or `others` of the others' alone once the owner was dismissed.
    pub(super) fn read<T>(&self, both: impl Fn() -> T, others: impl Fn() -> T) -> T {
        loop {
            let owner = self.0.load(Ordering::Acquire);
            if owner == NOBODY {
                return others();
            }
            if owner != CHANGING {
                let read = both();
                if self.0.load(Ordering::Acquire) == owner {
                    return read;
                }
            }
            thread::yield_now();
        }
    }
}
