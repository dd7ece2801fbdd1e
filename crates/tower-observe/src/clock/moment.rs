use std::{
    num::NonZeroU64,
    ops::{Add, Sub},
    time::Duration,
};

/// What a [`Clock`](crate::Clock) said: a moment, in nanoseconds.
///
/// As [`Instant`](std::time::Instant), but half as large, a number, and made by a
/// [`Clock`](crate::Clock) only. Moments of all clocks of a process count from one origin, which
/// lies a day before the first reading of any of them. Moments of different processes cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(NonZeroU64);

impl Moment {
    /// How long before the first reading the origin is, so that tests can go back.
    const BEFORE: u64 = 24 * 3600 * 1_000_000_000;

    /// So many nanoseconds after the first reading.
    #[inline]
    pub(super) const fn after_first(nanos: u64) -> Self {
        Self::of(Self::BEFORE.saturating_add(nanos))
    }

    #[inline]
    const fn of(nanos: u64) -> Self {
        // The origin itself is taken for the nanosecond after it.
        match NonZeroU64::new(nanos) {
            Some(nanos) => Self(nanos),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// Nanoseconds since the origin. Never 0.
    #[inline]
    pub const fn as_nanos(self) -> u64 {
        self.0.get()
    }

    /// The time from `earlier` to this moment; none, if it is not earlier.
    #[inline]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.as_nanos().saturating_sub(earlier.as_nanos()))
    }

    /// The time from `earlier` to this moment, unless it is later.
    #[inline]
    pub const fn checked_duration_since(self, earlier: Self) -> Option<Duration> {
        match self.as_nanos().checked_sub(earlier.as_nanos()) {
            Some(nanos) => Some(Duration::from_nanos(nanos)),
            None => None,
        }
    }

    /// The moment so much later, if there is one: moments end 584 years after the origin.
    pub fn checked_add(self, span: Duration) -> Option<Self> {
        let nanos = u64::try_from(span.as_nanos()).ok()?;
        self.as_nanos().checked_add(nanos).map(Self::of)
    }

    /// The moment so much earlier, if there is one after the origin.
    pub fn checked_sub(self, span: Duration) -> Option<Self> {
        let nanos = u64::try_from(span.as_nanos()).ok()?;
        self.as_nanos()
            .checked_sub(nanos)
            .and_then(NonZeroU64::new)
            .map(Self)
    }
}

/// The moment so much later, or the last that there is.
impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        self.checked_add(span).unwrap_or(Self(NonZeroU64::MAX))
    }
}

/// As [`saturating_duration_since`](Moment::saturating_duration_since).
impl Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn moments_are_counted_from_before_the_first() {
        let first = Moment::after_first(0);
        let day = Duration::from_secs(24 * 3600);
        assert_eq!(first.as_nanos(), 86_400_000_000_000);
        assert_eq!(Moment::after_first(1_000_000_000) - first, SECOND);
        assert_eq!(first.checked_sub(day), None);
        let second = first
            .checked_sub(Duration::from_secs(24 * 3600 - 1))
            .unwrap();
        assert_eq!(second.as_nanos(), 1_000_000_000);
        assert_eq!(second.checked_sub(SECOND), None);
        assert_eq!(second + day, first + SECOND);
    }

    #[test]
    fn an_earlier_moment_is_no_time_later() {
        let (one, two) = (Moment::after_first(5), Moment::after_first(6));
        assert_eq!(
            two.checked_duration_since(one),
            Some(Duration::from_nanos(1))
        );
        assert_eq!(one.checked_duration_since(one), Some(Duration::ZERO));
        assert_eq!(one.checked_duration_since(two), None);
        assert_eq!(one.saturating_duration_since(two), Duration::ZERO);
        assert_eq!(one - two, Duration::ZERO);
    }

    #[test]
    fn the_last_moment_is_not_passed() {
        let last = Moment::after_first(u64::MAX);
        assert_eq!(last.as_nanos(), u64::MAX);
        assert_eq!(last.checked_add(Duration::from_nanos(1)), None);
        assert_eq!(last + Duration::MAX, last);
        assert_eq!(Moment::after_first(0) + Duration::MAX, last);
        assert_eq!(last.checked_sub(Duration::MAX), None);
    }

    #[test]
    fn an_optional_moment_is_no_larger() {
        assert_eq!(size_of::<Option<Moment>>(), 8);
    }
}
