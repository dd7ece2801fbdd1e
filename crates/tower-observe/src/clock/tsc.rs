//! The processor's time stamp counter.

use std::{
    fs,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use tick_counter::x86_64_tick_counter as ticks;

/// The kernel tests what it keeps its time by against other clocks, and names another as soon as it is wrong.
const CLOCK_OF_THE_KERNEL: &str =
    "/sys/devices/system/clocksource/clocksource0/current_clocksource";

/// The counter beside the kernel's clock at the first reading. None, where the counter is not to be trusted.
static FIRST: OnceLock<Option<Reading>> = OnceLock::new();
/// How to tell the time by the counter, once that is known.
static TSC: OnceLock<Tsc> = OnceLock::new();

/// Nanoseconds since the first reading, if the counter tells.
#[inline]
pub(super) fn nanos() -> Option<u64> {
    TSC.get()?.nanos(ticks())
}

/// Sees how far the counter and the kernel's clock have come, until that is known well enough.
#[cold]
pub(super) fn compare(nanos: u64, clock: impl Fn() -> u64) {
    let Some(first) = FIRST.get_or_init(|| is_trusted().then(|| Reading::of(&clock))) else {
        return;
    };
    if nanos.saturating_sub(first.nanos) >= Tsc::LONG_ENOUGH && TSC.get().is_none() {
        if let Some(tsc) = Tsc::between(first, &Reading::of(clock)) {
            // Of threads that do this at once, one is right as the other.
            let _ = TSC.set(tsc);
        }
    }
}

fn is_trusted() -> bool {
    fs::read_to_string(CLOCK_OF_THE_KERNEL).is_ok_and(|name| name.trim_end() == "tsc")
}

/// What both said at one time.
#[derive(Clone, Copy, Debug)]
struct Reading {
    ticks: u64,
    nanos: u64,
    /// How long reading took, in ticks: so far they may be apart.
    took: u64,
}

impl Reading {
    /// The best of a few: a thread may be held up between the two.
    fn of(clock: impl Fn() -> u64) -> Self {
        let once = || {
            let before = ticks();
            let nanos = clock();
            let took = ticks().saturating_sub(before);
            Self {
                ticks: before.saturating_add(took / 2),
                nanos,
                took,
            }
        };
        let best = |best: Self, next: Self| if next.took < best.took { next } else { best };
        (0..8).map(|_| once()).fold(once(), best)
    }
}

/// The counter, whose rate is known.
#[derive(Debug)]
struct Tsc {
    ticks: u64,
    nanos: u64,
    /// Nanoseconds of a tick, times 2³².
    per_tick: u64,
    went_back: AtomicBool,
}

impl Tsc {
    /// What is compared differs by less than a microsecond: a millionth of this is not seen.
    const LONG_ENOUGH: u64 = 100_000_000;

    /// None, if the readings are not good enough, or if no processor could be so slow or fast.
    fn between(first: &Reading, last: &Reading) -> Option<Self> {
        let ticks = last.ticks.checked_sub(first.ticks)?;
        let nanos = last.nanos.checked_sub(first.nanos)?;
        let per_tick = (u128::from(nanos) << 32).checked_div(u128::from(ticks))?;
        // From a hundredth of a nanosecond to a hundred.
        let possible = (1 << 32) / 100..=100 << 32;
        let apart = first.took.saturating_add(last.took);
        (possible.contains(&per_tick) && apart < ticks / 100_000).then_some(Self {
            ticks: last.ticks,
            nanos: last.nanos,
            per_tick: u64::try_from(per_tick).ok()?,
            went_back: AtomicBool::new(false),
        })
    }

    /// The time at `ticks`. None for ever, once it was before the counter's rate was known.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "moments end, as those of the kernel's clock, after 584 years"
    )]
    fn nanos(&self, ticks: u64) -> Option<u64> {
        match ticks.checked_sub(self.ticks) {
            Some(since) if !self.went_back.load(Ordering::Relaxed) => {
                let nanos = (u128::from(since) * u128::from(self.per_tick)) >> 32;
                Some(self.nanos.saturating_add(nanos as u64))
            }
            _ => {
                self.went_back.store(true, Ordering::Relaxed);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn reading(ticks: u64, nanos: u64) -> Reading {
        Reading {
            ticks,
            nanos,
            took: 100,
        }
    }

    #[test]
    fn time_goes_on_at_the_rate_that_was_measured() {
        // Three ticks a nanosecond.
        let tsc = Tsc::between(&reading(7_000, 0), &reading(7_000 + 3 * SECOND, SECOND)).unwrap();
        let at = |seconds: u64| tsc.nanos(7_000 + seconds * 3 * SECOND).unwrap();
        assert_eq!(at(1), SECOND);
        assert!(at(2).abs_diff(2 * SECOND) <= 2, "{}", at(2));
        // A thousand years of ticks are not too many.
        let year = 366 * 24 * 3600;
        assert!(at(90 * year).abs_diff(90 * year * SECOND) < SECOND);
        assert!(tsc.nanos(u64::MAX).is_some());
    }

    #[test]
    fn a_counter_that_went_back_is_not_read_again() {
        let tsc = Tsc::between(&reading(0, 0), &reading(SECOND, SECOND)).unwrap();
        assert_eq!(tsc.nanos(SECOND), Some(SECOND));
        assert_eq!(tsc.nanos(SECOND - 1), None);
        assert_eq!(tsc.nanos(2 * SECOND), None);
    }

    #[test]
    fn what_cannot_be_measured_is_not_trusted() {
        let first = reading(1_000, 1_000);
        let none = |ticks, nanos| assert!(Tsc::between(&first, &reading(ticks, nanos)).is_none());
        // It stands, or went back; so does the clock.
        none(1_000, SECOND);
        none(999, SECOND);
        none(3 * SECOND, 1_000);
        none(3 * SECOND, 999);
        // Ten ticks a microsecond less than there are, and so many more.
        none(SECOND / 200, SECOND);
        none(200 * SECOND, SECOND);
        // The thread was held up.
        let held_up = Reading {
            took: 50_000,
            ..reading(3 * SECOND, SECOND)
        };
        assert!(Tsc::between(&first, &held_up).is_none());
        assert!(Tsc::between(&first, &reading(3 * SECOND, SECOND)).is_some());
    }
}
