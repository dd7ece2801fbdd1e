//! The recorder's numbers and histograms, and series that come and go.

#[path = "../../../crates/tower-metrics-exporter/src/registry/life.rs"]
mod life;
#[path = "../../../crates/tower-metrics-exporter/src/cell/number.rs"]
mod number;
#[path = "../../../crates/tower-metrics-exporter/src/cell/owner.rs"]
mod owner;
#[path = "../../../crates/tower-metrics-exporter/src/cell/stripe.rs"]
mod stripe;

use std::sync::atomic::Ordering;

use loom::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64},
    },
    thread,
};

use self::{
    life::Life,
    number::{Count, Level},
    stripe::Stripes,
};
use crate::sync::thread::set_number;

/// As a series does it.
fn observe(stripes: &Stripes, bucket: usize, value: f64) {
    match stripes.own() {
        Some(own) => own.record(bucket, 1, value),
        None => stripes.record(bucket, 1, value),
    }
}

#[test]
fn no_observation_is_lost_and_no_scrape_is_taken_back() {
    loom::model(|| {
        let stripes = Arc::new(Stripes::new(2));
        // What is shared is made here, as the checker does not see by what it is handed on.
        stripes.record(0, 0, 0.0);
        set_number(1);
        let other = Arc::clone(&stripes);
        let thread = thread::spawn(move || {
            observe(&other, 0, 1.0);
            observe(&other, 1, 4.0);
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

#[test]
fn each_thread_has_a_stripe_once_they_were_in_each_others_way() {
    loom::model(|| {
        let stripes = Arc::new(Stripes::new(1));
        observe(&stripes, 0, 1.0);
        stripes.spread();
        let threads = [1, 2].map(|number| {
            let stripes = Arc::clone(&stripes);
            thread::spawn(move || {
                set_number(number);
                observe(&stripes, 0, 2.0);
            })
        });
        let (mut before, mut after) = (Vec::new(), Vec::new());
        stripes.read(&mut before);
        stripes.read(&mut after);
        assert!(before <= after && [1, 2, 3].contains(&after[0]));
        for thread in threads {
            thread.join().unwrap();
        }
        let sum = stripes.read(&mut after);
        assert_eq!((after.as_slice(), sum), (&[3][..], 5.0));
    });
}

#[test]
fn two_that_meet_in_a_sum_lose_nothing() {
    loom::model(|| {
        let stripes = Arc::new(Stripes::new(1));
        let other = Arc::clone(&stripes);
        let thread = thread::spawn(move || {
            set_number(1);
            observe(&other, 0, 1.0);
            observe(&other, 0, 2.0);
        });
        observe(&stripes, 0, 4.0);
        observe(&stripes, 0, 8.0);
        thread.join().unwrap();
        let mut all = Vec::new();
        let sum = stripes.read(&mut all);
        assert_eq!((all.as_slice(), sum), (&[4][..], 15.0));
    });
}

/// Of three threads; more changes of who runs take minutes, and show no more.
fn few_changes(check: impl Fn() + Send + Sync + 'static) {
    let mut every = loom::model::Builder::new();
    every.preemption_bound = Some(3);
    every.check(check);
}

#[test]
fn the_first_thread_and_the_others_count_in_places_of_their_own() {
    few_changes(|| {
        let count = Arc::new(Count::new());
        let threads = [1, 2].map(|number| {
            let count = Arc::clone(&count);
            thread::spawn(move || {
                set_number(number);
                count.add(1);
                count.add(2);
            })
        });
        let (before, after) = (count.load(), count.load());
        assert!(before <= after && after <= 6);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(count.load(), 6);
    });
}

#[test]
fn a_thread_with_the_number_of_one_that_ended_goes_on_where_that_was() {
    few_changes(|| {
        let count = Arc::new(Count::new());
        for _ in 0..2 {
            let other = Arc::clone(&count);
            let thread = thread::spawn(move || {
                set_number(1);
                other.add(1);
            });
            count.add(1);
            // The system's threads give their numbers back under a lock.
            thread.join().unwrap();
        }
        assert_eq!(count.load(), 4);
    });
}

#[test]
fn a_count_is_raised_to_what_it_is_at_least() {
    few_changes(|| {
        let count = Arc::new(Count::new());
        let other = Arc::clone(&count);
        let thread = thread::spawn(move || {
            set_number(1);
            other.add(2);
        });
        count.raise(3);
        assert!((3..=5).contains(&count.load()));
        thread.join().unwrap();
        // The two were before, after, or in either half.
        assert!((3..=5).contains(&count.load()));
        count.raise(9);
        assert_eq!(count.load(), 9);
    });
}

#[test]
fn a_level_that_is_raised_and_lowered_comes_back() {
    few_changes(|| {
        let level = Arc::new(Level::new());
        let threads = [1, 2].map(|number| {
            let level = Arc::clone(&level);
            thread::spawn(move || {
                set_number(number);
                level.add(1.0);
                level.add(-1.0);
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(level.load(), 0.0);
    });
}

#[test]
fn a_level_is_set_at_once_whoever_raises_it() {
    few_changes(|| {
        let level = Arc::new(Level::new());
        let threads = [1, 2].map(|number| {
            let level = Arc::clone(&level);
            thread::spawn(move || {
                set_number(number);
                if number == 1 {
                    level.add(1.0);
                } else {
                    level.set(8.5);
                }
            })
        });
        let seen = level.load();
        assert!([0.0, 1.0, 8.5, 9.5].contains(&seen), "{seen}");
        for thread in threads {
            thread.join().unwrap();
        }
        let seen = level.load();
        assert!([8.5, 9.5].contains(&seen), "{seen}");
        level.set(0.1);
        assert_eq!(level.load(), 0.1);
        level.add(1.0);
        assert_eq!(level.load(), 1.1);
    });
}

/// The first to change a level hands on to the second, while a third looks: that sees one without the other's, but
/// never the other's without the first's.
fn handed_on(owner_is_first: bool) {
    few_changes(move || {
        let level = Arc::new(Level::new());
        let is_handed_on = Arc::new(AtomicBool::new(false));
        set_number(1);
        // From now on it is the owner, and no change is its first.
        level.add(1.0);
        level.add(-1.0);
        let first = |level: &Level, is_handed_on: &AtomicBool| {
            level.add(1.0);
            is_handed_on.store(true, Ordering::Release);
        };
        let second = |level: &Level, is_handed_on: &AtomicBool| {
            if is_handed_on.load(Ordering::Acquire) {
                level.add(-1.0);
            }
        };
        let (other, is_other) = (Arc::clone(&level), Arc::clone(&is_handed_on));
        let thread = thread::spawn(move || {
            set_number(2);
            if owner_is_first {
                second(&other, &is_other);
            } else {
                first(&other, &is_other);
            }
        });
        let other = Arc::clone(&level);
        let reader = thread::spawn(move || {
            let seen = other.load();
            assert!([0.0, 1.0].contains(&seen), "{seen}");
        });
        if owner_is_first {
            first(&level, &is_handed_on);
        } else {
            second(&level, &is_handed_on);
        }
        thread.join().unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn what_others_raised_and_the_owner_lowers_is_never_below_what_it_was() {
    handed_on(false);
}

#[test]
fn what_the_owner_raised_and_others_lower_is_never_below_what_it_was() {
    handed_on(true);
}

#[test]
fn a_sum_is_never_ahead_of_its_buckets() {
    for is_owner in [false, true] {
        loom::model(move || {
            let stripes = Arc::new(Stripes::new(1));
            let record = |number| {
                set_number(number);
                observe(&stripes, 0, 1.0);
            };
            record(1);
            if !is_owner {
                record(2);
            }
            let other = Arc::clone(&stripes);
            // Not the other way round: what is loaded and then stored hides from the checker who loaded it before.
            let reader = thread::spawn(move || {
                let mut counts = Vec::new();
                let sum = other.read(&mut counts);
                assert!(sum <= counts[0] as f64, "{sum} of {counts:?}");
            });
            observe(&stripes, 0, 1.0);
            observe(&stripes, 0, 1.0);
            reader.join().unwrap();
        });
    }
}

/// A series and its family, of which it is the only one that there can be.
struct Series {
    value: AtomicU64,
    life: Life,
    is_member: Mutex<bool>,
}

impl Series {
    fn increment(&self) {
        self.value.fetch_add(1, Ordering::Relaxed);
        if self.life.touch() {
            let mut is_member = self.is_member.lock().unwrap();
            self.life.come_back();
            *is_member = true;
        }
    }

    fn expire(&self, now: u64) {
        let mut is_member = self.is_member.lock().unwrap();
        if *is_member && self.life.expire(now, 1) {
            *is_member = false;
        }
    }

    fn remove(&self) {
        let mut is_member = self.is_member.lock().unwrap();
        if std::mem::take(&mut *is_member) {
            self.life.leave();
        }
    }

    /// What a page has of it.
    fn shown(&self) -> Option<u64> {
        let is_member = self.is_member.lock().unwrap();
        is_member.then(|| self.value.load(Ordering::Relaxed))
    }
}

fn come_and_go(go: fn(&Series)) {
    few_changes(move || {
        let series = Arc::new(Series {
            value: AtomicU64::new(0),
            life: Life::new(),
            is_member: Mutex::new(true),
        });
        // Once looked at, it is used no more.
        series.expire(0);
        let threads = [(); 2].map(|()| {
            let series = Arc::clone(&series);
            thread::spawn(move || series.increment())
        });
        go(&series);
        for thread in threads {
            thread.join().unwrap();
        }
        // Nobody is half gone: who uses it next finds it, or puts it back, with all that it was told.
        assert!(matches!(series.shown(), None | Some(2)));
        series.increment();
        assert_eq!(series.shown(), Some(3));
        // And it can go again.
        series.expire(5);
        series.expire(10);
        assert_eq!(series.shown(), None);
    });
}

#[test]
fn a_series_that_expires_while_it_is_used_is_found_or_comes_back() {
    come_and_go(|series| series.expire(1));
}

#[test]
fn a_series_that_is_removed_while_it_is_used_is_found_or_comes_back() {
    come_and_go(Series::remove);
}
