use std::{cell::RefCell, thread::LocalKey};

/// Memory that a thread keeps, of what is done.
pub(crate) struct Spare<T>(RefCell<Vec<T>>);

impl<T> Spare<T> {
    const MOST: usize = 32;

    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// None if there is none; also on a thread that ends.
    pub(crate) fn take(place: &'static LocalKey<Self>) -> Option<T> {
        let take = |Self(all): &Self| all.try_borrow_mut().ok()?.pop();
        place.try_with(take).ok().flatten()
    }

    /// Keeps it, unless there are many. On a thread that ends it is dropped.
    pub(crate) fn put(place: &'static LocalKey<Self>, one: T) {
        let put = |Self(all): &Self| {
            if let Ok(mut all) = all.try_borrow_mut() {
                if all.len() < Self::MOST {
                    all.push(one);
                }
            }
        };
        let _ = place.try_with(put);
    }
}
