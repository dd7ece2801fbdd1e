//! Lets scrapes that ask for the same page share one render, and bounds the number of renders.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::{
    encoding::{Encoding, Encodings},
    refusal::Refusal,
};
use crate::{Filter, Format};

/// What makes two scrapes the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) format: Format,
    pub(super) encodings: Encodings,
    pub(super) filter: Filter,
}

/// A page as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) bytes: Bytes,
    pub(super) encoding: Encoding,
}

pub(super) type Outcome = Result<Page, Refusal>;

#[derive(Debug, Default)]
pub(super) struct Gate {
    flights: Mutex<HashMap<Key, Arc<Flight>>>,
}

/// What a scrape is to do for its page.
#[derive(Debug)]
pub(super) enum Ticket {
    Render(Render),
    /// It is being rendered.
    Wait(Wait),
    Full,
}

impl Gate {
    /// Every render is of a page of its own, so `max` renders are as many pages.
    pub(super) fn enter(self: &Arc<Self>, key: Key, max: usize) -> Ticket {
        let mut flights = lock(&self.flights);
        let in_flight = flights.len();
        match flights.entry(key) {
            Entry::Occupied(flight) => Ticket::Wait(Wait::new(flight.get())),
            Entry::Vacant(_) if in_flight >= max => Ticket::Full,
            Entry::Vacant(place) => {
                let key = place.key().clone();
                let flight = Arc::clone(place.insert(Arc::default()));
                Ticket::Render(Render {
                    gate: Arc::clone(self),
                    key,
                    flight,
                    outcome: Err(Refusal::Abandoned),
                })
            }
        }
    }
}

/// A render on its way, and those who wait for it.
#[derive(Debug, Default)]
struct Flight {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    outcome: Option<Outcome>,
    waiting: HashMap<u64, Waker>,
    next: u64,
}

/// The right to render a page, and the duty to give an outcome to those who wait for it: it is given
/// on drop, whatever happens in between.
#[derive(Debug)]
pub(super) struct Render {
    gate: Arc<Gate>,
    key: Key,
    flight: Arc<Flight>,
    outcome: Outcome,
}

impl Render {
    pub(super) const fn key(&self) -> &Key {
        &self.key
    }

    /// One more who waits for the outcome.
    pub(super) fn wait(&self) -> Wait {
        Wait::new(&self.flight)
    }

    pub(super) fn finish(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Render {
    fn drop(&mut self) {
        // First, so that whoever comes now gets a newer page.
        lock(&self.gate.flights).remove(&self.key);
        let waiting = {
            let mut state = lock(&self.flight.state);
            state.outcome = Some(std::mem::replace(
                &mut self.outcome,
                Err(Refusal::Abandoned),
            ));
            std::mem::take(&mut state.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }
}

/// Waits for the outcome of a render, which goes on without it.
#[derive(Debug)]
pub(super) struct Wait {
    flight: Arc<Flight>,
    id: u64,
}

impl Wait {
    fn new(flight: &Arc<Flight>) -> Self {
        let mut state = lock(&flight.state);
        let id = state.next;
        state.next += 1;
        drop(state);
        Self {
            flight: Arc::clone(flight),
            id,
        }
    }

    /// The outcome, if it is there.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        lock(&self.flight.state).outcome.clone()
    }
}

impl Future for Wait {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = lock(&self.flight.state);
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(outcome.clone());
        }
        match state.waiting.entry(self.id) {
            Entry::Occupied(mut waker) => waker.get_mut().clone_from(cx.waker()),
            Entry::Vacant(place) => {
                place.insert(cx.waker().clone());
            }
        }
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let waker = lock(&self.flight.state).waiting.remove(&self.id);
        drop(waker);
    }
}

/// Nothing that can panic is done under a lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

    use http::HeaderMap;

    use super::*;

    fn key(name: &str) -> Key {
        Key {
            format: Format::Text,
            encodings: Encodings::negotiate(&HeaderMap::new(), true).unwrap(),
            filter: Filter::new([name]),
        }
    }

    fn page(text: &'static str) -> Page {
        Page {
            bytes: Bytes::from_static(text.as_bytes()),
            encoding: Encoding::Identity,
        }
    }

    fn render(gate: &Arc<Gate>, name: &str, max: usize) -> Render {
        match gate.enter(key(name), max) {
            Ticket::Render(render) => render,
            other => panic!("{other:?}"),
        }
    }

    fn wait(gate: &Arc<Gate>, name: &str) -> Wait {
        match gate.enter(key(name), 0) {
            Ticket::Wait(wait) => wait,
            other => panic!("{other:?}"),
        }
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn poll(wait: &mut Wait, woken: &Arc<Woken>) -> Poll<Outcome> {
        let waker = Waker::from(Arc::clone(woken));
        Pin::new(wait).poll(&mut Context::from_waker(&waker))
    }

    fn bytes(outcome: Poll<Outcome>) -> Bytes {
        match outcome {
            Poll::Ready(Ok(page)) => page.bytes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_same_page_is_rendered_once_and_shared() {
        let gate = Arc::new(Gate::default());
        let first = render(&gate, "a", 1);
        let mut waits = [first.wait(), wait(&gate, "a"), wait(&gate, "a")];
        let woken = Arc::<Woken>::default();
        for wait in &mut waits {
            // Twice: the waker is kept once.
            assert!(poll(wait, &woken).is_pending());
            assert!(poll(wait, &woken).is_pending());
        }
        first.finish(Ok(page("page")));
        assert_eq!(woken.0.load(Ordering::Relaxed), 3);
        let pages = waits.each_mut().map(|wait| bytes(poll(wait, &woken)));
        assert!(pages.iter().all(|page| page.as_ptr() == pages[0].as_ptr()));
        // Whoever comes later gets a page of their own.
        drop(render(&gate, "a", 1));
    }

    #[test]
    fn renders_are_bounded_and_their_places_come_back() {
        let gate = Arc::new(Gate::default());
        let (a, b) = (render(&gate, "a", 2), render(&gate, "b", 2));
        assert!(matches!(gate.enter(key("c"), 2), Ticket::Full));
        drop(wait(&gate, "b"));
        drop(a);
        let c = render(&gate, "c", 2);
        assert!(matches!(gate.enter(key("a"), 2), Ticket::Full));
        drop((b, c));
        assert!(lock(&gate.flights).is_empty());
    }

    #[test]
    fn who_goes_away_takes_nothing_along_and_leaves_nothing_behind() {
        let gate = Arc::new(Gate::default());
        let render = render(&gate, "a", 1);
        let (mut stays, mut goes) = (render.wait(), wait(&gate, "a"));
        let woken = Arc::<Woken>::default();
        assert!(poll(&mut stays, &woken).is_pending());
        assert!(poll(&mut goes, &woken).is_pending());
        drop(goes);
        assert_eq!(lock(&render.flight.state).waiting.len(), 1);
        render.finish(Ok(page("page")));
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert_eq!(bytes(poll(&mut stays, &woken)), "page");
    }

    #[test]
    fn a_render_that_is_dropped_tells_those_who_wait() {
        let gate = Arc::new(Gate::default());
        let render = render(&gate, "a", 1);
        let mut wait = render.wait();
        drop(render);
        let outcome = poll(&mut wait, &Arc::default());
        assert!(matches!(outcome, Poll::Ready(Err(Refusal::Abandoned))));
    }

    #[test]
    fn the_page_of_a_render_that_nobody_waits_for_is_freed() {
        let gate = Arc::new(Gate::default());
        let render = render(&gate, "a", 1);
        drop(render.wait());
        let flight = Arc::downgrade(&render.flight);
        render.finish(Ok(page("page")));
        assert!(flight.upgrade().is_none());
    }
}
