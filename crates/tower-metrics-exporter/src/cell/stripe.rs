//! One of several places that threads count in, so that they do not wait for each other's cache lines.

use std::sync::{OnceLock, atomic::Ordering};

// The model checker's, where this file is compiled for it.
use crate::sync::{AtomicBool, AtomicU64, thread_number};

/// As many words as two cache lines hold: processors fetch them in pairs.
const LINE: usize = 16;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line([AtomicU64; LINE]);

/// Numbers on cache lines of their own: the sum first, then a count for each bucket.
#[derive(Debug)]
struct Stripe {
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

    /// Whether nobody was in the way.
    fn record(&self, bucket: usize, count: u64, sum: f64) -> bool {
        if let Some(bucket) = self.word(bucket + 1) {
            bucket.fetch_add(count, Ordering::Relaxed);
        }
        self.word(0).is_none_or(|word| add_float(word, sum))
    }
}

/// How many stripes a histogram has at most.
const STRIPES: usize = 8;

/// Counts in buckets, and a sum.
///
/// One stripe is all that most histograms ever have. Once two threads get in each other's way in its sum,
/// each thread counts in the stripe that is its own, or that it shares with few.
#[derive(Debug)]
pub(super) struct Stripes {
    buckets: usize,
    is_contended: AtomicBool,
    first: Stripe,
    others: OnceLock<Box<[OnceLock<Stripe>; STRIPES - 1]>>,
}

impl Stripes {
    pub(super) fn new(buckets: usize) -> Self {
        Self {
            buckets,
            is_contended: AtomicBool::new(false),
            first: Stripe::new(buckets),
            others: OnceLock::new(),
        }
    }

    /// Counts `count` observations in one bucket, whose sum is `sum`.
    #[inline]
    pub(super) fn record(&self, bucket: usize, count: u64, sum: f64) {
        let stripe = if self.is_contended.load(Ordering::Relaxed) {
            self.own()
        } else {
            &self.first
        };
        if !stripe.record(bucket, count, sum) {
            self.spread();
        }
    }

    /// From now on every thread counts in its own stripe.
    pub(super) fn spread(&self) {
        self.is_contended.store(true, Ordering::Relaxed);
    }

    #[cold]
    fn own(&self) -> &Stripe {
        let Some(at) = (thread_number() % STRIPES).checked_sub(1) else {
            return &self.first;
        };
        let others = self.others.get_or_init(Box::default);
        let own = others.get(at);
        own.map_or(&self.first, |own| {
            own.get_or_init(|| Stripe::new(self.buckets))
        })
    }

    /// Puts the observations up to and including each bucket into `cumulative`, and gives the sum.
    ///
    /// What is recorded meanwhile is in both, in neither, or in the buckets alone. The last number is the
    /// count, so that it never differs from the buckets.
    pub(super) fn read(&self, cumulative: &mut Vec<u64>) -> f64 {
        cumulative.clear();
        cumulative.resize(self.buckets, 0);
        let others = self
            .others
            .get()
            .into_iter()
            .flat_map(|others| others.iter());
        let stripes = [&self.first]
            .into_iter()
            .chain(others.filter_map(OnceLock::get));
        let mut sum = 0.0;
        for stripe in stripes {
            let mut words = stripe.words();
            let added = words.next();
            sum += added.map_or(0.0, |word| f64::from_bits(word.load(Ordering::Relaxed)));
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

/// Adds to a float, and tells whether it worked at once.
pub(super) fn add_float(word: &AtomicU64, value: f64) -> bool {
    let mut old = word.load(Ordering::Relaxed);
    let mut at_once = true;
    loop {
        let new = (f64::from_bits(old) + value).to_bits();
        match word.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return at_once,
            Err(other) => (old, at_once) = (other, false),
        }
    }
}
