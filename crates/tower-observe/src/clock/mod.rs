use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

mod moment;
mod system;
#[cfg(all(feature = "tsc", target_os = "linux", target_arch = "x86_64"))]
mod tsc;

pub use self::moment::Moment;

/// Where a layer reads monotonic time.
///
/// A value, not a global: each layer is given its own, and a test gives a layer the clock of a
/// [`ManualClock`], which moves only when told to.
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
    /// The system's monotonic clock.
    ///
    /// With the feature `tsc`, on Linux on x86-64, and only where the kernel itself keeps its time by the
    /// processor's time stamp counter (`current_clocksource` says `tsc`), the counter is read directly, in half the
    /// time. The kernel's clock is read for the first tenth of a second, and tells how fast the counter is; what NTP
    /// corrects of the kernel's clock later is not corrected here. Every ten seconds or so both are compared, by
    /// whoever reads then: once they are apart by a thousandth, be it that the machine slept, the counter is
    /// not read any more. Everywhere else, and without the feature, this is [`Instant`](std::time::Instant).
    pub const fn system() -> Self {
        Self { manual: None }
    }

    /// The present moment. Not earlier than one that this clock gave before on the same thread, unless a counter is
    /// found to be wrong then; of one that it gave on another thread, a counter may be behind by a fraction of a
    /// microsecond.
    #[inline]
    pub fn now(&self) -> Moment {
        match &self.manual {
            None => system::now(),
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
    origin: Moment,
    elapsed_nanos: AtomicU64,
}

impl ManualClock {
    /// A clock that stands still until [`advance`](Self::advance) is called.
    pub fn new() -> Self {
        let origin = system::now();
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

    /// The moment this clock shows.
    pub fn now(&self) -> Moment {
        self.shared.origin + Duration::from_nanos(self.shared.elapsed_nanos.load(Ordering::Acquire))
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

/// Within the range of a `Moment`, so that the clock never stands when it should go.
const CENTURY_NANOS: u64 = 100 * 365 * 24 * 3600 * 1_000_000_000;

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

    /// The first tenth of a second is read from another clock than the rest.
    #[test]
    fn the_system_clock_goes_on_and_is_as_fast_as_the_kernels() {
        let clock = Clock::system();
        let start = system::instant();
        let between = |from: std::time::Instant, to: std::time::Instant| (to - from).as_nanos();
        let (mut at, mut last, mut longest) =
            ((start, clock.now(), system::instant()), clock.now(), 0);
        let first = at;
        while between(start, at.2) < 400_000_000 {
            at = (system::instant(), clock.now(), system::instant());
            assert!(at.1 >= last, "{at:?} after {last:?}");
            last = at.1;
            // Never further than what lies between two readings, and a thousandth.
            let (inner, outer) = (between(first.2, at.0), between(first.0, at.2));
            let passed = (at.1 - first.1).as_nanos();
            assert!(
                passed <= outer + outer / 1_000 + 1_000,
                "{passed} of {outer}"
            );
            assert!(
                passed + passed / 1_000 + 1_000 >= inner,
                "{passed} of {inner}"
            );
            longest = longest.max(passed);
        }
        assert!(longest > 300_000_000);
    }
}
