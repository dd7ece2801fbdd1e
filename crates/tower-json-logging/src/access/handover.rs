//! How a request gets through `tracing` to the layers that write it.
//!
//! An event's values are borrowed and its fields are fixed, where a request has an open number of fields,
//! and one schema another set of keys than the next. So an event of a request carries, beside the fields
//! that every subscriber sees, a request that only [`JsonLayer`](crate::JsonLayer) looks for: in a place
//! of the thread that is filled while the request's span or its event is dispatched, but for when a layer
//! has taken it out to look at it. Then what is logged by that layer, or by what it calls, is not taken for
//! the request's.

use std::cell::Cell;

use tower_observe::Moment;

use super::facts::{Ended, Request};
use crate::context::RequestContext;

thread_local! {
    static ANNOUNCED: Cell<Option<Box<Announced>>> = const { Cell::new(None) };

    /// Memory of the last one.
    static SPARE: Cell<Option<Box<Announced>>> = const { Cell::new(None) };
}

/// A request whose span is being made or whose line is being logged.
///
/// It is boxed, in memory that is used again, and written there: it is moved a few times, and what is moved right
/// after it was written is waited for.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    /// Of none, where it is to be used again.
    context: Option<RequestContext>,
    has_ended: bool,
    /// If `has_ended`; else of an earlier one.
    ended: Option<Ended>,
}

impl Announced {
    /// Of a request that begins.
    #[expect(
        clippy::unnecessary_box_returns,
        reason = "it comes from memory that is used again"
    )]
    pub(super) fn new() -> Box<Self> {
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        spare.unwrap_or_default()
    }

    /// Has the request end, as is to be written there.
    pub(super) fn ended(&mut self, at: Moment) -> &mut Ended {
        self.has_ended = true;
        let ended = self.ended.get_or_insert_with(|| Ended::new(at));
        ended.at = at;
        ended
    }

    /// How the request ended, if it has.
    pub(super) fn known_end(&self) -> Option<&Ended> {
        self.ended.as_ref().filter(|_| self.has_ended)
    }

    /// The request, if it has ended and there is to be a line.
    #[inline]
    pub(crate) fn request(&self) -> Option<Request<'_>> {
        let context = self.context.as_ref()?;
        Some(Request {
            context,
            facts: context.facts()?,
            ended: self.known_end()?,
        })
    }

    /// Gives the request, and keeps the memory.
    pub(super) fn end(mut self: Box<Self>) -> Option<RequestContext> {
        let context = self.context.take();
        self.has_ended = false;
        // On a thread that ends it is dropped.
        let _ = SPARE.try_with(|spare| spare.set(Some(self)));
        context
    }
}

/// Makes a request known to layers as long as it is there. One around it is known again after.
#[derive(Debug)]
#[must_use]
pub(crate) struct Announcement {
    outer: Option<Box<Announced>>,
    /// On a thread that ends nobody finds the request.
    unannounced: Option<Box<Announced>>,
}

impl Announcement {
    pub(crate) fn of(context: RequestContext, mut announced: Box<Announced>) -> Self {
        announced.context = Some(context);
        let mut announced = Some(announced);
        let outer = ANNOUNCED.try_with(|place| place.replace(announced.take()));
        Self {
            outer: outer.ok().flatten(),
            unannounced: announced,
        }
    }

    /// Gives the request back; it is there unless a layer panicked.
    pub(crate) fn end(mut self) -> Option<RequestContext> {
        let unannounced = self.unannounced.take();
        unannounced.or_else(take)?.end()
    }
}

/// Also if a layer panics.
impl Drop for Announcement {
    fn drop(&mut self) {
        let announced = ANNOUNCED.try_with(|place| place.replace(self.outer.take()));
        drop(announced.ok().flatten().map(Announced::end));
    }
}

/// The request whose span is being made.
pub(crate) fn begun() -> Option<RequestContext> {
    let look = |place: &Cell<Option<Box<Announced>>>| {
        let announced = place.take();
        let context = announced.as_ref()?.context.clone();
        place.set(announced);
        context
    };
    ANNOUNCED.try_with(look).ok().flatten()
}

/// Takes the request whose line is being logged. Other layers look for it, too: it is to be
/// [given back](give_back).
pub(crate) fn take() -> Option<Box<Announced>> {
    ANNOUNCED.try_with(Cell::take).ok().flatten()
}

pub(crate) fn give_back(announced: Option<Box<Announced>>) {
    if announced.is_some() {
        // On a thread that ends nobody finds it.
        let _ = ANNOUNCED.try_with(|place| place.set(announced));
    }
}

#[cfg(test)]
mod tests {
    use tower_observe::Clock;

    use super::*;

    fn beginning(context: &RequestContext) -> Announcement {
        Announcement::of(context.clone(), Announced::new())
    }

    fn ended(context: &RequestContext, status: u16) -> Announcement {
        let mut announced = Announced::new();
        announced.ended(Clock::system().now()).status = status;
        Announcement::of(context.clone(), announced)
    }

    /// What layers find: the request, by its place in these, and the status of its end.
    fn found(of: &[RequestContext]) -> Option<(usize, Option<u16>)> {
        let begun = begun();
        let found = take();
        let ended = found.as_ref().and_then(|found| found.request());
        let ended = ended.map(|request| request.ended.status);
        give_back(found);
        let at = of
            .iter()
            .position(|one| begun.as_ref().is_some_and(|begun| one.is(begun)));
        Some((at?, ended))
    }

    #[test]
    fn a_request_within_another_ones_hides_it_as_long_as_it_is_there() {
        let all = [(); 3].map(|()| RequestContext::new(None, |_, _, _| true));
        assert_eq!(found(&all), None);
        let outer = ended(&all[0], 200);
        assert_eq!(found(&all), Some((0, Some(200))));
        let inner = beginning(&all[1]);
        assert_eq!(found(&all), Some((1, None)));
        drop(inner);
        assert_eq!(found(&all), Some((0, Some(200))));

        // While a layer looks at it, it is nobody's; and it is the same when it is given back.
        let looked_at = take();
        assert_eq!(found(&all), None);
        let inner = ended(&all[2], 500);
        assert_eq!(found(&all), Some((2, Some(500))));
        assert!(inner.end().is_some_and(|context| context.is(&all[2])));
        assert_eq!(found(&all), None);
        give_back(looked_at);
        assert_eq!(found(&all), Some((0, Some(200))));
        drop(outer);
        assert_eq!(found(&all), None);
    }
}
