//! Where values are kept: atomics, shared by the handles and the registry.

mod exemplars;
mod histogram;
mod native;
mod number;
mod owner;
mod stripe;

pub(crate) use self::{
    exemplars::{ExemplarSource, Exemplars},
    histogram::{Histogram, HistogramOptions, Reading},
    native::{Native, NativeOptions},
    number::{Count, Level},
};

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "sums of numbers that floats hold exactly")]
mod tests {
    use std::thread;

    use super::{Level, stripe::Stripes};

    #[test]
    fn a_level_is_what_it_was_changed_by_however_often() {
        let level = Level::new();
        level.add(-1.0);
        assert_eq!(level.load(), -1.0);
        // More changes than are counted, on either side of zero and across it.
        let mut expected = -1.0;
        for by in [1.0, -1.0] {
            for _ in 0..70_000 {
                level.add(by);
                level.add(by);
                level.add(-by);
                expected += by;
                assert_eq!(level.load(), expected);
            }
        }
        thread::scope(|scope| scope.spawn(|| level.add(-0.5)).join()).unwrap();
        assert_eq!(level.load(), -1.5);
        level.set(3.0);
        level.add(-1.0);
        assert_eq!(level.load(), 2.0);
    }

    #[test]
    fn nothing_is_lost_whoever_gets_in_the_way() {
        let stripes = Stripes::new(20);
        // Small whole numbers, so that the sum of floats is exact.
        thread::scope(|scope| {
            for thread in 0..4 {
                let stripes = &stripes;
                scope.spawn(move || {
                    for at in 0..20_000 {
                        stripes.record((at + thread) % 20, 1, 2.0);
                    }
                });
            }
            let mut before = Vec::new();
            let mut now = Vec::new();
            for _ in 0..200 {
                stripes.read(&mut now);
                assert!(now.is_sorted());
                assert!(before.iter().zip(&now).all(|(before, now)| before <= now));
                std::mem::swap(&mut before, &mut now);
            }
        });
        let mut counts = Vec::new();
        assert_eq!(stripes.read(&mut counts), 160_000.0);
        let expected: Vec<u64> = (1..=20).map(|bucket| bucket * 4000).collect();
        assert_eq!(counts, expected);
    }

    #[test]
    fn what_others_do_often_spreads_over_stripes() {
        let stripes = Stripes::new(1);
        stripes.record(0, 1, 1.0);
        thread::scope(|scope| {
            for _ in 0..9 {
                scope.spawn(|| (0..3).for_each(|_| stripes.record(0, 1 << 16, 2.0)));
            }
        });
        stripes.record(0, 1, 1.0);
        let mut counts = Vec::new();
        assert_eq!(stripes.read(&mut counts), 56.0);
        assert_eq!(counts, [27 * (1 << 16) + 2]);
    }

    #[test]
    fn contention_spreads_over_stripes() {
        let stripes = Stripes::new(3);
        stripes.record(0, 1, 1.0);
        stripes.spread();
        thread::scope(|scope| {
            for _ in 0..9 {
                scope.spawn(|| stripes.record(2, 2, 0.5));
            }
        });
        let mut counts = Vec::new();
        assert_eq!(stripes.read(&mut counts), 5.5);
        assert_eq!(counts, [1, 1, 19]);
    }
}
