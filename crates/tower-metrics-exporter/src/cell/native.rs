use std::collections::BTreeMap;

use crate::format::NativeView;

/// How fine a native histogram is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct NativeOptions {
    /// Buckets grow by `2^(2^-schema)`; -4 to 8.
    pub(crate) schema: i32,
    /// Past so many buckets, neighbours are put together.
    pub(crate) max_buckets: usize,
}

/// Observations in exponential buckets.
#[derive(Debug)]
pub(crate) struct Native {
    options: NativeOptions,
    schema: i32,
    zero_count: u64,
    positive: BTreeMap<i32, u64>,
    negative: BTreeMap<i32, u64>,
}

/// What Prometheus' own libraries take: below it, values are zero.
const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;

/// The coarsest schema: each bucket is 2^16 times as wide as the one before.
const COARSEST: i32 = -4;

impl Native {
    pub(crate) fn new(options: NativeOptions) -> Self {
        Self {
            options,
            schema: options.schema,
            zero_count: 0,
            positive: BTreeMap::new(),
            negative: BTreeMap::new(),
        }
    }

    /// Records so many observations of one finite value.
    pub(crate) fn record(&mut self, value: f64, count: u64) {
        if value.abs() <= ZERO_THRESHOLD {
            self.zero_count += count;
            return;
        }
        let index = index(value.abs(), self.schema);
        let buckets = if value > 0.0 {
            &mut self.positive
        } else {
            &mut self.negative
        };
        *buckets.entry(index).or_default() += count;
        while self.positive.len() + self.negative.len() > self.options.max_buckets
            && self.schema > COARSEST
        {
            self.schema -= 1;
            halve(&mut self.positive);
            halve(&mut self.negative);
        }
    }

    pub(crate) fn view(&self) -> NativeView {
        let buckets = |buckets: &BTreeMap<i32, u64>| {
            let buckets = buckets.iter();
            buckets.map(|(index, count)| (*index, *count)).collect()
        };
        NativeView {
            schema: self.schema,
            zero_threshold: ZERO_THRESHOLD,
            zero_count: self.zero_count,
            positive: buckets(&self.positive),
            negative: buckets(&self.negative),
        }
    }
}

/// Puts every two neighbours together: the buckets of the next coarser schema.
fn halve(buckets: &mut BTreeMap<i32, u64>) {
    let mut coarser = BTreeMap::new();
    for (index, count) in std::mem::take(buckets) {
        // Upwards, as a bucket contains its upper bound and not its lower one.
        *coarser.entry((index + 1) >> 1).or_default() += count;
    }
    *buckets = coarser;
}

/// The bucket of a positive, finite value: the least `i` with `value <= 2^(i / 2^schema)`.
fn index(value: f64, schema: i32) -> i32 {
    let (fraction, exponent) = fraction_and_exponent(value);
    if schema <= 0 {
        // `2^exponent` is the upper bound, unless the value is exactly one power lower.
        let exponent = if fraction <= 0.5 {
            exponent - 1
        } else {
            exponent
        };
        let round_up = (1 << -schema) - 1;
        return (exponent + round_up) >> -schema;
    }
    let per_power = 1 << schema;
    let steps = (fraction.log2() + 1.0) * f64::from(per_power);
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 256")]
    let mut step = steps.ceil() as i32;
    // The logarithm may be off by a little; the bounds themselves decide.
    let bound = |step: i32| 0.5 * (f64::from(step) / f64::from(per_power)).exp2();
    if step > 0 && fraction <= bound(step - 1) {
        step -= 1;
    } else if fraction > bound(step) {
        step += 1;
    }
    step + (exponent - 1) * per_power
}

/// `value` is the fraction, from 0.5 to below 1, times 2 to the exponent.
fn fraction_and_exponent(value: f64) -> (f64, i32) {
    const FRACTION_BITS: u32 = 52;
    const BIAS: i32 = 1022;
    let bits = value.to_bits();
    let raw = ((bits >> FRACTION_BITS) & 0x7ff) as u16;
    if raw == 0 {
        // Subnormal: below every zero threshold in use, but right all the same.
        let (fraction, exponent) = fraction_and_exponent(value * 2f64.powi(64));
        return (fraction, exponent - 64);
    }
    let fraction = bits & !(0x7ff << FRACTION_BITS) | (0x3fe << FRACTION_BITS);
    (f64::from_bits(fraction), i32::from(raw) - BIAS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn powers_of_two_are_the_upper_bounds_of_their_buckets() {
        for schema in -4..=8 {
            let per_power = 2f64.powi(schema);
            for power in [-32, -16, 0, 16, 32] {
                #[expect(clippy::cast_possible_truncation, reason = "small")]
                let expected = (f64::from(power) * per_power) as i32;
                let value = 2f64.powi(power);
                assert_eq!(index(value, schema), expected, "{value} in {schema}");
                assert_eq!(
                    index(value * (1.0 + 1e-9), schema),
                    expected + 1,
                    "{schema}"
                );
            }
        }
    }

    #[test]
    fn too_many_buckets_become_coarser_and_none_is_lost() {
        let mut native = Native::new(NativeOptions {
            schema: 8,
            max_buckets: 20,
        });
        for power in 1..1000 {
            native.record(f64::from(power) * 0.37, 1);
            native.record(-f64::from(power), 2);
        }
        native.record(0.0, 5);
        let view = native.view();
        assert!(view.positive.len() + view.negative.len() <= 20);
        assert!(view.schema < 8);
        let count = |buckets: &[(i32, u64)]| buckets.iter().map(|(_, count)| count).sum::<u64>();
        let counts = (
            count(&view.positive),
            count(&view.negative),
            view.zero_count,
        );
        assert_eq!(counts, (999, 1998, 5));
    }

    proptest! {
        #[test]
        fn a_value_is_within_its_bucket(value in 1e-30f64..1e30, schema in -4i32..=8) {
            let index = f64::from(index(value, schema));
            let width = 2f64.powi(schema);
            let (lower, upper) = (((index - 1.0) / width).exp2(), (index / width).exp2());
            prop_assert!(lower * (1.0 - 1e-12) < value && value <= upper * (1.0 + 1e-12));
        }

        #[test]
        fn a_coarser_index_is_that_of_the_coarser_schema(value in 1e-30f64..1e30, schema in -3i32..=8) {
            prop_assert_eq!((index(value, schema) + 1) >> 1, index(value, schema - 1));
        }
    }
}
