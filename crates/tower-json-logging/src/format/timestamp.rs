use std::{cell::Cell, time::Duration};

use super::number::digits;

/// `0000-00-00T00:00:00.000000Z`
pub(crate) type Timestamp = [u8; 27];

thread_local! {
    /// The second that was written last, and its text.
    static LAST: Cell<(u64, Timestamp)> = const { Cell::new((u64::MAX, [0; 27])) };
}

/// The time since 1970-01-01T00:00:00Z as RFC 3339 with microseconds, in UTC.
///
/// Years after 9999 have no RFC 3339 form; they are written as its last moment.
#[inline]
pub(crate) fn text(since_epoch: Duration) -> Timestamp {
    const LAST_MOMENT: Duration = Duration::new(253_402_300_799, 999_999_999);

    let time = since_epoch.min(LAST_MOMENT);
    let (known, mut text) = LAST.get();
    if known != time.as_secs() {
        text = second(time.as_secs());
        LAST.set((time.as_secs(), text));
    }
    if let Some(micros) = text.get_mut(20..26) {
        micros.copy_from_slice(&digits::<6>(time.subsec_micros().into()));
    }
    text
}

// Not inlined: it would be computed for every line, ahead of the question whether it is needed.
#[cold]
#[inline(never)]
fn second(seconds: u64) -> Timestamp {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let [y0, y1, y2, y3] = digits(year);
    let [[m0, m1], [d0, d1]] = [digits(month), digits(day)];
    let [h0, h1] = digits(second / 3600);
    let [[i0, i1], [s0, s1]] = [digits(second / 60 % 60), digits(second % 60)];
    [
        y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', i0, i1, b':', s0, s1, b'.',
        b'0', b'0', b'0', b'0', b'0', b'0', b'Z',
    ]
}

/// Year, month and day of the proleptic Gregorian calendar: `civil_from_days` in Howard Hinnant's
/// "chrono-Compatible Low-Level Date Algorithms", for days from 1970 on.
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01, so that a leap day is the last of its year
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(seconds: u64, nanos: u32) -> String {
        let text = text(Duration::new(seconds, nanos));
        String::from_utf8(text.to_vec()).unwrap()
    }

    // Seconds as GNU date gives them.
    #[test]
    fn known_moments_are_written_right() {
        assert_eq!(written(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(written(951_782_399, 0), "2000-02-28T23:59:59.000000Z");
        assert_eq!(written(951_782_400, 0), "2000-02-29T00:00:00.000000Z");
        assert_eq!(written(951_868_800, 0), "2000-03-01T00:00:00.000000Z");
        assert_eq!(written(1_709_210_096, 7_999), "2024-02-29T12:34:56.000007Z");
        assert_eq!(written(1_735_689_599, 0), "2024-12-31T23:59:59.000000Z");
        assert_eq!(
            written(1_795_403_797, 651_503_000),
            "2026-11-23T03:16:37.651503Z"
        );
        assert_eq!(written(4_107_542_400, 0), "2100-03-01T00:00:00.000000Z");
    }

    #[test]
    fn the_last_moment_of_year_9999_stays() {
        let last = "9999-12-31T23:59:59.999999Z";
        assert_eq!(written(253_402_300_799, 999_999_999), last);
        assert_eq!(written(253_402_300_800, 0), last);
        assert_eq!(written(u64::MAX, 0), last);
    }

    #[test]
    fn days_follow_one_another() {
        let mut before = civil(0);
        for day in 1..200_000 {
            let now = civil(day);
            let (year, month, _) = before;
            let follows = now == (year, month, before.2 + 1)
                || now == (year, month + 1, 1)
                || (now == (year + 1, 1, 1) && month == 12);
            assert!(follows, "{before:?} {now:?}");
            before = now;
        }
    }
}
