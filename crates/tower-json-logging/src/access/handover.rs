//! How a request gets through `tracing` to the layers that write it.
//!
//! An event's values are borrowed and its fields are fixed, where a request has an open number of fields,
//! and one schema another set of keys than the next. So an event of a request carries, beside the fields
//! that every subscriber sees, a request that only [`JsonLayer`](crate::JsonLayer) looks for: in a place
//! of the thread that is filled while the request's span or its event is dispatched, but for when a layer
//! has taken it out to look at it. Then what is logged by that layer, or by what it calls, is not taken for
//! the request's.

use std::cell::Cell;

use crate::context::RequestContext;

thread_local! {
    static ANNOUNCED: Cell<Option<RequestContext>> = const { Cell::new(None) };
}

/// Makes a request known to layers as long as it is there. One around it is known again after.
#[derive(Debug)]
#[must_use]
pub(crate) struct Announcement {
    outer: Option<RequestContext>,
    /// On a thread that ends nobody finds the request.
    unannounced: Option<RequestContext>,
}

impl Announcement {
    pub(crate) fn of(context: RequestContext) -> Self {
        let mut context = Some(context);
        let outer = ANNOUNCED.try_with(|place| place.replace(context.take()));
        Self {
            outer: outer.ok().flatten(),
            unannounced: context,
        }
    }

    /// Gives the request back; it is there unless a layer panicked.
    pub(crate) fn end(mut self) -> Option<RequestContext> {
        self.unannounced
            .take()
            .or_else(|| ANNOUNCED.try_with(Cell::take).ok().flatten())
    }
}

/// Also if a layer panics.
impl Drop for Announcement {
    fn drop(&mut self) {
        drop(ANNOUNCED.try_with(|place| place.replace(self.outer.take())));
    }
}

/// Takes the request whose span is being made or whose line is being logged. Other layers look for it, too:
/// it is to be [given back](give_back).
pub(crate) fn take() -> Option<RequestContext> {
    ANNOUNCED.try_with(Cell::take).ok().flatten()
}

pub(crate) fn give_back(request: Option<RequestContext>) {
    if request.is_some() {
        // On a thread that ends nobody finds it.
        let _ = ANNOUNCED.try_with(|place| place.set(request));
    }
}
