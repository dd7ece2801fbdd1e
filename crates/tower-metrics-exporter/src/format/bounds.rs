use super::number::push_le;

/// The upper bounds of a family's buckets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bounds {
    /// Ascending and finite.
    values: Box<[f64]>,
    cells: Option<Cells>,
    /// Each as the value of `le`, and `+Inf`, and what comes between that and the sample's value.
    texts: Box<[Box<str>]>,
}

impl Bounds {
    pub(crate) fn new(values: impl Into<Box<[f64]>>) -> Self {
        let values = values.into();
        let texts = values.iter().chain([&f64::INFINITY]).map(|value| {
            let mut text = Vec::new();
            push_le(&mut text, *value);
            text.extend_from_slice(b"\"} ");
            String::from_utf8_lossy(&text).into()
        });
        Self {
            texts: texts.collect(),
            cells: Cells::of(&values),
            values,
        }
    }

    /// The number of the first bucket whose bound is not below the value, which is finite.
    #[inline]
    pub(crate) fn bucket(&self, value: f64) -> usize {
        match &self.cells {
            Some(cells) => cells.bucket(value),
            None => self.values.partition_point(|bound| *bound < value),
        }
    }

    /// Without `+Inf`.
    pub(crate) fn values(&self) -> &[f64] {
        &self.values
    }

    /// Each as the end of a bucket's labels, from the value of `le` on, `"} ` included; `+Inf` at the end.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|text| &**text)
    }

    /// Each as the value of `le`; `+Inf` at the end.
    #[cfg(any(feature = "remote-write", feature = "statsd"))]
    pub(crate) fn le(&self) -> impl Iterator<Item = &str> {
        self.texts().map(|text| text.trim_end_matches("\"} "))
    }

    /// How many buckets there are, that of `+Inf` included.
    pub(crate) fn buckets(&self) -> usize {
        self.texts.len()
    }
}

/// Where a value's bucket is found by the value's exponent and the first bits of its fraction: what values have
/// these in common are a cell, in which at most one bound is. That takes two look-ups and one comparison, however
/// many bounds there are, and no branch that depends on the value.
#[derive(Clone, Debug, PartialEq)]
struct Cells {
    /// How many of a value's lower bits tell nothing of its cell.
    shift: u32,
    /// The number that comes before that of the first cell with a positive bound.
    base: i64,
    /// How many bounds are below each cell: first all values below those with a positive bound, then each cell up to
    /// that of the last bound, then all values above.
    below: Box<[u16]>,
    /// The bounds, and one that no value is above.
    bounds: Box<[f64]>,
}

/// So many bits of the fraction tell cells apart at most: 64 in an octave.
const MAX_BITS: u32 = 6;
const MAX_CELLS: i64 = 1024;

impl Cells {
    /// None if bounds are too near to each other, too far apart or too near to zero, or more than one is not positive.
    fn of(values: &[f64]) -> Option<Self> {
        let mut shifts = (0..=MAX_BITS).map(|bits| f64::MANTISSA_DIGITS - 1 - bits);
        shifts.find_map(|shift| Self::with(values, shift))
    }

    fn with(values: &[f64], shift: u32) -> Option<Self> {
        let cell = |value| cell(value, shift);
        let positive = values.partition_point(|bound| *bound <= 0.0);
        let first = values.get(positive).copied().map(cell);
        let last = values.last().copied().map(cell);
        // Without any, everything is above.
        let (base, cells) = match (first, last) {
            (Some(first), Some(last)) => (first - 1, last - first + 3),
            _ => (0, 1),
        };
        // Where zero has the cell of a positive bound, what is below both is not told apart.
        if cells > MAX_CELLS || positive > 1 || base < 0 {
            return None;
        }
        let mut cells = Self {
            shift,
            base,
            below: vec![0; usize::try_from(cells).ok()?].into(),
            bounds: values.iter().copied().chain([f64::INFINITY]).collect(),
        };
        let mut last = None;
        for bound in values {
            let at = cells.at(*bound);
            if last.replace(at) == Some(at) {
                return None;
            }
            for below in cells.below.iter_mut().skip(at + 1) {
                *below += 1;
            }
        }
        Some(cells)
    }

    /// The place of the value's cell.
    #[inline]
    fn at(&self, value: f64) -> usize {
        let at = usize::try_from(cell(value, self.shift) - self.base).unwrap_or_default();
        at.min(self.below.len() - 1)
    }

    #[inline]
    fn bucket(&self, value: f64) -> usize {
        let below = self.below.get(self.at(value)).copied();
        let below = usize::from(below.unwrap_or_default());
        let bound = self.bounds.get(below).copied();
        below + usize::from(bound.is_some_and(|bound| bound < value))
    }
}

/// The number of a value's cell. Those that are not negative are in the order of their bits; all others have a negative
/// number.
#[inline]
fn cell(value: f64, shift: u32) -> i64 {
    i64::from_ne_bytes(value.to_ne_bytes()) >> shift
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_by_cells(bounds: &[f64]) -> bool {
        Bounds::new(bounds).cells.is_some()
    }

    #[test]
    fn usual_bounds_have_a_cell_each() {
        for bounds in [
            &crate::DEFAULT_BUCKETS[..],
            &crate::DEFAULT_SIZE_BUCKETS[..],
            &[0.0, 1.0, 10.0],
            &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0],
            &[0.5, 0.9, 0.95, 0.99],
            &[-1.0],
            &[],
        ] {
            assert!(is_by_cells(bounds), "{bounds:?}");
        }
    }

    #[test]
    fn bounds_without_a_cell_each_are_looked_for() {
        for bounds in [
            &[-1.0, 0.0][..],
            &[99.0, 99.9],
            &[f64::MIN_POSITIVE, f64::MAX],
            &[-0.0, f64::from_bits(1)],
        ] {
            assert!(!is_by_cells(bounds), "{bounds:?}");
        }
    }

    /// Bounds as people choose them: steps, powers, or any.
    fn bounds() -> impl Strategy<Value = Vec<f64>> {
        let steps = (-5i32..5, 0.01f64..100.0, 0i32..40)
            .prop_map(|(from, by, many)| (0..many).map(|at| f64::from(from + at) * by).collect());
        let powers = (1e-9f64..10.0, 1.05f64..12.0, 0i32..40)
            .prop_map(|(from, by, many)| (0..many).map(|at| from * by.powi(at)).collect());
        let any = proptest::collection::vec(any::<f64>(), 0..10);
        prop_oneof![steps, powers, any].prop_map(|mut bounds: Vec<f64>| {
            bounds.retain(|bound| bound.is_finite());
            bounds.sort_by(f64::total_cmp);
            bounds.dedup();
            bounds
        })
    }

    proptest! {
        #[test]
        fn a_bucket_is_the_first_whose_bound_is_not_below(bounds in bounds(), any: f64, near in 0.0f64..1000.0) {
            let found = Bounds::new(&*bounds);
            let around = bounds.iter().flat_map(|bound| [bound.next_down(), *bound, bound.next_up(), -bound]);
            let others = [any, near, -near, 0.0, -0.0, f64::MIN, f64::MAX, f64::MIN_POSITIVE];
            for value in around.chain(others).filter(|value| value.is_finite()) {
                let expected = bounds.iter().filter(|bound| **bound < value).count();
                prop_assert_eq!(found.bucket(value), expected, "{} in {:?}", value, bounds);
            }
        }
    }
}
