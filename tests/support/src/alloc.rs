//! A global allocator that counts, for tests that show what a request allocates.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    // Without a destructor, so that it can be reached while a thread ends.
    static COUNTED: Cell<Allocations> = const { Cell::new(Allocations { allocations: 0, bytes: 0 }) };
}

/// What a piece of code allocated, on the thread that ran it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocations {
    /// How many times memory was asked for, growth of what was there included.
    pub allocations: u64,
    /// How many bytes were asked for.
    pub bytes: u64,
}

impl Allocations {
    /// What was allocated after `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            allocations: self.allocations - earlier.allocations,
            bytes: self.bytes - earlier.bytes,
        }
    }
}

/// The system's allocator, counted by thread. A test binary installs it:
///
/// ```
/// use test_support::alloc::{CountingAllocator, count};
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator;
///
/// assert_eq!(count(|| drop(Box::new(1_u64))).allocations, 1);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator;

impl CountingAllocator {
    fn add(bytes: usize) {
        // At the very end of a thread nobody counts any more.
        let _ = COUNTED.try_with(|counted| {
            let Allocations {
                allocations,
                bytes: so_far,
            } = counted.get();
            counted.set(Allocations {
                allocations: allocations + 1,
                bytes: so_far + bytes as u64,
            });
        });
    }
}

// SAFETY: every method hands its arguments, unchanged, to the system's allocator, whose contract is the
// caller's; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::add(layout.size());
        // SAFETY: see above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::add(layout.size());
        // SAFETY: see above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        Self::add(new_size);
        // SAFETY: see above.
        unsafe { System.realloc(memory, layout, new_size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: see above.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// What this thread has allocated since it began. Always nothing without a [`CountingAllocator`].
pub fn so_far() -> Allocations {
    COUNTED.with(Cell::get)
}

/// What `work` allocates on this thread.
pub fn count<R>(work: impl FnOnce() -> R) -> Allocations {
    let before = so_far();
    let result = work();
    let counted = so_far().since(before);
    drop(result);
    counted
}

/// Adds to this thread's count what another one allocated for it.
///
/// ```
/// use test_support::alloc::{Allocations, add, count};
///
/// let there = Allocations { allocations: 2, bytes: 16 };
/// assert_eq!(count(|| add(there)), there);
/// ```
pub fn add(other: Allocations) {
    COUNTED.with(|counted| {
        let Allocations { allocations, bytes } = counted.get();
        counted.set(Allocations {
            allocations: allocations + other.allocations,
            bytes: bytes + other.bytes,
        });
    });
}

/// What this thread allocates until `work` is done, and what `work` gives.
///
/// For a current-thread runtime: there, the tasks that `work` waits for are counted with it.
pub async fn count_until<F: Future>(work: F) -> (Allocations, F::Output) {
    let before = so_far();
    let result = work.await;
    (so_far().since(before), result)
}
