//! A panic is a `call`, `poll` or `poll_frame` of the inner service that never returned; what else
//! panics on the same thread is somebody else's panic.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
};

use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use test_support::{
    body::ScriptBody,
    drive::{bounded, poll, poll_frame, read, ready},
    ends::Ends,
    serve,
    shapes::{ShapeError, Shapes},
};
use tower::{Layer as _, Service as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_observe::Ending::{
    BodyError, ClientGoneBeforeHead, ClientGoneInBody, Complete, Panic, ServiceError,
};

use crate::common::{Gate, OnDrop, duration, frame};

fn request(path: &str) -> Request<()> {
    Request::builder().uri(path).body(()).unwrap()
}

fn panics<R>(run: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(run)).is_err()
}

#[test]
fn a_panic_in_call_ends_while_it_unwinds() {
    let ends = Ends::new();
    let mut service = ends.layer().layer(Shapes);
    ends.advance(1);
    assert!(panics(|| service.call(request("/panic-in-call"))));
    let end = ends.only();
    assert_eq!(end.brief(), (Panic, None, 0));
    assert_eq!((end.started, end.ended), (duration(1), duration(1)));
}

#[test]
fn a_panic_in_poll_ends_when_the_future_is_dropped() {
    let ends = Ends::new();
    let mut service = ends.layer().layer(Shapes);
    let mut future = service.call(request("/panic-in-poll"));
    assert!(panics(|| poll(&mut future)));
    assert_eq!(ends.ended(), 0);
    ends.advance(2);
    drop(future);
    let end = ends.only();
    assert_eq!(end.brief(), (Panic, None, 0));
    assert_eq!(end.ended, duration(2));
}

#[test]
fn a_panic_in_the_body_ends_when_the_body_is_dropped() {
    let ends = Ends::new();
    let mut service = ends.layer().layer(Shapes);
    let response = ready(&mut service.call(request("/panic-in-body"))).unwrap();
    let mut body = response.into_body();
    frame(&mut body);
    assert!(poll_frame(&mut body).is_pending());
    ends.advance(1);
    assert!(panics(|| poll_frame(&mut body)));
    assert_eq!(ends.ended(), 0);
    ends.advance(1);
    drop(body);
    let end = ends.only();
    assert_eq!(end.brief(), (Panic, Some(200), 3));
    assert_eq!(end.ended, duration(2));
}

#[test]
fn a_panic_after_the_declared_length_is_a_panic() {
    let ends = Ends::new();
    let script = || ScriptBody::of(["one"]).sized(3).panic();
    let answer = service_fn(|_| async { Ok::<_, ShapeError>(Response::new(script())) });
    let mut service = ends.layer().layer(answer);
    let future = service.call(request("/"));
    let mut body = ready(&mut Box::pin(future)).unwrap().into_body();
    frame(&mut body);
    assert!(panics(|| poll_frame(&mut body)));
    drop(body);
    assert_eq!(ends.only().brief(), (Panic, Some(200), 3));
}

#[test]
fn a_panic_that_the_body_outlives_is_not_its_end() {
    let ends = Ends::new();
    for (script, expected) in [
        (ScriptBody::new().panic().data("one"), (Complete, 3)),
        (ScriptBody::new().panic().stall(), (ClientGoneInBody, 0)),
        (ScriptBody::new().panic().error(), (BodyError, 0)),
    ] {
        let mut service = ends
            .layer()
            .layer(Gate::opened().answering(Response::new(script)));
        let mut body = ready(&mut service.call(request("/"))).unwrap().into_body();
        assert!(panics(|| poll_frame(&mut body)));
        while let Poll::Ready(Some(Ok(_))) = poll_frame(&mut body) {}
        drop(body);
        let end = ends.all().pop().unwrap();
        assert_eq!((end.ending, end.bytes), expected);
    }
}

#[test]
fn an_exchange_dropped_by_the_panic_of_another_is_a_client_gone() {
    let ends = Ends::new();
    let mut service = ends.layer().layer(Shapes);
    let waiting = service.call(request("/stall-before-head"));
    let mut streaming = ready(&mut service.call(request("/stall"))).unwrap();
    frame(streaming.body_mut());
    let mut satisfied = ready(&mut service.call(request("/declared-stall"))).unwrap();
    frame(satisfied.body_mut());
    frame(satisfied.body_mut());
    let mut culprit = service.call(request("/panic-in-poll"));
    assert!(panics(move || {
        // Locals are dropped in reverse while the culprit's panic unwinds.
        let (_a, _b, _c) = (waiting, streaming, satisfied);
        poll(&mut culprit)
    }));
    let mut ended: Vec<_> = ends.all();
    ended.sort_by(|a, b| a.path.cmp(&b.path));
    let brief: Vec<_> = ended.iter().map(|end| end.brief()).collect();
    assert_eq!(
        brief,
        [
            (Complete, Some(200), 6),
            (Panic, None, 0),
            (ClientGoneInBody, Some(200), 3),
            (ClientGoneBeforeHead, None, 0),
        ]
    );
}

#[test]
fn an_exchange_that_ends_while_its_thread_unwinds_ends_in_its_own_way() {
    let ends = Ends::new();
    let mut service = ends.layer().layer(Shapes);
    assert!(panics(|| {
        let _on_drop = OnDrop(|| {
            let response = ready(&mut service.call(request("/streamed"))).unwrap();
            read(&mut response.into_body()).unwrap();
            assert!(ready(&mut service.call(request("/fails"))).is_err());
            drop(service.call(request("/sized")));
            drop(ready(&mut service.call(request("/sized"))));
        });
        panic!("somebody else's");
    }));
    assert_eq!(
        ends.brief(),
        [
            (Complete, Some(200), 6),
            (ServiceError, None, 0),
            (ClientGoneBeforeHead, None, 0),
            (ClientGoneInBody, Some(200), 0),
        ]
    );
}

#[test]
fn a_panic_between_polls_of_the_same_exchange_is_not_the_services() {
    let ends = Ends::new();
    let mut service = ends.layer().layer(Shapes);
    let mut future = service.call(request("/stall-before-head"));
    assert!(panics(move || {
        assert!(poll(&mut future).is_pending());
        panic!("of whoever polls");
    }));
    assert_eq!(ends.only().brief(), (ClientGoneBeforeHead, None, 0));
}

#[test]
fn a_destructor_that_panics_does_not_swallow_the_end() {
    struct Bomb;
    impl Future for Bomb {
        type Output = Result<Response<ScriptBody>, ShapeError>;
        fn poll(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<Self::Output> {
            Poll::Pending
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }

    let ends = Ends::new();
    let mut service = ends.layer().layer(service_fn(|_: Request<()>| Bomb));
    let future = service.call(request("/"));
    assert!(panics(|| drop(future)));
    assert_eq!(ends.only().brief(), (ClientGoneBeforeHead, None, 0));
}

#[tokio::test]
async fn a_panic_that_nobody_catches_kills_the_connection_and_has_its_end() {
    bounded(async {
        for (path, status, bytes, response) in [
            ("/panic-in-call", None, 0, ""),
            ("/panic-in-poll", None, 0, ""),
            ("/panic-in-body", Some(200), 3, "HTTP/1.1 200 OK"),
        ] {
            let ends = Ends::new();
            let mut wire = serve::http1(serve::tcp().await, ends.layer().layer(Shapes));
            wire.get(path).await;
            assert!(wire.rest().await.starts_with(response));
            assert!(wire.served().await.unwrap_err().is_panic(), "{path}");
            assert_eq!(ends.wait().await.brief(), (Panic, status, bytes), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_panic_on_one_stream_leaves_the_others_alone() {
    bounded(async {
        for (path, status, bytes) in [
            ("/panic-in-call", None, 0),
            ("/panic-in-poll", None, 0),
            ("/panic-in-body", Some(200), 3),
        ] {
            let ends = Ends::new();
            let mut client = serve::http2(serve::tcp().await, ends.layer().layer(Shapes)).await;
            let stalled = client.get("/stall").await.unwrap();
            let panicked = client.get(path).await;
            let culprit = ends.wait_for(1).await.pop().unwrap();
            // With `call`, hyper's connection is what panics: the innocent goes with it.
            assert_eq!(culprit.brief(), (Panic, status, bytes), "{path}");
            drop((stalled, panicked));
            let innocent = ends.wait_for(2).await.pop().unwrap();
            assert_eq!(innocent.ending, ClientGoneInBody, "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_panic_caught_outside_is_a_panic_though_the_client_gets_a_500() {
    bounded(async {
        for path in ["/panic-in-call", "/panic-in-poll"] {
            let ends = Ends::new();
            let service = ServiceBuilder::new()
                .layer(CatchPanicLayer::new())
                .layer(ends.layer())
                .service(Shapes);
            let mut wire = serve::http1(serve::tcp().await, service);
            wire.get(path).await;
            assert!(wire.head().await.starts_with("HTTP/1.1 500 "));
            assert_eq!(ends.wait().await.brief(), (Panic, None, 0), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_panic_caught_inside_is_the_answer_that_the_catcher_gives() {
    bounded(async {
        for path in ["/panic-in-call", "/panic-in-poll"] {
            let ends = Ends::new();
            let service = ServiceBuilder::new()
                .layer(ends.layer())
                .layer(CatchPanicLayer::new())
                .service(Shapes);
            let response = service.oneshot(request(path)).await.unwrap();
            let sent = response.into_body().collect().await.unwrap().to_bytes();
            let expected = (Complete, Some(500), sent.len() as u64);
            assert_eq!(ends.only().brief(), expected, "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_that_panics_is_beyond_a_catcher_on_either_side() {
    bounded(async {
        let outside = Ends::new();
        let inside = Ends::new();
        let service = ServiceBuilder::new()
            .layer(outside.layer())
            .layer(CatchPanicLayer::new())
            .layer(inside.layer())
            .service(Shapes);
        let mut wire = serve::http1(serve::tcp().await, service);
        wire.request(Method::GET, "/panic-in-body").await;
        assert!(wire.served().await.unwrap_err().is_panic());
        for ends in [outside, inside] {
            assert_eq!(ends.wait().await.brief(), (Panic, Some(200), 3));
        }
    })
    .await;
}
