//! What threads share and wait on: the model checker's tests put loom's in its place.

use std::{sync::PoisonError, time::Duration};

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

use tower_observe::{Clock, Moment};

/// Waits until it is told to go on, or until `deadline`. False after the deadline.
///
/// It may return early for no reason: the caller looks again.
pub(crate) fn wait_until<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    deadline: Option<Moment>,
) -> (MutexGuard<'a, T>, bool) {
    let Some(deadline) = deadline else {
        let guard = condvar.wait(guard).unwrap_or_else(PoisonError::into_inner);
        return (guard, true);
    };
    let left = deadline.saturating_duration_since(Clock::system().now());
    if left.is_zero() {
        return (guard, false);
    }
    let waited = condvar.wait_timeout(guard, left);
    (waited.unwrap_or_else(PoisonError::into_inner).0, true)
}

/// Waits for `time`, or until it is told to go on.
pub(crate) fn nap<'a, T>(
    _: &'a Mutex<T>,
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    time: Duration,
) -> MutexGuard<'a, T> {
    let waited = condvar.wait_timeout(guard, time);
    waited.unwrap_or_else(PoisonError::into_inner).0
}
