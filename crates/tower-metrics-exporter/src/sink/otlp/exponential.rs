//! Exponential histograms, made of native ones.

use super::encode::{attributes, exemplars};
use crate::{
    format::{Labels, NativeView, Writer},
    sink::frame::Histogram,
};

// The fields of `ExponentialHistogramDataPoint` and what is in it.
const EXPONENTIAL_ATTRIBUTE: u32 = 1;
const EXPONENTIAL_COUNT: u32 = 4;
const EXPONENTIAL_SUM: u32 = 5;
const EXPONENTIAL_SCALE: u32 = 6;
const EXPONENTIAL_ZERO_COUNT: u32 = 7;
const EXPONENTIAL_POSITIVE: u32 = 8;
const EXPONENTIAL_NEGATIVE: u32 = 9;
const EXPONENTIAL_EXEMPLAR: u32 = 11;
const EXPONENTIAL_ZERO_THRESHOLD: u32 = 14;
const BUCKETS_OFFSET: u32 = 1;
const BUCKETS_COUNTS: u32 = 2;

/// Adds the fields of a point, but for its times.
pub(super) fn exponential(
    wire: &mut Writer<'_>,
    labels: &Labels,
    histogram: &Histogram,
    native: &NativeView,
) {
    attributes(wire, EXPONENTIAL_ATTRIBUTE, labels);
    wire.fixed64(EXPONENTIAL_COUNT, native.count());
    wire.double(EXPONENTIAL_SUM, histogram.sum);
    let coarser = halvings(&native.positive).max(halvings(&native.negative));
    let scale = i64::from(native.schema) - i64::from(coarser);
    wire.zigzag(EXPONENTIAL_SCALE, scale);
    wire.fixed64(EXPONENTIAL_ZERO_COUNT, native.zero_count);
    buckets(wire, EXPONENTIAL_POSITIVE, &native.positive, coarser);
    buckets(wire, EXPONENTIAL_NEGATIVE, &native.negative, coarser);
    exemplars(wire, EXPONENTIAL_EXEMPLAR, histogram);
    wire.double(EXPONENTIAL_ZERO_THRESHOLD, native.zero_threshold);
}

/// As many buckets are written of each sign, those that are empty included: `MaxSize` of OpenTelemetry's own
/// histograms, and what its backends are made for.
const MAX_BUCKETS: i32 = 160;

/// How often neighbours have to be put together, so that there are no more than that from the first to the last.
fn halvings(buckets: &[(i32, u64)]) -> u32 {
    let (Some((first, _)), Some((last, _))) = (buckets.first(), buckets.last()) else {
        return 0;
    };
    // Never as many: past it, all of them are two.
    (0..31)
        .find(|times| merged(*last, *times) - merged(*first, *times) < MAX_BUCKETS)
        .unwrap_or(31)
}

/// The index of a bucket once neighbours were put together so often, as OpenTelemetry counts: by the lower bound,
/// where Prometheus takes the upper.
const fn merged(index: i32, times: u32) -> i32 {
    (index - 1) >> times
}

/// All counts from the first to the last.
fn buckets(wire: &mut Writer<'_>, field: u32, buckets: &[(i32, u64)], coarser: u32) {
    let mut buckets = buckets
        .iter()
        .map(|(index, count)| (merged(*index, coarser), *count))
        .peekable();
    let Some((first, _)) = buckets.peek().copied() else {
        return;
    };
    let message = wire.begin_long(field);
    wire.zigzag(BUCKETS_OFFSET, first.into());
    let mut next = first;
    let counts = std::iter::from_fn(|| {
        let mut count = 0;
        buckets.peek()?;
        while let Some((_, more)) = buckets.next_if(|(index, _)| *index == next) {
            count += more;
        }
        next += 1;
        Some(count)
    });
    wire.packed_varint(BUCKETS_COUNTS, counts);
    wire.end(message);
}
