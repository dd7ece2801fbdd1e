//! How a request gets through `tracing` to the layers that write it.
//!
//! An event's values are borrowed and its fields are fixed, where a request has an open number of fields,
//! and one schema another set of keys than the next. So the span and the event of a request carry, beside the
//! fields that every subscriber sees, a request that only [`JsonLayer`](crate::JsonLayer) looks for: in places
//! of the thread that point to it while the span or the event is dispatched. It looks there for spans and events
//! [of requests](super::is_of_request) alone, and each of these has put its own request there: what a layer, or
//! what it calls, logs meanwhile is not taken for the request's.

// Places without a destructor: they are there also on a thread that ends.
use scoped_tls::scoped_thread_local;

use super::facts::{Ended, Request};
use crate::context::RequestContext;

scoped_thread_local!(static BEGUN: RequestContext);

// These two are only ever set together.
scoped_thread_local!(static LOGGED: RequestContext);
scoped_thread_local!(static ENDED: Ended);

/// Makes the span of a request, which layers find meanwhile. One around it they find again after.
pub(super) fn begin<R>(context: &RequestContext, make: impl FnOnce() -> R) -> R {
    BEGUN.set(context, make)
}

/// Logs the line of a request, which layers find meanwhile. One around it they find again after.
pub(super) fn end<R>(context: &RequestContext, ended: &Ended, log: impl FnOnce() -> R) -> R {
    LOGGED.set(context, || ENDED.set(ended, log))
}

/// The request whose span is being made.
pub(crate) fn begun() -> Option<RequestContext> {
    BEGUN.is_set().then(|| BEGUN.with(RequestContext::clone))
}

/// Looks at the request whose line is being logged, if there is one.
pub(crate) fn with_logged<R>(look: impl FnOnce(Request<'_>) -> R) -> Option<R> {
    if !LOGGED.is_set() || !ENDED.is_set() {
        return None;
    }
    LOGGED.with(|context| {
        let facts = context.facts()?;
        ENDED.with(|ended| {
            Some(look(Request {
                context,
                facts,
                ended,
            }))
        })
    })
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        time::Duration,
    };

    use tower_observe::{Clock, Ending};
    use tracing_core::Level;

    use super::*;

    fn ended(status: u16) -> Ended {
        Ended {
            at: Clock::system().now(),
            level: Level::INFO,
            ending: Ending::Complete,
            status,
            is_failure: false,
            grpc: None,
            duration: Duration::ZERO,
            time_to_head: None,
            bytes: 0,
            sample_rate: None,
        }
    }

    /// What layers find of a request that begins, and of one that ends: its place in these, and the status.
    fn found(of: &[RequestContext]) -> (Option<usize>, Option<(usize, u16)>) {
        let at = |context: &RequestContext| of.iter().position(|one| one.is(context));
        let logged = |request: Request<'_>| Some((at(request.context)?, request.ended.status));
        (
            begun().and_then(|begun| at(&begun)),
            with_logged(logged).flatten(),
        )
    }

    #[test]
    fn a_request_within_another_ones_hides_it_as_long_as_it_is_there() {
        let all = [(); 3].map(|()| RequestContext::new(None, |_, _, _| true));
        let [first, second, third] = &all;
        assert_eq!(found(&all), (None, None));
        end(first, &ended(200), || {
            assert_eq!(found(&all), (None, Some((0, 200))));
            begin(second, || {
                assert_eq!(found(&all), (Some(1), Some((0, 200))));
                end(third, &ended(500), || {
                    assert_eq!(found(&all), (Some(1), Some((2, 500))));
                });
                assert_eq!(found(&all), (Some(1), Some((0, 200))));
            });
            // Also while it is looked at, as by a layer that logs.
            with_logged(|_| {
                end(third, &ended(404), || {
                    assert_eq!(found(&all), (None, Some((2, 404))));
                });
            });
            assert_eq!(found(&all), (None, Some((0, 200))));
        });
        assert_eq!(found(&all), (None, None));
    }

    #[test]
    fn a_layer_that_panics_leaves_the_request_around_it() {
        let all = [(); 3].map(|()| RequestContext::new(None, |_, _, _| true));
        let [first, second, third] = &all;
        end(first, &ended(200), || {
            let inner = || end(second, &ended(500), || begin(third, || panic!("a layer's")));
            let caught = catch_unwind(AssertUnwindSafe(inner));
            assert!(caught.is_err());
            assert_eq!(found(&all), (None, Some((0, 200))));
        });
        assert_eq!(found(&all), (None, None));
    }
}
