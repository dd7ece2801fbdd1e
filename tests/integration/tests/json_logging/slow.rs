//! Clients that take their time, or give up.

use std::convert::Infallible;

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt as _;
use test_support::{
    body::{ScriptBody, Step},
    drive::bounded,
    serve,
};
use tower::{Service, service_fn};

use super::{MODES, Scene, brief};

const FRAME: u64 = 64 << 10;

/// More than twice of what sockets keep.
const ALL: u64 = 32 << 20;

/// Answers with a body that no socket takes at once.
fn large<R>() -> impl Service<
    R,
    Response = Response<ScriptBody>,
    Error = Infallible,
    Future = std::future::Ready<Result<Response<ScriptBody>, Infallible>>,
> + Clone {
    let frame = Bytes::from(vec![b'x'; usize::try_from(FRAME).unwrap()]);
    service_fn(move |_: R| {
        let body = (0..ALL / FRAME).fold(ScriptBody::new().sized(ALL), |body, _| {
            body.step(Step::Data(frame.clone()))
        });
        std::future::ready(Ok(Response::new(body)))
    })
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_one_line_when_it_has_everything() {
    bounded(async {
        for mode in MODES {
            let scene = Scene::new(mode);
            let mut wire = serve::http1(serve::tcp().await, scene.service(large()));
            wire.get("/large").await;
            wire.head().await;
            wire.skip(ALL / 2).await;
            assert!(scene.lines_so_far().0.is_empty(), "{mode:?}");
            wire.skip(ALL / 2).await;
            let line = scene.line().await;
            assert_eq!(brief(&line), ("complete", 200, ALL, "INFO"), "{mode:?}");
            wire.close().await.unwrap().unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_gives_up_is_one_line_with_what_was_sent_until_then() {
    bounded(async {
        for mode in MODES {
            let scene = Scene::new(mode);
            let mut wire = serve::http1(serve::tcp().await, scene.service(large()));
            wire.get("/large").await;
            wire.head().await;
            wire.skip(ALL / 2).await;
            drop(wire.reset().await);
            let line = scene.line().await;
            let (outcome, status, bytes, level) = brief(&line);
            assert_eq!(
                (outcome, status, level),
                ("client_gone_in_body", 499, "INFO"),
                "{mode:?}"
            );
            // Sockets keep some that the client has not read.
            assert!((ALL / 2..ALL).contains(&bytes), "{bytes}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_of_http_2_that_is_reset_before_it_was_read_is_one_line() {
    bounded(async {
        for mode in MODES {
            let scene = Scene::new(mode);
            let service = scene.service(large());
            let mut client = serve::http2(serve::tcp().await, service).await;
            let mut response = client.get("/large").await.unwrap();
            let first = response.body_mut().frame().await.unwrap().unwrap();
            let read = first.into_data().unwrap().len() as u64;
            assert!(scene.lines_so_far().0.is_empty(), "{mode:?}");
            drop(response);
            let line = scene.line().await;
            let (outcome, status, bytes, level) = brief(&line);
            assert_eq!(
                (outcome, status, level),
                ("client_gone_in_body", 499, "INFO"),
                "{mode:?}"
            );
            assert!((read..ALL).contains(&bytes), "{bytes}");
            drop(client.cut().await);
        }
    })
    .await;
}
