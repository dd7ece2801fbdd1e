//! What a model checker checks is compiled with its own of these.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};

/// Threads by number.
pub(crate) mod thread {
    use std::{
        cell::Cell,
        sync::{Mutex, PoisonError},
    };

    pub(crate) use std::thread::yield_now;

    /// The number of those that have none yet.
    pub(crate) const NEW: u64 = u64::MAX - 1;
    /// And of those that have none any more.
    const LEAVING: u64 = u64::MAX;

    /// The greatest number that a thread has or had, and those that no thread has any more.
    static LENT: Mutex<(u64, Vec<u64>)> = Mutex::new((0, Vec::new()));

    thread_local! {
        // By itself, as it is read for every observation: what has a destructor takes longer to find.
        static NUMBER: Cell<u64> = const { Cell::new(NEW) };
        static LOAN: Loan = const { Loan };
    }

    /// Gives the number of a thread back when that ends.
    struct Loan;

    impl Drop for Loan {
        fn drop(&mut self) {
            if let Ok(number) = NUMBER.try_with(|number| number.replace(LEAVING)) {
                let mut lent = LENT.lock().unwrap_or_else(PoisonError::into_inner);
                lent.1.push(number);
            }
        }
    }

    /// The number of this thread, if it has one: if not, one that no thread has.
    #[inline]
    pub(crate) fn known() -> u64 {
        NUMBER.try_with(Cell::get).unwrap_or(LEAVING)
    }

    /// The number of this thread, from 1, and none on its way out. No other thread that runs has it: when
    /// this one has ended, another that gets it finds all that this one wrote.
    #[cold]
    pub(crate) fn number() -> Option<u64> {
        match known() {
            NEW => lend(),
            LEAVING => None,
            number => Some(number),
        }
    }

    fn lend() -> Option<u64> {
        // First, so that it is given back.
        LOAN.try_with(|_| ()).ok()?;
        let mut lent = LENT.lock().unwrap_or_else(PoisonError::into_inner);
        let number = lent.1.pop().unwrap_or(lent.0 + 1);
        lent.0 = lent.0.max(number);
        NUMBER.try_with(|own| own.set(number)).ok()?;
        Some(number)
    }

    #[cfg(test)]
    mod tests {
        use std::thread;

        use super::*;

        #[test]
        fn threads_that_run_have_numbers_of_their_own() {
            let own = number();
            assert_eq!((own, own), (number(), Some(known())));
            let others = thread::scope(|scope| {
                let one = scope.spawn(|| {
                    let other = scope.spawn(number).join().unwrap();
                    (number(), other)
                });
                one.join().unwrap()
            });
            assert!(own != others.0 && own != others.1);
        }

        #[test]
        fn a_thread_that_leaves_has_none() {
            thread_local! {
                static LAST: Last = const { Last };
            }
            struct Last;
            impl Drop for Last {
                fn drop(&mut self) {
                    // Whichever of the two is dropped first: a number is its owner's, or none.
                    if let Some(number) = number() {
                        assert_eq!(number, known());
                    }
                }
            }
            let spawned = thread::spawn(|| {
                LAST.with(|_| ());
                number()
            });
            assert!(spawned.join().unwrap().is_some());
        }
    }
}
