//! What time it was.

use std::{
    cell::Cell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tower_observe::{Clock, Moment};

/// Now, as the time since 1970. A clock before 1970 is taken for 1970.
pub(crate) fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// The time since 1970 at a moment of the monotonic clock that was read anyway.
///
/// It may be off by what the wall clock was set, or by how long the machine slept while the monotonic clock
/// stood, for as long as a reading is kept, ten milliseconds; and by all of that since the moment, if it is
/// longer past: a body is dropped long after it gave its last byte.
pub(crate) fn at(moment: Moment) -> Duration {
    LAST.with(|last| last.at(moment, || Clock::system().now(), now))
}

thread_local! {
    static LAST: Last = const { Last(Cell::new(None)) };
}

/// What both clocks said when they were read last.
#[derive(Debug)]
struct Last(Cell<Option<(Moment, Duration)>>);

impl Last {
    /// How long the clocks are taken to go alike: one that is being set right drifts by less than ten
    /// microseconds.
    const ALIKE: Duration = Duration::from_millis(10);
    /// The most that may pass while both are read.
    const AT_ONCE: Duration = Duration::from_micros(50);

    #[inline]
    fn at(
        &self,
        moment: Moment,
        monotonic: impl Fn() -> Moment,
        wall: impl Fn() -> Duration,
    ) -> Duration {
        if let Some((then, time)) = self.0.get() {
            if let Some(since) = moment.checked_duration_since(then) {
                if since < Self::ALIKE {
                    return time.saturating_add(since);
                }
            }
        }
        self.read(moment, monotonic, wall)
    }

    #[cold]
    fn read(
        &self,
        moment: Moment,
        monotonic: impl Fn() -> Moment,
        wall: impl Fn() -> Duration,
    ) -> Duration {
        let (then, time, after) = (monotonic(), wall(), monotonic());
        // A thread that was held up between the two readings has none to keep, only the best there is.
        if after.saturating_duration_since(then) < Self::AT_ONCE {
            self.0.set(Some((then, time)));
        }
        match moment.checked_duration_since(then) {
            Some(since) => time.saturating_add(since),
            None => time.saturating_sub(then.saturating_duration_since(moment)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tower_observe::ManualClock;

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

    #[test]
    fn clocks_that_were_not_read_at_once_are_read_again() {
        let clock = ManualClock::new();
        let start = clock.now();
        let since_start = || clock.now().saturating_duration_since(start);
        let last = Last(Cell::new(None));
        // How wrong it is at a moment, if the thread is held up should the clocks be read then.
        let wrong_by = |held_up: u64| {
            let moment = clock.now();
            let wall = || {
                clock.advance(Duration::from_micros(held_up));
                since_start()
            };
            let time = last.at(moment, || clock.now(), wall);
            time.abs_diff(moment.saturating_duration_since(start))
        };
        assert_eq!(wrong_by(9_000), Duration::from_millis(9));
        // That is not kept, this is.
        assert_eq!(wrong_by(49), Duration::from_micros(49));
        assert_eq!(wrong_by(9_000), Duration::from_micros(49));
        clock.advance(Duration::from_millis(10));
        assert_eq!(wrong_by(50), Duration::from_micros(50));
        assert_eq!(wrong_by(0), Duration::ZERO);
    }
}
