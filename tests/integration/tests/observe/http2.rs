//! The completion table over real HTTP/2 connections.

use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use test_support::{
    body::trailers,
    drive::bounded,
    ends::Ends,
    serve::{self, Http2},
    shapes::Shapes,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::Layer as _;
use tower_observe::Ending::{
    BodyError, ClientGoneBeforeHead, ClientGoneInBody, Complete, ServiceError, Upgraded,
};

async fn connect(ends: &Ends) -> Http2 {
    serve::http2(serve::tcp().await, ends.layer().layer(Shapes)).await
}

#[tokio::test]
async fn what_is_sent_whole_is_complete() {
    bounded(async {
        let ends = Ends::new();
        let mut client = connect(&ends).await;
        for (count, (method, path, status, bytes)) in [
            (Method::GET, "/sized", 200, 5),
            (Method::GET, "/sized-silent", 200, 5),
            (Method::GET, "/streamed", 200, 6),
            (Method::GET, "/hinted", 200, 6),
            (Method::GET, "/pausing", 200, 6),
            (Method::GET, "/declared", 200, 6),
            (Method::GET, "/declared-zero", 200, 0),
            (Method::GET, "/empty", 200, 0),
            (Method::GET, "/silent", 200, 0),
            (Method::GET, "/unknown", 404, 5),
            (Method::POST, "/streamed", 200, 6),
            (Method::HEAD, "/empty", 200, 0),
        ]
        .into_iter()
        .enumerate()
        {
            let response = client.request(method.clone(), path).await.unwrap();
            let body = response.into_body().collect().await.unwrap();
            let end = ends.wait_for(count + 1).await.pop().unwrap();
            assert_eq!(
                end.brief(),
                (Complete, Some(status), bytes),
                "{method} {path}"
            );
            assert_eq!(body.to_bytes().len() as u64, bytes, "{method} {path}");
        }
        assert_eq!(ends.started(), ends.ended());
    })
    .await;
}

#[tokio::test]
async fn a_head_without_a_body_ends_at_the_head_though_frames_follow() {
    // Other than HTTP/1, hyper sends the body that such a response should not have; a client that
    // is right about HTTP resets the stream.
    bounded(async {
        for (method, path, status) in [
            (Method::HEAD, "/sized", 200),
            (Method::HEAD, "/streamed", 200),
            (Method::HEAD, "/stall", 200),
            (Method::GET, "/204", 204),
            (Method::GET, "/304", 304),
        ] {
            let ends = Ends::new();
            let mut client = connect(&ends).await;
            let response = client.request(method.clone(), path).await;
            let end = ends.wait().await;
            assert_eq!(end.brief(), (Complete, Some(status), 0), "{method} {path}");
            drop(response);
        }
    })
    .await;
}

#[tokio::test]
async fn trailers_on_the_wire_are_seen() {
    bounded(async {
        let ends = Ends::new();
        let mut client = connect(&ends).await;
        let response = client.get("/trailers").await.unwrap();
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers(), Some(&trailers("x-sum", "3")));
        let end = ends.wait().await;
        assert_eq!(end.brief(), (Complete, Some(200), 3));
        assert_eq!(end.trailers.as_ref(), body.trailers());
    })
    .await;
}

#[tokio::test]
async fn an_error_in_the_body_resets_the_stream_and_is_a_body_error() {
    bounded(async {
        let ends = Ends::new();
        let mut client = connect(&ends).await;
        let response = client.get("/error").await.unwrap();
        assert!(response.into_body().collect().await.is_err());
        assert_eq!(ends.wait().await.brief(), (BodyError, Some(200), 3));
        // The connection goes on.
        assert_eq!(client.get("/empty").await.unwrap().status(), 200);
        ends.wait_for(2).await;
    })
    .await;
}

#[tokio::test]
async fn a_service_error_resets_the_stream_and_has_no_status() {
    bounded(async {
        let ends = Ends::new();
        let mut client = connect(&ends).await;
        assert!(client.get("/fails").await.is_err());
        assert_eq!(ends.wait().await.brief(), (ServiceError, None, 0));
    })
    .await;
}

#[tokio::test]
async fn client_gone_before_the_head_is_counted_once() {
    bounded(async {
        for cut in [false, true] {
            let ends = Ends::new();
            let mut client = connect(&ends).await;
            let response = client.get("/stall-before-head");
            ends.wait_for_start(1).await;
            if cut {
                let _ = client.cut().await;
            } else {
                drop(response);
            }
            let brief = ends.wait().await.brief();
            assert_eq!(brief, (ClientGoneBeforeHead, None, 0), "cut: {cut}");
        }
    })
    .await;
}

#[tokio::test]
async fn client_gone_in_mid_body_is_counted_once() {
    bounded(async {
        for cut in [false, true] {
            let ends = Ends::new();
            let mut client = connect(&ends).await;
            let mut response = client.get("/stall").await.unwrap();
            let frame = response.body_mut().frame().await.unwrap().unwrap();
            assert_eq!(frame.data_ref().unwrap(), "one");
            assert_eq!(ends.ended(), 0);
            if cut {
                let _ = client.cut().await;
            } else {
                drop(response);
            }
            let brief = ends.wait().await.brief();
            assert_eq!(brief, (ClientGoneInBody, Some(200), 3), "cut: {cut}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_gone_after_the_declared_length_got_all_of_it() {
    bounded(async {
        let ends = Ends::new();
        let mut client = connect(&ends).await;
        let mut response = client.get("/declared-stall").await.unwrap();
        for part in ["one", "two"] {
            let frame = response.body_mut().frame().await.unwrap().unwrap();
            assert_eq!(frame.data_ref().unwrap(), part);
        }
        assert_eq!(ends.ended(), 0, "trailers may follow");
        drop(response);
        assert_eq!(ends.wait().await.brief(), (Complete, Some(200), 6));
    })
    .await;
}

#[tokio::test]
async fn streams_of_one_connection_end_each_in_its_own_way() {
    bounded(async {
        let ends = Ends::new();
        let mut client = connect(&ends).await;
        let stalled = client.get("/stall").await.unwrap();
        let waiting = client.get("/stall-before-head");
        let fails = client.get("/fails");
        let whole = client.get("/streamed").await.unwrap();
        whole.into_body().collect().await.unwrap();
        assert!(fails.await.is_err());
        ends.wait_for(2).await;
        drop(waiting);
        drop(stalled);
        let all = ends.wait_for(4).await;
        for (path, ending) in [
            ("/stall", ClientGoneInBody),
            ("/stall-before-head", ClientGoneBeforeHead),
            ("/fails", ServiceError),
            ("/streamed", Complete),
        ] {
            let end = all.iter().find(|end| end.path == path).unwrap();
            assert_eq!(end.ending, ending, "{path}");
        }
        assert_eq!(ends.started(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_tunnel_ends_at_the_head_and_what_follows_is_not_counted() {
    bounded(async {
        let plain = Request::connect("loopback:443").body(Empty::new());
        let extended = Request::connect("http://loopback:443/chat")
            .extension(Protocol::from_static("websocket"))
            .body(Empty::new());
        for request in [plain.unwrap(), extended.unwrap()] {
            let ends = Ends::new();
            let mut client = connect(&ends).await;
            // The server's settings have to be there before an extended CONNECT is allowed.
            client.get("/empty").await.unwrap();
            ends.wait_for(1).await;
            let mut response = client.send(request).await.unwrap();
            assert_eq!(response.status(), 200);
            let brief = ends.wait_for(2).await[1].brief();
            assert_eq!(brief, (Upgraded, Some(200), 0));
            let mut tunnel = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
            for word in ["marco", "polo"] {
                tunnel.write_all(word.as_bytes()).await.unwrap();
                let mut echo = vec![0; word.len()];
                tunnel.read_exact(&mut echo).await.unwrap();
                assert_eq!(echo, word.as_bytes());
            }
            drop(tunnel);
            assert_eq!((ends.started(), ends.ended()), (2, 2));
        }
    })
    .await;
}

#[tokio::test]
async fn a_refused_connect_has_an_ordinary_body() {
    bounded(async {
        let ends = Ends::new();
        let mut client = connect(&ends).await;
        let request = Request::connect("loopback:80").body(Empty::new()).unwrap();
        let response = client.send(request).await.unwrap();
        assert_eq!(response.status(), 404);
        response.into_body().collect().await.unwrap();
        assert_eq!(ends.wait().await.brief(), (Complete, Some(404), 5));
    })
    .await;
}
