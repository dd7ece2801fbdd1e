//! Answers whose ends nobody knows when they begin.

use std::convert::Infallible;

use axum::{
    Router,
    response::sse::{Event, Sse},
    routing::get,
};
use futures_util::{Stream, StreamExt as _, stream};
use test_support::{body::ScriptBody, drive::bounded, serve};
use tower::service_fn;

use super::{MODES, Scene, brief, counted};

fn events(count: usize) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::iter((0..count).map(|number| Ok(Event::default().data(number.to_string()))))
}

#[tokio::test]
async fn server_sent_events_are_one_line_at_their_end() {
    bounded(async {
        for mode in MODES {
            let scene = Scene::new(mode);
            let router = Router::new().route("/events", get(|| async { Sse::new(events(10)) }));
            let mut wire = serve::http1(serve::tcp().await, scene.service(router));
            wire.get("/events").await;
            let mut response = wire.head().await;
            assert!(
                response.contains("content-type: text/event-stream"),
                "{response}"
            );
            response += &wire.until("0\r\n\r\n").await;
            let line = scene.line().await;
            let bytes = counted(&response);
            assert_eq!(bytes, 10 * "data: 0\n\n".len() as u64);
            assert_eq!(brief(&line), ("complete", 200, bytes, "INFO"), "{mode:?}");
            wire.close().await.unwrap().unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_of_events_is_one_line_with_the_events_that_it_had() {
    bounded(async {
        for mode in MODES {
            let scene = Scene::new(mode);
            let some = || async { Sse::new(events(3).chain(stream::pending())) };
            let router = Router::new().route("/events", get(some));
            let mut wire = serve::http1(serve::tcp().await, scene.service(router));
            wire.get("/events").await;
            let mut response = wire.head().await;
            response += &wire.until("data: 2\n\n\r\n").await;
            assert!(scene.lines_so_far().0.is_empty(), "{mode:?}");
            drop(wire.close().await);
            let line = scene.line().await;
            let expected = ("client_gone_in_body", 499, counted(&response), "INFO");
            assert_eq!(brief(&line), expected, "{mode:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn frames_that_come_one_by_one_are_all_counted() {
    bounded(async {
        for mode in MODES {
            let scene = Scene::new(mode);
            let frames = service_fn(|_| async {
                let frames = (0..10).fold(ScriptBody::new(), |body, number| {
                    body.pending().data(&format!("frame {number},"))
                });
                Ok::<_, Infallible>(http::Response::new(frames))
            });
            let mut wire = serve::http1(serve::tcp().await, scene.service(frames));
            wire.get("/").await;
            let mut response = wire.head().await;
            response += &wire.until("0\r\n\r\n").await;
            let line = scene.line().await;
            assert_eq!(counted(&response), 80);
            assert_eq!(brief(&line), ("complete", 200, 80, "INFO"), "{mode:?}");
            wire.close().await.unwrap().unwrap();
        }
    })
    .await;
}
