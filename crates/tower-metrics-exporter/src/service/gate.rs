//! Lets scrapes that ask for the same page share one render, and bounds the number of renders, and of pages
//! that somebody still reads.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
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

impl Page {
    pub(super) fn new(bytes: Vec<u8>, encoding: Encoding, place: Place) -> Self {
        let bytes = Bytes::from_owner(Placed {
            bytes,
            _place: place,
        });
        Self { bytes, encoding }
    }
}

/// A page in the memory that pages may take: free again when the last reader has it.
#[derive(Debug)]
struct Placed {
    bytes: Vec<u8>,
    _place: Place,
}

impl AsRef<[u8]> for Placed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The place of a page among those that there may be.
#[derive(Debug)]
pub(super) struct Place {
    taken: Arc<AtomicUsize>,
}

impl Place {
    /// `None` if all are taken. Called by one at a time.
    fn take(taken: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        if taken.load(Ordering::Relaxed) >= max {
            return None;
        }
        taken.fetch_add(1, Ordering::Relaxed);
        Some(Self {
            taken: Arc::clone(taken),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) type Outcome = Result<Page, Refusal>;

#[derive(Debug, Default)]
pub(super) struct Gate {
    flights: Mutex<HashMap<Key, Arc<Flight>>>,
    /// Pages that are being rendered, or read.
    pages: Arc<AtomicUsize>,
}

/// How much there may be at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Renders, each of a page of its own.
    pub(super) renders: usize,
    /// Pages, those among them that are being rendered.
    pub(super) pages: usize,
}

/// What a scrape is to do for its page.
#[derive(Debug)]
pub(super) enum Ticket {
    Render(Render),
    /// It is being rendered.
    Wait(Wait),
    TooManyRenders,
    TooManyPages,
}

impl Gate {
    pub(super) fn enter(self: &Arc<Self>, key: Key, limits: Limits) -> Ticket {
        let mut flights = lock(&self.flights);
        let in_flight = flights.len();
        match flights.entry(key) {
            Entry::Occupied(flight) => Ticket::Wait(Wait::new(flight.get())),
            Entry::Vacant(_) if in_flight >= limits.renders => Ticket::TooManyRenders,
            Entry::Vacant(vacant) => {
                let Some(place) = Place::take(&self.pages, limits.pages) else {
                    return Ticket::TooManyPages;
                };
                let key = vacant.key().clone();
                let flight = Arc::clone(vacant.insert(Arc::default()));
                Ticket::Render(Render {
                    gate: Arc::clone(self),
                    key,
                    flight,
                    place: Some(place),
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
    place: Option<Place>,
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

    pub(super) fn finish(mut self, rendered: Result<(Vec<u8>, Encoding), Refusal>) {
        if let Some(place) = self.place.take() {
            self.outcome = rendered.map(|(bytes, encoding)| Page::new(bytes, encoding, place));
        }
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

    fn page(text: &str) -> (Vec<u8>, Encoding) {
        (text.into(), Encoding::Identity)
    }

    fn limits(renders: usize) -> Limits {
        Limits { renders, pages: 2 }
    }

    fn render(gate: &Arc<Gate>, name: &str, max: usize) -> Render {
        match gate.enter(key(name), limits(max)) {
            Ticket::Render(render) => render,
            other => panic!("{other:?}"),
        }
    }

    fn wait(gate: &Arc<Gate>, name: &str) -> Wait {
        match gate.enter(key(name), limits(0)) {
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
        assert!(matches!(
            gate.enter(key("c"), limits(2)),
            Ticket::TooManyRenders
        ));
        drop(wait(&gate, "b"));
        drop(a);
        let c = render(&gate, "c", 2);
        assert!(matches!(
            gate.enter(key("a"), limits(2)),
            Ticket::TooManyRenders
        ));
        drop((b, c));
        assert!(lock(&gate.flights).is_empty());
    }

    #[test]
    fn a_page_keeps_its_place_until_its_last_reader_has_it() {
        let gate = Arc::new(Gate::default());
        let read = |name| {
            let render = render(&gate, name, 1);
            let mut wait = render.wait();
            render.finish(Ok(page("page")));
            bytes(poll(&mut wait, &Arc::default()))
        };
        let (one, two) = (read("a"), read("a"));
        let same = one.slice(1..);
        drop(one);
        assert!(matches!(
            gate.enter(key("a"), limits(1)),
            Ticket::TooManyPages
        ));
        drop(same);
        drop(read("a"));
        drop(two);
        // Neither a panic nor a render that was dropped keeps one.
        render(&gate, "a", 1).finish(Err(Refusal::Panicked));
        drop(render(&gate, "a", 1));
        assert_eq!(gate.pages.load(Ordering::Relaxed), 0);
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
