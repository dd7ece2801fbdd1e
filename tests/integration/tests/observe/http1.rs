//! The completion table over real HTTP/1 connections.

use http::Method;
use test_support::{
    body::trailers,
    drive::bounded,
    ends::Ends,
    serve::{self, Outcome, Wire, request},
    shapes::Shapes,
};
use tokio::net::TcpStream;
use tower::Layer as _;
use tower_observe::Ending::{
    self, BodyError, ClientGoneBeforeHead, ClientGoneInBody, Complete, ServiceError, Upgraded,
};

async fn connect(ends: &Ends) -> Wire<TcpStream> {
    serve::http1(serve::tcp().await, ends.layer().layer(Shapes))
}

/// Sends one request, and tells how its exchange ended once the response is there up to `last`.
async fn exchange(
    method: Method,
    path: &str,
    last: &str,
) -> (String, Ending, Option<u16>, u64, Outcome) {
    let ends = Ends::new();
    let mut wire = connect(&ends).await;
    wire.request(method, path).await;
    let mut response = wire.head().await;
    if !last.is_empty() {
        response += &wire.until(last).await;
    }
    let (ending, status, bytes) = ends.wait().await.brief();
    (response, ending, status, bytes, wire.close().await)
}

#[tokio::test]
async fn what_is_sent_whole_is_complete() {
    bounded(async {
        for (method, path, last, status, bytes) in [
            (Method::GET, "/sized", "hello", 200, 5),
            (Method::GET, "/sized-silent", "hello", 200, 5),
            (Method::GET, "/streamed", "0\r\n\r\n", 200, 6),
            (Method::GET, "/hinted", "0\r\n\r\n", 200, 6),
            (Method::GET, "/pausing", "0\r\n\r\n", 200, 6),
            (Method::GET, "/declared", "onetwo", 200, 6),
            (Method::GET, "/declared-stall", "onetwo", 200, 6),
            (Method::GET, "/declared-zero", "", 200, 0),
            (Method::GET, "/empty", "", 200, 0),
            (Method::GET, "/silent", "0\r\n\r\n", 200, 0),
            (Method::GET, "/204", "", 204, 0),
            (Method::GET, "/304", "", 304, 0),
            (Method::GET, "/unknown", "hello", 404, 5),
            (Method::POST, "/streamed", "0\r\n\r\n", 200, 6),
            (Method::HEAD, "/sized", "", 200, 0),
            (Method::HEAD, "/streamed", "", 200, 0),
            (Method::HEAD, "/declared", "", 200, 0),
            (Method::HEAD, "/stall", "", 200, 0),
            (Method::HEAD, "/204", "", 204, 0),
        ] {
            let (response, ending, got, sent, outcome) = exchange(method.clone(), path, last).await;
            assert_eq!(
                (ending, got, sent),
                (Complete, Some(status), bytes),
                "{method} {path}: {response}"
            );
            outcome.unwrap().unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn trailers_on_the_wire_are_seen() {
    bounded(async {
        let ends = Ends::new();
        let mut wire = connect(&ends).await;
        wire.get("/trailers").await;
        let response = wire.until("x-sum: 3\r\n\r\n").await;
        assert!(response.contains("3\r\none\r\n0\r\n"), "{response}");
        let end = ends.wait().await;
        assert_eq!(end.brief(), (Complete, Some(200), 3));
        assert_eq!(end.trailers, Some(trailers("x-sum", "3")));
    })
    .await;
}

#[tokio::test]
async fn an_error_in_the_body_cuts_the_connection_and_is_a_body_error() {
    bounded(async {
        let ends = Ends::new();
        let mut wire = connect(&ends).await;
        wire.get("/error").await;
        let response = wire.rest().await;
        assert!(response.ends_with("one\r\n"), "{response}");
        assert_eq!(ends.wait().await.brief(), (BodyError, Some(200), 3));
        assert!(wire.served().await.unwrap().is_err());
    })
    .await;
}

#[tokio::test]
async fn a_service_error_cuts_the_connection_and_has_no_status() {
    bounded(async {
        let ends = Ends::new();
        let mut wire = connect(&ends).await;
        wire.get("/fails").await;
        assert_eq!(wire.rest().await, "");
        assert_eq!(ends.wait().await.brief(), (ServiceError, None, 0));
        assert!(wire.served().await.unwrap().is_err());
    })
    .await;
}

#[tokio::test]
async fn client_gone_before_the_head_is_counted_once() {
    bounded(async {
        for reset in [false, true] {
            let ends = Ends::new();
            let mut wire = connect(&ends).await;
            wire.get("/sized").await;
            wire.until("hello").await;
            wire.get("/stall-before-head").await;
            ends.wait_for_start(2).await;
            let _ = if reset {
                wire.reset().await
            } else {
                wire.close().await
            };
            let brief = ends.wait_for(2).await[1].brief();
            assert_eq!(brief, (ClientGoneBeforeHead, None, 0), "reset: {reset}");
        }
    })
    .await;
}

#[tokio::test]
async fn client_gone_in_mid_body_is_counted_once() {
    bounded(async {
        for reset in [false, true] {
            let ends = Ends::new();
            let mut wire = connect(&ends).await;
            wire.get("/stall").await;
            wire.until("one\r\n").await;
            assert_eq!((ends.started(), ends.ended()), (1, 0));
            let _ = if reset {
                wire.reset().await
            } else {
                wire.close().await
            };
            let brief = ends.wait().await.brief();
            assert_eq!(brief, (ClientGoneInBody, Some(200), 3), "reset: {reset}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_ends_at_the_head_and_what_follows_is_not_counted() {
    bounded(async {
        for (head, status, start) in [
            (
                "GET /upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n",
                101,
                "HTTP/1.1 101 ",
            ),
            (
                "CONNECT x:443 HTTP/1.1\r\nhost: x:443\r\n\r\n",
                200,
                "HTTP/1.1 200 ",
            ),
        ] {
            let ends = Ends::new();
            let mut wire = connect(&ends).await;
            wire.send(head).await;
            let response = wire.head().await;
            assert!(response.starts_with(start), "{response}");
            let expected = (Upgraded, Some(status), 0);
            assert_eq!(ends.wait().await.brief(), expected);
            for word in ["marco", "polo"] {
                wire.send(word).await;
                assert_eq!(wire.until(word).await, word);
            }
            wire.close().await.unwrap().unwrap();
            assert_eq!(ends.only().brief(), expected);
        }
    })
    .await;
}

#[tokio::test]
async fn a_refused_connect_has_an_ordinary_body() {
    bounded(async {
        let ends = Ends::new();
        let mut wire = connect(&ends).await;
        wire.send("CONNECT x:80 HTTP/1.1\r\nhost: x:80\r\n\r\n")
            .await;
        wire.until("hello").await;
        assert_eq!(ends.wait().await.brief(), (Complete, Some(404), 5));
    })
    .await;
}

#[tokio::test]
async fn each_request_of_a_connection_has_its_own_end() {
    bounded(async {
        let ends = Ends::new();
        let mut wire = connect(&ends).await;
        for (path, last) in [
            ("/sized", "hello"),
            ("/declared", "onetwo"),
            ("/streamed", "0\r\n\r\n"),
            ("/stall", "one\r\n"),
        ] {
            wire.get(path).await;
            wire.head().await;
            wire.until(last).await;
        }
        let before = ends.wait_for(3).await;
        assert!(before.iter().all(|end| end.ending == Complete));
        let _ = wire.close().await;
        let all = ends.wait_for(4).await;
        assert_eq!(all[3].brief(), (ClientGoneInBody, Some(200), 3));
        assert_eq!(ends.started(), 4);
    })
    .await;
}

#[tokio::test]
async fn pipelined_requests_each_have_their_own_end() {
    bounded(async {
        let ends = Ends::new();
        let mut wire = connect(&ends).await;
        let mut pipeline = String::new();
        for path in ["/sized", "/declared", "/streamed", "/sized"] {
            pipeline += &request(Method::GET, path);
        }
        pipeline += &request(Method::HEAD, "/sized");
        wire.send(&pipeline).await;
        for last in ["hello", "onetwo", "0\r\n\r\n", "hello", "\r\n\r\n"] {
            wire.until(last).await;
        }
        let ends = ends.wait_for(5).await;
        let bytes: Vec<_> = ends.iter().map(|end| end.bytes).collect();
        assert_eq!(bytes, [5, 6, 6, 5, 0]);
        assert!(ends.iter().all(|end| end.ending == Complete));
    })
    .await;
}

#[tokio::test]
async fn a_request_that_never_reached_the_service_has_no_exchange() {
    bounded(async {
        let ends = Ends::new();
        let mut wire = connect(&ends).await;
        wire.send("no request at all\r\n\r\n").await;
        assert!(wire.rest().await.starts_with("HTTP/1.1 400 "));
        let _ = wire.served().await;
        assert_eq!(ends.started(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_status_that_hyper_refuses_to_send_has_an_end_too() {
    bounded(async {
        let ends = Ends::new();
        let early = tower::service_fn(|_: http::Request<hyper::body::Incoming>| async {
            let response = http::Response::builder().status(103);
            Ok::<_, std::convert::Infallible>(response.body(String::from("hello")).unwrap())
        });
        let mut wire = serve::http1(serve::tcp().await, ends.layer().layer(early));
        wire.get("/").await;
        assert!(wire.rest().await.starts_with("HTTP/1.1 500 "));
        assert_eq!(ends.wait().await.brief(), (Complete, Some(103), 0));
    })
    .await;
}
