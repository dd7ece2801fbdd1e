//! How often something may happen.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tower_observe::Clock;

/// So many at once, and as many again in each period: a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    burst: u64,
    /// Nanoseconds until one more may be let through.
    each: u64,
}

impl RateLimit {
    /// Lets through `count` at once, and `count` in each `period` after. 0 is taken for 1; a period of
    /// less than a nanosecond for each is no limit.
    pub fn new(count: u32, period: Duration) -> Self {
        let count = u64::from(count.max(1));
        let nanos = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        Self {
            burst: count,
            // Far enough from what a clock may be added to.
            each: nanos.min(u64::MAX / 4) / count,
        }
    }

    pub(crate) const fn bucket(self) -> Bucket {
        Bucket {
            limit: self,
            full_at: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
        }
    }
}

/// What was let through, by the generic cell rate algorithm: one number says it all.
#[derive(Debug)]
pub(crate) struct Bucket {
    limit: RateLimit,
    /// When all of the burst is there again: in nanoseconds of a moment.
    full_at: AtomicU64,
    held_back: AtomicU64,
}

/// What a bucket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    Free,
    /// The first one after this many that were held back.
    After(u64),
    Held,
}

impl Bucket {
    pub(crate) fn take(&self) -> Passage {
        self.take_at(Clock::system().now().as_nanos())
    }

    fn take_at(&self, now: u64) -> Passage {
        let RateLimit { burst, each } = self.limit;
        let most = each.saturating_mul(burst);
        let taken = self
            .full_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
                let full_at = full_at.max(now).saturating_add(each);
                (full_at - now <= most).then_some(full_at)
            });
        if taken.is_err() {
            self.held_back.fetch_add(1, Ordering::Relaxed);
            return Passage::Held;
        }
        if self.held_back.load(Ordering::Relaxed) == 0 {
            return Passage::Free;
        }
        match self.held_back.swap(0, Ordering::Relaxed) {
            0 => Passage::Free,
            count => Passage::After(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_passes_and_then_as_many_in_each_period() {
        let bucket = RateLimit::new(10, Duration::from_secs(1)).bucket();
        let passed = |times: u64, now| {
            let taken = (0..times).map(|_| bucket.take_at(now));
            taken.filter(|passage| *passage != Passage::Held).count()
        };
        assert_eq!(passed(100, 0), 10);
        assert_eq!(passed(100, SECOND / 2), 5);
        assert_eq!(passed(100, SECOND * 100), 10);
    }

    #[test]
    fn what_was_held_back_is_told_once() {
        let bucket = RateLimit::new(1, Duration::from_secs(1)).bucket();
        assert_eq!(bucket.take_at(0), Passage::Free);
        assert_eq!(bucket.take_at(1), Passage::Held);
        assert_eq!(bucket.take_at(2), Passage::Held);
        assert_eq!(bucket.take_at(SECOND), Passage::After(2));
        assert_eq!(bucket.take_at(SECOND * 2), Passage::Free);
    }

    #[test]
    fn a_period_without_time_is_no_limit() {
        let bucket = RateLimit::new(1000, Duration::from_nanos(10)).bucket();
        assert!((0..10_000).all(|_| bucket.take_at(0) == Passage::Free));
    }
}
