use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Where a layer reads monotonic time.
///
/// A value, not a global: each layer is given its own, and a test gives a layer the clock of a
/// [`ManualClock`], which moves only when told to. The default reads the operating system's
/// monotonic clock.
///
/// ```
/// use std::time::Duration;
/// use tower_observe::ManualClock;
///
/// let manual = ManualClock::new();
/// let clock = manual.clock();
///
/// let before = clock.now();
/// manual.advance(Duration::from_millis(250));
/// assert_eq!(clock.now() - before, Duration::from_millis(250));
/// ```
#[derive(Clone, Default)]
pub struct Clock {
    manual: Option<ManualClock>,
}

impl Clock {
    /// The operating system's monotonic clock.
    pub const fn system() -> Self {
        Self { manual: None }
    }

    /// The present instant. Never earlier than one that this clock has given before.
    pub fn now(&self) -> Instant {
        match &self.manual {
            None => system_now(),
            Some(manual) => manual.now(),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.manual {
            None => "Clock::system",
            Some(_) => "Clock::manual",
        })
    }
}

/// A clock for tests, advanced by hand.
///
/// Clones, and the [`Clock`]s it hands out, share one time.
#[derive(Clone)]
pub struct ManualClock {
    shared: Arc<Shared>,
}

struct Shared {
    origin: Instant,
    elapsed_nanos: AtomicU64,
}

impl ManualClock {
    /// A clock that stands still until [`advance`](Self::advance) is called.
    pub fn new() -> Self {
        let origin = system_now();
        Self {
            shared: Arc::new(Shared {
                origin,
                elapsed_nanos: AtomicU64::new(0),
            }),
        }
    }

    /// A [`Clock`] that shows this one's time, to be given to a layer.
    pub fn clock(&self) -> Clock {
        Clock {
            manual: Some(self.clone()),
        }
    }

    /// Moves time forward, by a hundred years in all at most.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        let add = |elapsed: u64| Some(elapsed.saturating_add(by).min(CENTURY_NANOS));
        // `fetch_update` fails only when the closure returns `None`.
        let _ = self
            .shared
            .elapsed_nanos
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
    }

    /// The instant this clock shows.
    pub fn now(&self) -> Instant {
        let elapsed = Duration::from_nanos(self.shared.elapsed_nanos.load(Ordering::Acquire));
        self.shared
            .origin
            .checked_add(elapsed)
            .unwrap_or(self.shared.origin)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elapsed = Duration::from_nanos(self.shared.elapsed_nanos.load(Ordering::Acquire));
        f.debug_struct("ManualClock")
            .field("elapsed", &elapsed)
            .finish()
    }
}

/// Within the range of every platform's `Instant`, so that the clock never has to go back.
const CENTURY_NANOS: u64 = 100 * 365 * 24 * 3600 * 1_000_000_000;

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the system's clock"
)]
fn system_now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_manual_clock_share_one_time() {
        let manual = ManualClock::new();
        let (one, two) = (manual.clock(), manual.clone());
        let start = one.now();
        manual.advance(Duration::from_secs(3));
        assert_eq!(one.now(), two.now());
        assert_eq!(one.now() - start, Duration::from_secs(3));
    }

    #[test]
    fn a_manual_clock_survives_an_absurd_advance() {
        let manual = ManualClock::new();
        let start = manual.now();
        manual.advance(Duration::MAX);
        manual.advance(Duration::MAX);
        assert_eq!(manual.now() - start, Duration::from_nanos(CENTURY_NANOS));
    }

    #[test]
    fn the_system_clock_does_not_go_back() {
        let clock = Clock::system();
        let first = clock.now();
        assert!(clock.now() >= first);
    }
}
