//! Numbers that threads add to, each in two places: that of the thread which was first, and that of the others.

use std::sync::atomic::Ordering;

use super::owner::Owner;
// The model checker's, where this file is compiled for it.
use crate::sync::AtomicU64;

/// A whole number that only rises.
#[derive(Debug)]
pub(crate) struct Count {
    owner: Owner,
    own: AtomicU64,
    others: AtomicU64,
}

impl Count {
    pub(crate) fn new() -> Self {
        Self {
            owner: Owner::new(),
            own: AtomicU64::new(0),
            others: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn add(&self, value: u64) {
        // Who makes a series known seldom is who counts in it.
        if value == 0 {
            return;
        }
        if self.owner.is_this_thread() {
            add(&self.own, value);
        } else {
            self.others.fetch_add(value, Ordering::Relaxed);
        }
    }

    /// Raises it to this, if it is less.
    pub(crate) fn raise(&self, value: u64) {
        let missing = |others| {
            let own = self.own.load(Ordering::Relaxed);
            let count = own.wrapping_add(others);
            (count < value).then(|| value.wrapping_sub(own))
        };
        // `Err` is that it is no less.
        let _ = self
            .others
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, missing);
    }

    pub(crate) fn load(&self) -> u64 {
        let own = self.own.load(Ordering::Relaxed);
        own.wrapping_add(self.others.load(Ordering::Relaxed))
    }
}

/// A number that rises and falls, and can be set.
#[derive(Debug)]
pub(crate) struct Level {
    owner: Owner,
    /// In the lower 48 bits how often the owner has raised it by one, less how often it has lowered it by one, which
    /// takes years to have no room there. Above them how often it has done either: two words that are less than 2^16
    /// changes apart are never the same, though what is below carries into what is above.
    own: AtomicU64,
    /// The rest, a float.
    others: AtomicU64,
}

/// A change by the owner, but for what it adds.
const CHANGE: u64 = 1 << VALUE_BITS;
const VALUE_BITS: u32 = 48;

/// How often a read begins anew at most, before it takes what it has. A read is so short that hardly one does twice.
const READS: usize = 1000;

impl Level {
    pub(crate) fn new() -> Self {
        Self {
            owner: Owner::new(),
            own: AtomicU64::new(0),
            others: AtomicU64::new(0f64.to_bits()),
        }
    }

    #[inline]
    pub(crate) fn add(&self, value: f64) {
        const UP: u64 = 1f64.to_bits();
        const DOWN: u64 = (-1f64).to_bits();
        // By one, which sums of floats hold exactly wherever they are kept.
        let change = match value.to_bits() {
            UP => CHANGE + 1,
            DOWN => CHANGE - 1,
            _ => 0,
        };
        if change != 0 && self.owner.is_this_thread() {
            let own = self.own.load(Ordering::Relaxed).wrapping_add(change);
            // Who sees this, sees what others had done before.
            self.own.store(own, Ordering::Release);
        } else {
            add_float(&self.others, value);
        }
    }

    #[inline]
    pub(crate) fn set(&self, value: f64) {
        let bits = value.to_bits();
        if self.owner.is_nobody() {
            self.others.store(bits, Ordering::Release);
        } else {
            // After what others have just added, which a mere store need not be to the checker.
            self.owner
                .dismiss(|| self.others.swap(bits, Ordering::Release));
        }
    }

    /// What it was at some moment: what one thread raised and another lowered is not seen lowered alone.
    pub(crate) fn load(&self) -> f64 {
        let others = || f64::from_bits(self.others.load(Ordering::Acquire));
        self.owner.read(|| self.both(others), others)
    }

    /// Of one moment: the owner did nothing while the others' place was read.
    fn both(&self, others: impl Fn() -> f64) -> f64 {
        let mut own = self.own.load(Ordering::Acquire);
        let mut rest = others();
        for _ in 0..READS {
            let now = self.own.load(Ordering::Acquire);
            if now == own {
                break;
            }
            own = now;
            rest = others();
        }
        #[expect(
            clippy::cast_possible_wrap,
            clippy::cast_precision_loss,
            reason = "it wraps back, and is near to zero"
        )]
        let own = ((own << (u64::BITS - VALUE_BITS)) as i64 >> (u64::BITS - VALUE_BITS)) as f64;
        own + rest
    }
}

/// Adds where nobody else does.
#[inline]
pub(super) fn add(word: &AtomicU64, value: u64) {
    let sum = word.load(Ordering::Relaxed).wrapping_add(value);
    word.store(sum, Ordering::Relaxed);
}

/// Adds to a float, and tells whether it worked at once.
pub(super) fn add_float(word: &AtomicU64, value: f64) -> bool {
    let mut old = word.load(Ordering::Relaxed);
    let mut at_once = true;
    loop {
        let new = (f64::from_bits(old) + value).to_bits();
        // Who sees this, sees what this thread did before.
        match word.compare_exchange(old, new, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return at_once,
            Err(other) => (old, at_once) = (other, false),
        }
    }
}
