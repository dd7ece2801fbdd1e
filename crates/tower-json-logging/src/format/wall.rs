//! What time it was.

use std::{
    cell::Cell,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tower_observe::Clock;

/// Now, as the time since 1970. A clock before 1970 is taken for 1970.
pub(crate) fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

thread_local! {
    /// When both clocks were read last.
    static READ: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
}

/// The time since 1970 at a moment of the monotonic clock that was read anyway.
pub(crate) fn at(moment: Instant) -> Duration {
    /// How long the clocks are taken to go alike: one that is being set right drifts by less than ten
    /// microseconds.
    const ALIKE: Duration = Duration::from_millis(10);

    if let Some((then, time)) = READ.get() {
        if let Some(since) = moment.checked_duration_since(then) {
            if since < ALIKE {
                return time.saturating_add(since);
            }
        }
    }
    read(moment)
}

#[cold]
fn read(moment: Instant) -> Duration {
    let (then, time) = (Clock::system().now(), now());
    READ.set(Some((then, time)));
    match moment.checked_duration_since(then) {
        Some(since) => time.saturating_add(since),
        None => time.saturating_sub(then.saturating_duration_since(moment)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_its_time() {
        let apart = |one: Duration, other: Duration| one.abs_diff(other).as_secs();
        let moment = Clock::system().now();
        // As somebody else may set the clock meanwhile, only roughly.
        assert!(apart(at(moment), now()) < 60);
        let hour = Duration::from_secs(3600);
        let earlier = moment.checked_sub(hour).unwrap();
        assert!(apart(at(earlier) + hour, now()) < 60);
        assert!(apart(at(moment + hour), now() + hour) < 60);
    }
}
