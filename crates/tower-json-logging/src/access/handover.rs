//! How a request gets through `tracing` to the layers that write it.
//!
//! An event's values are borrowed and its fields are fixed, where a request has an open number of fields,
//! and one schema another set of keys than the next. So an event of a request carries, beside the fields
//! that every subscriber sees, a request that only [`JsonLayer`](crate::JsonLayer) looks for: in a place
//! of the thread that is filled while the request's span or its event is dispatched, but for when a layer
//! has taken it out to look at it. Then what is logged by that layer, or by what it calls, is not taken for
//! the request's.

use std::cell::Cell;

use crate::{
    access::{Ended, Request},
    context::RequestContext,
};

/// A request on its way to the layers, and its end if it has ended.
pub(crate) struct Announced {
    pub(crate) context: RequestContext,
    pub(crate) ended: Option<Ended>,
}

impl Announced {
    /// The request, if it has ended and there is to be a line.
    pub(crate) fn request(&self) -> Option<Request<'_>> {
        Some(Request {
            context: &self.context,
            facts: self.context.facts()?,
            ended: self.ended.as_ref()?,
        })
    }
}

thread_local! {
    static ANNOUNCED: Cell<Option<RequestContext>> = const { Cell::new(None) };
    static ENDED: Cell<Option<Ended>> = const { Cell::new(None) };
}

/// Makes a request known to layers as long as it is there. One around it is known again after.
#[derive(Debug)]
#[must_use]
pub(crate) struct Announcement {
    outer: Option<RequestContext>,
    outer_ended: Option<Ended>,
    /// On a thread that ends nobody finds the request.
    unannounced: Option<RequestContext>,
}

impl Announcement {
    pub(crate) fn of(context: RequestContext, ended: Option<Ended>) -> Self {
        let mut context = Some(context);
        let outer = ANNOUNCED.try_with(|place| place.replace(context.take()));
        Self {
            outer: outer.ok().flatten(),
            outer_ended: ENDED.replace(ended),
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
        ENDED.set(self.outer_ended);
        drop(ANNOUNCED.try_with(|place| place.replace(self.outer.take())));
    }
}

/// Takes the request whose span is being made or whose line is being logged. Other layers look for it, too:
/// it is to be [given back](give_back).
pub(crate) fn take() -> Option<Announced> {
    let context = ANNOUNCED.try_with(Cell::take).ok().flatten()?;
    let ended = ENDED.get();
    Some(Announced { context, ended })
}

pub(crate) fn give_back(request: Option<Announced>) {
    if let Some(Announced { context, .. }) = request {
        // On a thread that ends nobody finds it.
        let _ = ANNOUNCED.try_with(|place| place.set(Some(context)));
    }
}
