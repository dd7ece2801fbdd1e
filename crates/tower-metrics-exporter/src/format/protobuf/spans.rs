//! The buckets of a native histogram, as Prometheus' messages have them: those of a page, and those of remote-write.

use super::Writer;

const SPAN_OFFSET: u32 = 1;
const SPAN_LENGTH: u32 = 2;

/// Gaps of so many empty buckets are written as such: another span would be longer.
const MAX_GAP: i64 = 2;

impl Writer<'_> {
    /// Where there are buckets, and by how much each differs from the one before, in these fields.
    pub(crate) fn spans(&mut self, span: u32, delta: u32, buckets: &[(i32, u64)]) {
        let joins = |(one, _): &(i32, u64), (next, _): &(i32, u64)| {
            i64::from(*next) - i64::from(*one) - 1 <= MAX_GAP
        };
        let (mut at, mut level) = (0, 0);
        for run in buckets.chunk_by(joins) {
            let (Some((first, _)), Some((last, _))) = (run.first(), run.last()) else {
                continue;
            };
            let (first, last) = (i64::from(*first), i64::from(*last));
            self.span(span, first - at, (last + 1 - first).unsigned_abs());
            at = first;
            for (index, count) in run {
                while at < i64::from(*index) {
                    self.zigzag(delta, -level);
                    (level, at) = (0, at + 1);
                }
                let count = i64::try_from(*count).unwrap_or(i64::MAX);
                self.zigzag(delta, count - level);
                (level, at) = (count, at + 1);
            }
        }
    }

    pub(super) fn span(&mut self, field: u32, offset: i64, length: u64) {
        let span = self.begin(field);
        self.zigzag(SPAN_OFFSET, offset);
        self.unsigned(SPAN_LENGTH, length);
        self.end(span);
    }
}
