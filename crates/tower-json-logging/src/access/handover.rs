//! How a request gets through `tracing` to the layers that write it.
//!
//! An event's values are borrowed and its fields are fixed, where a request has an open number of fields,
//! and one schema another set of keys than the next. So an event of a request carries, beside the fields
//! that every subscriber sees, a request that only [`JsonLayer`](crate::JsonLayer) looks for: in a place
//! of the thread that is filled while the event is dispatched, and at no other time.

use std::cell::RefCell;

use crate::{access::Ended, context::RequestContext};

type Place = RefCell<Option<(RequestContext, Option<Ended>)>>;

thread_local! {
    static ANNOUNCED: Place = const { RefCell::new(None) };
}

/// Makes a request known to layers while `f` runs.
pub(crate) fn announce<R>(
    context: &RequestContext,
    ended: Option<&Ended>,
    f: impl FnOnce() -> R,
) -> R {
    /// Empties the place, also if a layer panics.
    struct Announced;

    impl Drop for Announced {
        fn drop(&mut self) {
            drop(ANNOUNCED.try_with(RefCell::take));
        }
    }

    let announced = Announced;
    let request = Some((context.clone(), ended.cloned()));
    drop(ANNOUNCED.try_with(|place| place.replace(request)));
    let result = f();
    drop(announced);
    result
}

/// The request whose span is being made.
pub(crate) fn announced() -> Option<RequestContext> {
    let look = |place: &Place| Some(place.try_borrow().ok()?.as_ref()?.0.clone());
    ANNOUNCED.try_with(look).ok().flatten()
}

/// The request whose line is being logged, and its end.
pub(crate) fn announced_end() -> Option<(RequestContext, Ended)> {
    let look = |place: &Place| {
        let place = place.try_borrow().ok()?;
        let (context, ended) = place.as_ref()?;
        Some((context.clone(), ended.clone()?))
    };
    ANNOUNCED.try_with(look).ok().flatten()
}
