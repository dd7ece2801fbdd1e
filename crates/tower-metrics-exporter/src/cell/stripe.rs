//! Places that threads count in, so that they do not wait for each other's cache lines, nor need atomic
//! operations where they are alone.

use std::sync::{OnceLock, atomic::Ordering};

use super::{
    number::{add, add_float},
    owner::Owner,
};
// The model checker's, where this file is compiled for it.
use crate::sync::{AtomicBool, AtomicU64, thread};

/// As many words as two cache lines hold: processors fetch them in pairs.
const LINE: usize = 16;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line([AtomicU64; LINE]);

/// Numbers on cache lines of their own: the sum first, then a count for each bucket.
#[derive(Debug)]
pub(super) struct Stripe {
    lines: Box<[Line]>,
}

impl Stripe {
    fn new(buckets: usize) -> Self {
        let lines = (buckets + 1).div_ceil(LINE);
        Self {
            lines: (0..lines).map(|_| Line::default()).collect(),
        }
    }

    fn word(&self, at: usize) -> Option<&AtomicU64> {
        self.lines.get(at / LINE)?.0.get(at % LINE)
    }

    /// The sum, then the counts.
    fn words(&self) -> impl Iterator<Item = &AtomicU64> {
        self.lines.iter().flat_map(|Line(words)| words)
    }

    /// Counts where no other thread does.
    #[inline]
    pub(super) fn record(&self, bucket: usize, count: u64, sum: f64) {
        if let Some(bucket) = self.word(bucket + 1) {
            add(bucket, count);
        }
        if let Some(word) = self.word(0) {
            let sum = f64::from_bits(word.load(Ordering::Relaxed)) + sum;
            // Who sees this, sees the bucket.
            word.store(sum.to_bits(), Ordering::Release);
        }
    }

    /// Counts where others do, too. Tells whether it is worth a place of one's own.
    fn record_among(&self, bucket: usize, count: u64, sum: f64) -> bool {
        let word = self.word(bucket + 1);
        let often = word.is_some_and(|word| word.fetch_add(count, Ordering::Relaxed) >= OFTEN);
        let in_the_way = self.word(0).is_some_and(|word| !add_float(word, sum));
        often || in_the_way
    }
}

/// How many threads have a stripe of their own at most, and how many stripes those share that have none.
const STRIPES: usize = 8;

/// An observation of a value of which others made so many is worth a stripe of one's own.
const OFTEN: u64 = 1 << 16;

/// Counts in buckets, and a sum.
///
/// The first thread has a stripe of its own, and the others share one: two are all that a quiet histogram ever
/// has. Once the others get in each other's way in its sum, or come very often, each of them has its own, up to
/// 8, and those that come after share 8 more: a busy one has up to one more than threads, and at most 18, each of
/// 128 bytes for 15 buckets and for every 16 more. So one of 17 buckets has 256 or 512 bytes while it is quiet, and
/// with the table of the stripes at most 5 KiB; glibc's allocator needs some 150 more for each stripe, to align it.
#[derive(Debug)]
pub(super) struct Stripes {
    buckets: usize,
    owner: Owner,
    is_spread: AtomicBool,
    first: Stripe,
    second: OnceLock<Stripe>,
    others: OnceLock<Box<Others>>,
}

/// The stripes of all threads but the first, once there are so many of them.
#[derive(Debug, Default)]
struct Others {
    /// By the numbers of their threads, the lowest of which is 1.
    own: [OnceLock<Stripe>; STRIPES],
    shared: [OnceLock<Stripe>; STRIPES],
}

impl Stripes {
    pub(super) fn new(buckets: usize) -> Self {
        Self {
            buckets,
            owner: Owner::new(),
            is_spread: AtomicBool::new(false),
            first: Stripe::new(buckets),
            second: OnceLock::new(),
            others: OnceLock::new(),
        }
    }

    /// Counts `count` observations in one bucket, whose sum is `sum`.
    pub(super) fn record(&self, bucket: usize, count: u64, sum: f64) {
        if self.owner.is_this_thread() {
            self.first.record(bucket, count, sum);
        } else {
            self.record_elsewhere(bucket, count, sum);
        }
    }

    /// The stripe of this thread alone, if it has one by now.
    #[inline]
    pub(super) fn own(&self) -> Option<&Stripe> {
        if self.owner.is_known_to_be_this_thread() {
            return Some(&self.first);
        }
        let at = usize::try_from(thread::known()).ok()?.checked_sub(1)?;
        self.others.get()?.own.get(at)?.get()
    }

    fn record_elsewhere(&self, bucket: usize, count: u64, sum: f64) {
        let new = || Stripe::new(self.buckets);
        if !self.is_spread.load(Ordering::Relaxed) {
            let second = self.second.get_or_init(new);
            if second.record_among(bucket, count, sum) {
                self.spread();
            }
            return;
        }
        let others = self.others.get_or_init(Box::default);
        // By now a thread has a number, unless it is on its way out and has one that is too great.
        let at = usize::try_from(thread::known()).unwrap_or(usize::MAX);
        if let Some(own) = at.checked_sub(1).and_then(|at| others.own.get(at)) {
            own.get_or_init(new).record(bucket, count, sum);
        } else if let Some(shared) = others.shared.get(at % STRIPES) {
            shared.get_or_init(new).record_among(bucket, count, sum);
        }
    }

    /// From now on every thread counts in its own stripe.
    pub(super) fn spread(&self) {
        self.is_spread.store(true, Ordering::Relaxed);
    }

    /// Puts the observations up to and including each bucket into `cumulative`, and gives the sum.
    ///
    /// What is recorded meanwhile is in both, in neither, or in the buckets alone: a sum is written after its
    /// buckets, and read before them. The last number is the count, so that it never differs from the buckets.
    pub(super) fn read(&self, cumulative: &mut Vec<u64>) -> f64 {
        cumulative.clear();
        cumulative.resize(self.buckets, 0);
        let others = self.others.get().into_iter();
        let others = others.flat_map(|others| others.own.iter().chain(&others.shared));
        let others = [&self.second].into_iter().chain(others);
        let stripes = [&self.first]
            .into_iter()
            .chain(others.filter_map(OnceLock::get));
        let mut sum = 0.0;
        for stripe in stripes {
            let mut words = stripe.words();
            let added = words.next();
            sum += added.map_or(0.0, |word| f64::from_bits(word.load(Ordering::Acquire)));
            for (count, word) in cumulative.iter_mut().zip(words) {
                *count += word.load(Ordering::Relaxed);
            }
        }
        let mut total = 0;
        for count in cumulative {
            total += *count;
            *count = total;
        }
        sum
    }
}
