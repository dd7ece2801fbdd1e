//! How observers compose, and what their scopes are around.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::{Body, Frame};
use test_support::{
    body::{ScriptBody, ScriptError},
    drive::{poll, read, ready},
    shapes::{ShapeError, ShapeFuture, Shapes},
};
use tower::{Layer as _, Service};
use tower_observe::{Clock, End, Exchange, Observe, ObserveLayer, RequestHead, ResponseHead};

thread_local! {
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static INSIDE: RefCell<String> = const { RefCell::new(String::new()) };
    static ENTERED: Cell<usize> = const { Cell::new(0) };
}

/// Notes what happens, and in which scopes.
fn note(what: &str) {
    let inside = INSIDE.with_borrow(String::clone);
    LOG.with_borrow_mut(|log| log.push(format!("{inside}:{what}")));
}

fn noted() -> Vec<String> {
    LOG.take()
}

/// An observer that notes by this name what it is told.
#[derive(Clone, Copy)]
struct Noting<const FRAMES: bool>(char);

impl<const FRAMES: bool> Observe for Noting<FRAMES> {
    type Exchange = Self;

    fn start(&self, _: &mut RequestHead<'_>) -> Self {
        note(&format!("{} start", self.0));
        *self
    }
}

impl<const FRAMES: bool> Exchange for Noting<FRAMES> {
    fn head(&mut self, _: &mut ResponseHead<'_>) {
        note(&format!("{} head", self.0));
    }

    fn takes_data(&self) -> bool {
        FRAMES
    }

    fn data<D: Buf>(&mut self, data: &D) {
        note(&format!("{} data {}", self.0, data.remaining()));
    }

    fn end(&self, end: &End<'_>) {
        note(&format!("{} end {}", self.0, end.ending()));
    }

    fn scope<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Leave;
        impl Drop for Leave {
            fn drop(&mut self) {
                INSIDE.with_borrow_mut(|inside| inside.pop());
            }
        }
        ENTERED.set(ENTERED.get() + 1);
        INSIDE.with_borrow_mut(|inside| inside.push(self.0));
        let _leave = Leave;
        f()
    }
}

/// A service, future or body that notes when it runs and when it is destroyed.
struct Noted<T>(&'static str, T);

impl<T> Drop for Noted<T> {
    fn drop(&mut self) {
        note(&format!("{} dropped", self.0));
    }
}

impl Service<Request<()>> for Noted<Shapes> {
    type Response = Response<Noted<ScriptBody>>;
    type Error = ShapeError;
    type Future = Noted<ShapeFuture>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ShapeError>> {
        Service::<Request<()>>::poll_ready(&mut self.1, cx)
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        note("call");
        Noted("future", self.1.call(request))
    }
}

impl Future for Noted<ShapeFuture> {
    type Output = Result<Response<Noted<ScriptBody>>, ShapeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        note("poll");
        Pin::new(&mut self.1)
            .poll(cx)
            .map_ok(|response| response.map(|body| Noted("body", body)))
    }
}

impl Body for Noted<ScriptBody> {
    type Data = Bytes;
    type Error = ScriptError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ScriptError>>> {
        note("poll_frame");
        Pin::new(&mut self.1).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.1.is_end_stream()
    }
}

fn request(path: &str) -> Request<()> {
    Request::builder().uri(path).body(()).unwrap()
}

/// What is noted while `run` uses a service with this observer.
fn notes<O: Observe>(observer: O, path: &str, run: impl FnOnce(Call<O::Exchange>)) -> Vec<String> {
    let mut service = ObserveLayer::new(observer).layer(Noted("service", Shapes));
    noted();
    run(service.call(request(path)));
    let notes = noted();
    drop(service);
    noted();
    notes
}

fn read_all<X: Exchange>(mut call: Call<X>) {
    let _ = read(&mut ready(&mut call).unwrap().into_body());
}

type Call<X> = tower_observe::ResponseFuture<Noted<ShapeFuture>, X>;

#[test]
fn scopes_are_around_all_that_the_service_does_for_an_exchange() {
    let notes = notes(Noting::<false>('a'), "/hinted", |mut call| {
        let mut body = ready(&mut call).unwrap().into_body();
        drop(call);
        read(&mut body).unwrap();
    });
    assert_eq!(
        notes,
        [
            ":a start",
            "a:call",
            "a:poll",
            ":a head",
            ":future dropped", // it had finished
            "a:poll_frame",
            "a:poll_frame",
            "a:a end complete",
            ":poll_frame", // after the end there is no exchange to be in
            ":body dropped",
        ]
    );
}

#[test]
fn the_end_is_told_in_the_scope_of_the_poll_that_gave_the_last_of_a_body() {
    // Its last data, its end, its trailers, its error.
    for path in ["/hinted", "/silent", "/trailers", "/error"] {
        ENTERED.set(0);
        let notes = notes(Noting::<false>('a'), path, read_all);
        let of_service =
            |note: &&String| ["a:call", "a:poll", "a:poll_frame"].contains(&note.as_str());
        assert_eq!(
            ENTERED.get(),
            notes.iter().filter(of_service).count(),
            "{path}: {notes:?}"
        );
        assert!(
            notes.iter().any(|note| note.starts_with("a:a end")),
            "{path}"
        );
    }
}

#[test]
fn an_unfinished_future_is_destroyed_in_scope_before_the_end() {
    let notes = notes(Noting::<false>('a'), "/stall-before-head", |mut call| {
        assert!(poll(&mut call).is_pending());
    });
    let [.., dropped, end] = &notes[..] else {
        panic!("{notes:?}")
    };
    assert_eq!(dropped, "a:future dropped");
    assert_eq!(end, "a:a end client_gone_before_head");
}

#[test]
fn an_unfinished_body_is_destroyed_in_scope_before_the_end() {
    for (path, end) in [
        ("/stall", "a:a end client_gone_in_body"),
        ("/declared-zero", "a:a end complete"),
    ] {
        let notes = notes(Noting::<false>('a'), path, |mut call| {
            let _response = ready(&mut call);
        });
        let last: Vec<_> = notes[notes.len() - 3..].iter().collect();
        // The future is dropped last, as it was made first.
        assert_eq!(last, ["a:body dropped", end, ":future dropped"]);
    }
}

#[test]
fn scopes_are_around_the_destruction_of_what_panicked() {
    for (path, dropped) in [
        ("/panic-in-poll", "a:future dropped"),
        ("/panic-in-body", "a:body dropped"),
    ] {
        let notes = notes(Noting::<false>('a'), path, |mut call| {
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                let mut body = ready(&mut call).unwrap().into_body();
                let _ = read(&mut body);
            }));
            assert!(panicked.is_err());
            drop(call);
        });
        let at = notes.iter().position(|note| note == dropped).unwrap();
        assert_eq!(notes[at + 1], "a:a end panic", "{notes:?}");
    }
}

#[test]
fn observers_of_a_tuple_take_turns_and_their_scopes_nest() {
    let (a, b, c, d) = (
        Noting::<true>('a'),
        Noting::<false>('b'),
        Noting::<true>('c'),
        Noting::<false>('d'),
    );
    assert_eq!(
        notes((a, b, c, d), "/sized", read_all),
        [
            ":a start",
            ":b start",
            ":c start",
            ":d start",
            "abcd:call",
            "abcd:poll",
            ":a head",
            ":b head",
            ":c head",
            ":d head",
            "abcd:poll_frame",
            ":a data 5",
            ":c data 5",
            "abcd:a end complete",
            "abcd:b end complete",
            "abcd:c end complete",
            "abcd:d end complete",
            ":poll_frame",
            ":body dropped",
            ":future dropped",
        ]
    );
    let last = |notes: Vec<String>| notes.into_iter().next_back();
    let end = |scopes| Some(format!("{scopes} end client_gone_before_head"));
    assert_eq!(last(notes((a,), "/sized", drop)), end("a:a"));
    assert_eq!(last(notes((a, b), "/sized", drop)), end("ab:b"));
    assert_eq!(last(notes((a, b, c), "/sized", drop)), end("abc:c"));
}

#[test]
fn options_arcs_and_nested_tuples_are_what_is_in_them() {
    let a = Noting::<true>('a');
    let plain = notes(a, "/trailers", read_all);
    assert!(plain.contains(&":a data 3".to_owned()), "{plain:?}");
    let some = notes(Some(a), "/trailers", read_all);
    assert_eq!(some, plain);
    let arc = notes(Arc::new(a), "/trailers", read_all);
    assert_eq!(arc, plain);
    let nested = notes((None::<Noting<true>>, ((), (a,))), "/trailers", read_all);
    assert_eq!(nested, plain);
}

#[test]
fn frames_are_told_only_to_those_who_ask_for_them() {
    for (frames, told) in [
        (notes(Noting::<false>('a'), "/pausing", read_all), 0),
        (notes(Some(Noting::<false>('a')), "/pausing", read_all), 0),
        (notes(Noting::<true>('a'), "/pausing", read_all), 3),
        (
            notes(
                (Noting::<false>('a'), Noting::<true>('b')),
                "/pausing",
                read_all,
            ),
            3,
        ),
    ] {
        let data = frames.iter().filter(|note| note.contains("data")).count();
        assert_eq!(data, told, "{frames:?}");
    }
}

/// Takes the first frame only.
struct First {
    noting: Noting<true>,
    has_taken: bool,
}

impl Exchange for First {
    fn takes_data(&self) -> bool {
        !self.has_taken
    }

    fn data<D: Buf>(&mut self, data: &D) {
        self.has_taken = true;
        self.noting.data(data);
    }

    fn end(&self, end: &End<'_>) {
        self.noting.end(end);
    }

    fn scope<R>(&self, f: impl FnOnce() -> R) -> R {
        self.noting.scope(f)
    }
}

#[test]
fn who_takes_no_more_data_is_told_of_the_end_in_the_scope_of_the_poll() {
    let first = |_: &mut RequestHead<'_>| First {
        noting: Noting('a'),
        has_taken: false,
    };
    ENTERED.set(0);
    let notes = notes(first, "/pausing", read_all);
    let count = |part: &str| notes.iter().filter(|note| note.contains(part)).count();
    assert_eq!(count("a data"), 1, "{notes:?}");
    assert_eq!(count("a:a end complete"), 1, "{notes:?}");
    let of_service = count("a:call") + count("a:poll");
    assert_eq!(ENTERED.get(), of_service, "{notes:?}");
}

/// An exchange that scopes at every other question.
struct ByTurns {
    noting: Noting<false>,
    asked: Cell<usize>,
}

impl Exchange for ByTurns {
    fn scopes(&self) -> bool {
        self.asked.set(self.asked.get() + 1);
        self.asked.get() & 1 == 0
    }

    fn end(&self, end: &End<'_>) {
        self.noting.end(end);
    }

    fn scope<R>(&self, f: impl FnOnce() -> R) -> R {
        self.noting.scope(f)
    }
}

#[test]
fn who_scopes_now_and_then_is_told_of_one_end() {
    for (path, end) in [
        ("/hinted", "a end complete"),
        ("/trailers", "a end complete"),
        ("/error", "a end body_error"),
        ("/stall", "a end client_gone_in_body"),
        ("/204", "a end complete"),
    ] {
        for asked in [0, 1] {
            let by_turns = |_: &mut RequestHead<'_>| ByTurns {
                noting: Noting('a'),
                asked: Cell::new(asked),
            };
            let notes = notes(by_turns, path, |mut call| {
                let mut body = ready(&mut call).unwrap().into_body();
                // That one never ends.
                if path != "/stall" {
                    let _ = read(&mut body);
                }
            });
            let ends: Vec<_> = notes.iter().filter(|note| note.contains(" end ")).collect();
            assert!(
                ends.len() == 1 && ends[0].ends_with(end),
                "{path}: {notes:?}"
            );
            let is_in = |note: &&String| note.starts_with("a:");
            assert!(notes.iter().any(|note| is_in(&note)), "{notes:?}");
            assert!(!notes.iter().all(|note| is_in(&note)), "{notes:?}");
        }
    }
}

#[test]
fn a_tuple_scopes_if_one_of_it_does() {
    let one = |scopes| {
        move |_: &mut RequestHead<'_>| ByTurns {
            noting: Noting('a'),
            // Asked once.
            asked: Cell::new(usize::from(scopes)),
        }
    };
    let exchange = |observer: &dyn Fn(&mut RequestHead<'_>) -> ByTurns| {
        let mut request = request("/");
        observer(&mut RequestHead::new(&mut request, Clock::system().now()))
    };
    for (first, second) in [(false, false), (false, true), (true, false), (true, true)] {
        let tuple = (exchange(&one(first)), exchange(&one(second)));
        assert_eq!(tuple.scopes(), first || second);
    }
    assert!(!().scopes());
    assert!(!None::<ByTurns>.scopes());
    assert!(Some(exchange(&one(true))).scopes());
    assert!(!Some(exchange(&one(false))).scopes());
}

#[test]
fn a_body_that_nobody_wants_is_destroyed_after_the_end() {
    let notes = notes(Noting::<false>('a'), "/204", |mut call| {
        let _response = ready(&mut call);
    });
    let [.., head, end, body, _] = &notes[..] else {
        panic!("{notes:?}")
    };
    assert_eq!(
        [head, end, body],
        [":a head", "a:a end complete", ":body dropped"]
    );
}
