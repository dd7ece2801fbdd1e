//! On the wire, and to what stands outside, nothing changes.

use std::{sync::Arc, task::Poll};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use proptest::prelude::*;
use test_support::{
    body::{ScriptBody, Step, trailers},
    drive::{bounded, poll_frame, ready},
    ends::Ends,
    serve,
    shapes::Shapes,
};
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn, util::BoxCloneSyncService};
use tower_observe::ObserveLayer;

const PATHS: [&str; 15] = [
    "/sized",
    "/sized-silent",
    "/streamed",
    "/hinted",
    "/pausing",
    "/declared",
    "/declared-zero",
    "/empty",
    "/silent",
    "/204",
    "/304",
    "/trailers",
    "/error",
    "/fails",
    "/not-found",
];

/// What a client reads of one HTTP/1 response, to the end of the connection.
async fn raw<F>(method: &Method, path: &str, layered: F) -> String
where
    F: Future<Output = serve::Wire<tokio::io::DuplexStream>>,
{
    let mut wire = layered.await;
    let request = serve::request(method.clone(), path);
    let closing = request.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    wire.send(&closing).await;
    wire.rest().await
}

#[tokio::test]
async fn http1_responses_are_the_same_byte_for_byte() {
    bounded(async {
        let mut seen = std::collections::HashSet::new();
        for method in [Method::GET, Method::HEAD, Method::POST] {
            for path in PATHS {
                let bare = raw(&method, path, async {
                    serve::http1(serve::memory(), Shapes)
                });
                let bare = bare.await;
                let ends = Ends::new().asking_for_the_head();
                let observed = raw(&method, path, async {
                    serve::http1(serve::memory(), ends.layer().layer(Shapes))
                });
                assert_eq!(observed.await, bare, "{method} {path}");
                ends.wait().await;
                let three = (ends.clone(), (), Some(ends.clone()));
                let observed = raw(&method, path, async {
                    let twice = ObserveLayer::new(three).layer(ends.layer().layer(Shapes));
                    serve::http1(serve::memory(), twice)
                });
                assert_eq!(observed.await, bare, "{method} {path}, in layers");
                ends.wait_for(4).await;
                seen.insert(bare);
            }
        }
        assert!(seen.len() > 12, "the shapes differ: {seen:#?}");
    })
    .await;
}

/// All that an HTTP/2 client sees of one response, frame by frame.
async fn see(client: &mut serve::Http2, method: &Method, path: &str) -> Vec<String> {
    let Ok(response) = client.request(method.clone(), path).await else {
        return vec!["no response".to_owned()];
    };
    let (head, mut body) = response.into_parts();
    let mut seen = vec![
        format!("{} {:?}", head.status, head.headers),
        format!("{:?} {}", body.size_hint(), body.is_end_stream()),
    ];
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            seen.push("error".to_owned());
            break;
        };
        seen.push(format!("{frame:?}"));
    }
    seen
}

#[tokio::test]
async fn http2_responses_are_the_same_frame_for_frame() {
    bounded(async {
        for method in [Method::GET, Method::POST] {
            for path in PATHS {
                let ends = Ends::new();
                let mut bare = serve::http2(serve::memory(), Shapes).await;
                let observed = ends.layer().layer(Shapes);
                let mut observed = serve::http2(serve::memory(), observed).await;
                assert_eq!(
                    see(&mut observed, &method, path).await,
                    see(&mut bare, &method, path).await,
                    "{method} {path}"
                );
                ends.wait().await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_arrives_as_it_was_sent() {
    bounded(async {
        let debug = service_fn(|request: Request<Incoming>| async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let text = format!("{head:?} {body:?}");
            Ok::<_, hyper::Error>(Response::new(text))
        });
        let observed = Ends::new().layer().layer(debug);
        let mut seen = Vec::new();
        for service in [
            BoxCloneSyncService::new(debug.map_response(|response| response.map(boxed))),
            BoxCloneSyncService::new(observed.map_response(|response| response.map(boxed))),
        ] {
            let mut wire = serve::http1(serve::memory(), service);
            wire.send(
                "PATCH /a?b=c HTTP/1.1\r\nhost: x\r\nx-a: 1\r\nX-A: 2\r\nconnection: close\r\n\
                 content-length: 5\r\n\r\nhello",
            )
            .await;
            seen.push(wire.rest().await);
        }
        assert_eq!(seen[0], seen[1]);
        assert!(seen[0].contains("hello"), "{}", seen[0]);
    })
    .await;
}

fn boxed<B>(body: B) -> http_body_util::combinators::BoxBody<Bytes, std::convert::Infallible>
where
    B: Body<Data = Bytes, Error = std::convert::Infallible> + Send + Sync + 'static,
{
    body.boxed()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..9_usize).prop_map(|length| Step::Data(Bytes::from(vec![b'x'; length]))),
        1 => Just(Step::Trailers(trailers("x-sum", "3"))),
        1 => Just(Step::Error),
        2 => Just(Step::Pending),
    ];
    prop::collection::vec(step, 0..8)
}

fn scripts() -> impl Strategy<Value = ScriptBody> {
    let size = prop::option::of(0..30_u64);
    (steps(), any::<bool>(), size).prop_map(|(steps, hints, size)| {
        let mut body = steps.into_iter().fold(ScriptBody::new(), ScriptBody::step);
        if hints {
            body = body.hinting_the_end();
        }
        match size {
            Some(size) => body.sized(size),
            None => body,
        }
    })
}

/// What one look at a body shows: hints, and what the next poll gives.
fn look<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> String
where
    B::Error: std::fmt::Debug,
{
    let hint = body.size_hint();
    let hints = (hint.lower(), hint.upper(), body.is_end_stream());
    let polled = match poll_frame(body) {
        Poll::Pending => "pending".to_owned(),
        Poll::Ready(frame) => format!("{frame:?}"),
    };
    format!("{hints:?} {polled}")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hints_and_frames_are_the_inner_bodys_at_every_step(
        script in scripts(),
        status in prop::sample::select(vec![200_u16, 204, 304, 404, 101]),
        method in prop::sample::select(vec![Method::GET, Method::HEAD, Method::CONNECT]),
    ) {
        let ends = Ends::new();
        let answer = Arc::new(script.clone());
        let mut service = ends.layer().layer(service_fn(move |_: Request<()>| {
            let response = Response::builder().status(status).body((*answer).clone());
            std::future::ready(response)
        }));
        let request = Request::builder().method(method).body(()).unwrap();
        let mut observed = ready(&mut service.call(request)).unwrap().into_body();
        let mut bare = script;
        for step in 0..12 {
            prop_assert_eq!(look(&mut observed), look(&mut bare), "step {}", step);
        }
        drop(observed);
        prop_assert_eq!((ends.started(), ends.ended()), (1, 1));
    }
}
