//! The processor's time stamp counter.

use std::{
    fs,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use tick_counter::x86_64_tick_counter as ticks;

const CLOCK_OF_THE_KERNEL: &str =
    "/sys/devices/system/clocksource/clocksource0/current_clocksource";

/// What the counter's rate is measured from. None, where the kernel does not keep its time by it.
static START: OnceLock<Option<Mutex<Reading>>> = OnceLock::new();
/// How to tell the time by the counter, once that is known.
static TSC: OnceLock<Tsc> = OnceLock::new();

/// Nanoseconds since the kernel's `clock` was read first, if the counter tells.
#[inline]
pub(super) fn nanos(clock: fn() -> u64) -> Option<u64> {
    TSC.get()?.nanos(ticks(), || Reading::of(clock))
}

/// Measures how fast the counter is, unless that is known. For who has just read `nanos` from the kernel's `clock`.
#[cold]
pub(super) fn measure(nanos: u64, clock: fn() -> u64) {
    let start = || is_the_kernels().then(|| Mutex::new(Reading::of(clock)));
    let Some(start) = START.get_or_init(start) else {
        return;
    };
    if TSC.get().is_some() {
        return;
    }
    // Who finds it locked leaves it to another.
    let Ok(mut start) = start.try_lock() else {
        return;
    };
    if nanos.saturating_sub(start.nanos) < Tsc::LONG_ENOUGH {
        return;
    }
    let now = Reading::of(clock);
    match Tsc::between(&start, &now) {
        // It is the first: this thread has the lock.
        Some(tsc) => drop(TSC.set(tsc)),
        None => *start = now,
    }
}

fn is_the_kernels() -> bool {
    fs::read_to_string(CLOCK_OF_THE_KERNEL).is_ok_and(|name| name.trim_end() == "tsc")
}

/// What both said at one time.
#[derive(Clone, Copy, Debug)]
struct Reading {
    ticks: u64,
    nanos: u64,
    /// How many ticks reading took: so far they may be apart.
    took: u64,
}

impl Reading {
    /// The best of a few: a thread may be held up between the two.
    fn of(clock: fn() -> u64) -> Self {
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

/// The counter, whose rate is known, as long as it agrees with the kernel's clock.
#[derive(Debug)]
struct Tsc {
    start: Reading,
    /// Nanoseconds of a tick, times 2³².
    per_tick: u64,
    /// The ticks of `agreed`.
    seen: AtomicU64,
    /// For so many ticks after that it needs no comparison. 0 once it is not to be trusted.
    good_for: AtomicU64,
    /// When both were compared last.
    agreed: Mutex<Reading>,
}

impl Tsc {
    /// So long is measured, or a little longer: what is read at once may be apart by a ten thousandth of it.
    const LONG_ENOUGH: u64 = 100_000_000;
    /// Longer than that may contain a sleep of the machine, in which one clock stands and the other does not.
    const TOO_LONG: u64 = 1_000_000_000;
    /// How long both are taken to agree since they did.
    const GOOD_FOR: u64 = 10_000_000_000;
    /// How far the two may be apart: more than NTP makes of it, whose corrections are at most half as large.
    const TOLERANCE: u64 = 1_000;

    /// None, if the readings are not good enough, or if no processor could be so slow or fast.
    fn between(first: &Reading, last: &Reading) -> Option<Self> {
        let ticks = last.ticks.checked_sub(first.ticks)?;
        let nanos = last.nanos.checked_sub(first.nanos)?;
        let per_tick = (u128::from(nanos) << 32).checked_div(u128::from(ticks))?;
        // From a hundredth of a nanosecond to a hundred.
        let is_possible = ((1 << 32) / 100..=100 << 32).contains(&per_tick);
        let is_exact = first.took.saturating_add(last.took) < ticks / 10_000;
        let is_short = nanos <= Self::TOO_LONG;
        let good_for = (u128::from(Self::GOOD_FOR) << 32).checked_div(per_tick)?;
        (is_possible && is_exact && is_short).then_some(Self {
            start: *last,
            per_tick: u64::try_from(per_tick).ok()?,
            seen: AtomicU64::new(last.ticks),
            good_for: AtomicU64::new(u64::try_from(good_for).ok()?),
            agreed: Mutex::new(*last),
        })
    }

    /// The time at `ticks`, unless the counter is found to be wrong: then none for ever. `now` reads both.
    #[inline]
    fn nanos(&self, ticks: u64, now: impl FnOnce() -> Reading) -> Option<u64> {
        let unseen = ticks.wrapping_sub(self.seen.load(Ordering::Relaxed));
        if unseen >= self.good_for.load(Ordering::Relaxed) && !self.is_right(now) {
            return None;
        }
        let since = ticks.saturating_sub(self.start.ticks);
        Some(self.start.nanos.saturating_add(self.nanos_of(since)))
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "moments end, as those of the kernel's clock, after 584 years"
    )]
    fn nanos_of(&self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.per_tick)) >> 32) as u64
    }

    /// Compares it with the kernel's clock. It may have gone back, or on while that stood, or be what the kernel has
    /// found out to be wrong.
    #[cold]
    fn is_right(&self, now: impl FnOnce() -> Reading) -> bool {
        if self.good_for.load(Ordering::Relaxed) == 0 {
            return false;
        }
        // Another thread is at it.
        let Ok(mut agreed) = self.agreed.try_lock() else {
            return true;
        };
        let now = now();
        let is_right = self.agrees(&agreed, &now);
        if is_right {
            *agreed = now;
            self.seen.store(now.ticks, Ordering::Relaxed);
        } else {
            self.good_for.store(0, Ordering::Relaxed);
        }
        is_right
    }

    fn agrees(&self, last: &Reading, now: &Reading) -> bool {
        let (Some(ticks), Some(nanos)) = (
            now.ticks.checked_sub(last.ticks),
            now.nanos.checked_sub(last.nanos),
        ) else {
            return false;
        };
        let apart = self.nanos_of(last.took.saturating_add(now.took));
        let most = (nanos / Self::TOLERANCE).saturating_add(apart);
        self.nanos_of(ticks).abs_diff(nanos) <= most
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

    /// Three ticks a nanosecond; the kernel's clock began before.
    fn tsc() -> Tsc {
        let (first, last) = (at(10), at(11));
        Tsc::between(&first, &last).unwrap()
    }

    /// What both say after so many seconds.
    fn at(seconds: u64) -> Reading {
        reading(seconds * 3 * SECOND, (seconds + 5) * SECOND)
    }

    fn unasked() -> Reading {
        unreachable!("no comparison is due")
    }

    #[test]
    fn time_goes_on_at_the_rate_that_was_measured() {
        let tsc = tsc();
        let soon = at(12);
        let nanos = tsc.nanos(soon.ticks, unasked).unwrap();
        assert!(nanos.abs_diff(soon.nanos) <= 2, "{nanos}");
        // A hundred years of ticks are not too many.
        let late = at(100 * 366 * 24 * 3600);
        let nanos = tsc.nanos(late.ticks, || late).unwrap();
        assert!(nanos.abs_diff(late.nanos) < 3 * SECOND, "{nanos}");
    }

    #[test]
    fn both_are_compared_now_and_then() {
        let tsc = tsc();
        for seconds in [22, 33, 100, 100_000] {
            let now = at(seconds);
            let mut compared = false;
            let read = || {
                compared = true;
                now
            };
            assert!(tsc.nanos(now.ticks, read).is_some());
            assert!(compared, "at {seconds}");
            assert!(tsc.nanos(at(seconds + 9).ticks, unasked).is_some());
        }
    }

    #[test]
    fn one_that_is_wrong_once_is_not_read_again() {
        // What both say instead of what they would at 200 seconds, after they agreed at 150.
        let is_right = |ticks: i64, nanos: i64| {
            let tsc = tsc();
            assert!(tsc.nanos(at(150).ticks, || at(150)).is_some());
            let Reading {
                ticks: t, nanos: n, ..
            } = at(200);
            let now = reading(
                t.saturating_add_signed(ticks),
                n.saturating_add_signed(nanos),
            );
            // The counter says that a comparison is due, or it went back.
            let due = if ticks < 0 { now.ticks } else { at(400).ticks };
            let is_right = tsc.nanos(due, || now).is_some();
            assert_eq!(tsc.nanos(at(401).ticks, || at(401)).is_some(), is_right);
            is_right
        };
        assert!(is_right(0, 0));
        // As NTP corrects it.
        assert!(is_right(0, 25_000_000));
        assert!(is_right(0, -25_000_000));
        assert!(!is_right(0, 60_000_000));
        assert!(!is_right(0, -60_000_000));
        // The machine slept, and the counter went on or began anew.
        assert!(!is_right(3_600 * 3_000_000_000, 0));
        assert!(!is_right(-199 * 3_000_000_000, 0));
        assert!(!is_right(-100 * 3_000_000_000, 0));
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
        // Too few ticks, and too many.
        none(SECOND / 200, SECOND);
        none(200 * SECOND, SECOND);
        // So long that the machine may have slept.
        none(6 * SECOND, 2 * SECOND);
        // The thread was held up.
        let held_up = Reading {
            took: 300_000,
            ..reading(3 * SECOND, SECOND)
        };
        assert!(Tsc::between(&first, &held_up).is_none());
        assert!(Tsc::between(&first, &reading(3 * SECOND, SECOND)).is_some());
    }
}
