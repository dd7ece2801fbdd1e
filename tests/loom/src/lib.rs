//! Files of the crates, compiled with loom's atomics in place of the standard library's, and run in every
//! interleaving of their threads.
//!
//! What the standard library synchronises (`OnceLock`) the checker does not see, and so does not check.

#![cfg(test)]

#[path = "../../../crates/tower-metrics-exporter/src/cell/stripe.rs"]
mod stripe;

mod sink;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64};
}

use loom::{sync::Arc, thread};

use stripe::Stripes;

#[test]
fn no_observation_is_lost_and_no_scrape_is_taken_back() {
    loom::model(|| {
        let stripes = Arc::new(Stripes::new(2));
        let other = Arc::clone(&stripes);
        let thread = thread::spawn(move || {
            other.record(0, 1, 1.0);
            other.record(1, 1, 4.0);
        });
        stripes.record(1, 2, 2.0);
        let (mut some, mut all) = (Vec::new(), Vec::new());
        stripes.read(&mut some);
        thread.join().unwrap();
        let sum = stripes.read(&mut all);
        assert_eq!((all.as_slice(), sum), (&[1, 4][..], 7.0));
        assert!(some.is_sorted() && some.iter().zip(&all).all(|(some, all)| some <= all));
    });
}
