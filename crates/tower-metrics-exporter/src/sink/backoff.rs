use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

/// How long to wait before the next attempt: twice as long each time, and some of it by chance, so that
/// those who failed together do not come back together.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: u32,
    random: RandomState,
}

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// A server that says when to come back is believed up to here.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

impl Backoff {
    pub(super) fn new() -> Self {
        Self {
            failures: 0,
            random: RandomState::new(),
        }
    }

    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }

    /// After a failure; `asked` is what the server said.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let doubled = 2u32.saturating_pow(self.failures);
        let pause = FIRST.saturating_mul(doubled).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        // Half of it is by chance.
        let pause = pause.mul_f64(0.5 + self.fraction(self.failures) / 2.0);
        match asked {
            Some(asked) => asked.min(LONGEST_ASKED).max(pause),
            None => pause,
        }
    }

    /// A part of the interval to begin after.
    pub(super) fn splay(&self, interval: Duration) -> Duration {
        interval.mul_f64(self.fraction(0))
    }

    /// From 0 to 1.
    fn fraction(&self, of: u32) -> f64 {
        let [a, b, c, d, ..] = self.random.hash_one(of).to_le_bytes();
        f64::from(u32::from_le_bytes([a, b, c, d])) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_differ() {
        let mut backoff = Backoff::new();
        for limit in [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
            let pause = backoff.next(None).as_secs_f64();
            assert!((limit / 2.0..=limit).contains(&pause), "{pause} of {limit}");
        }
        for _ in 0..100 {
            assert!(backoff.next(None) <= LONGEST);
        }
        backoff.reset();
        assert!(backoff.next(None) <= FIRST);
        let by_chance =
            [Backoff::new(), Backoff::new()].map(|backoff| backoff.fraction(1).to_bits());
        assert_ne!(by_chance[0], by_chance[1]);
    }

    #[test]
    fn a_server_that_says_when_is_believed_within_reason() {
        let mut backoff = Backoff::new();
        assert_eq!(
            backoff.next(Some(Duration::from_secs(60))),
            Duration::from_secs(60)
        );
        assert_eq!(backoff.next(Some(Duration::MAX)), LONGEST_ASKED);
        // Not at once, whatever it says.
        assert!(backoff.next(Some(Duration::ZERO)) > Duration::ZERO);
    }
}
