//! In an axum `Router`, by hand and served.

use std::{convert::Infallible, net::SocketAddr};

use axum::{
    Router,
    body::Body,
    response::sse::{Event, Sse},
    routing::get,
};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use test_support::{drive::bounded, ends::Ends, serve, shapes};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use tokio_stream::StreamExt as _;
use tower::{ServiceExt as _, service_fn};
use tower_observe::Ending::{BodyError, ClientGoneBeforeHead, ClientGoneInBody, Complete};

/// Asks the router for `path`, reads what it answers, and tells the response's status.
async fn ask(router: &Router, method: Method, path: &str) -> u16 {
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let _ = response.into_body().collect().await;
    status
}

#[tokio::test]
async fn a_layer_of_the_router_sees_every_route_and_the_fallback() {
    bounded(async {
        let ends = Ends::new();
        let router = Router::new()
            .route("/hello", get(async || "hello"))
            .layer(ends.layer());
        assert_eq!(ask(&router, Method::GET, "/hello").await, 200);
        assert_eq!(ask(&router, Method::GET, "/nowhere").await, 404);
        assert_eq!(ask(&router, Method::POST, "/hello").await, 405);
        assert_eq!(ask(&router, Method::HEAD, "/hello").await, 200);
        assert_eq!(
            ends.brief(),
            [
                (Complete, Some(200), 5),
                (Complete, Some(404), 0),
                (Complete, Some(405), 0),
                (Complete, Some(200), 0),
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn a_route_layer_sees_only_what_a_route_matched() {
    bounded(async {
        let ends = Ends::new();
        let router = Router::new()
            .route("/hello", get(async || "hello"))
            .route_layer(ends.layer())
            .route("/later", get(async || "added after the layer"));
        for (path, status) in [("/hello", 200), ("/later", 200), ("/nowhere", 404)] {
            assert_eq!(ask(&router, Method::GET, path).await, status);
        }
        assert_eq!(ends.only().path, "/hello");
    })
    .await;
}

#[tokio::test]
async fn layers_of_nested_and_merged_routers_each_see_their_part_once() {
    bounded(async {
        let (outer, inner, other) = (Ends::new(), Ends::new(), Ends::new());
        let router = Router::new()
            .nest(
                "/api",
                Router::new()
                    .route("/hello", get(async || "hello"))
                    .layer(inner.layer()),
            )
            .merge(
                Router::new()
                    .route("/other", get(async || "other!"))
                    // With `layer`, the merged router's fallback would come along.
                    .route_layer(other.layer()),
            )
            .nest_service("/shapes", service_fn(shapes::infallible::<Body>))
            .layer(outer.layer());
        for (path, status) in [
            ("/api/hello", 200),
            ("/other", 200),
            ("/shapes/streamed", 200),
            ("/nowhere", 404),
        ] {
            assert_eq!(ask(&router, Method::GET, path).await, status, "{path}");
        }
        let bytes: Vec<_> = outer.brief().into_iter().map(|end| end.2).collect();
        assert_eq!(bytes, [5, 6, 6, 0]);
        assert_eq!(inner.only().path, "/hello", "axum strips the prefix");
        assert_eq!(other.only().path, "/other");
    })
    .await;
}

#[tokio::test]
async fn errors_and_trailers_pass_through_axums_boxed_body() {
    bounded(async {
        let ends = Ends::new();
        let router = Router::new()
            .fallback_service(service_fn(shapes::infallible::<Body>))
            .layer(ends.layer());
        for path in ["/trailers", "/error", "/204", "/declared"] {
            ask(&router, Method::GET, path).await;
        }
        assert_eq!(
            ends.brief(),
            [
                (Complete, Some(200), 3),
                (BodyError, Some(200), 3),
                (Complete, Some(204), 0),
                (Complete, Some(200), 6),
            ]
        );
        assert!(ends.all()[0].trailers.is_some());
    })
    .await;
}

#[tokio::test]
async fn make_services_of_a_layered_router_are_observed() {
    bounded(async {
        let ends = Ends::new();
        let router = Router::new()
            .fallback_service(service_fn(shapes::infallible::<Body>))
            .layer(ends.layer());
        let service = router.into_make_service().oneshot(()).await.unwrap();
        let mut wire = serve::http1(serve::tcp().await, service);
        for (path, last) in [("/sized", "hello"), ("/streamed", "0\r\n\r\n")] {
            wire.get(path).await;
            wire.head().await;
            wire.until(last).await;
        }
        wire.get("/stall").await;
        wire.until("one\r\n").await;
        let _ = wire.close().await;
        assert_eq!(
            ends.wait_for(3)
                .await
                .iter()
                .map(|end| end.brief())
                .collect::<Vec<_>>(),
            [
                (Complete, Some(200), 5),
                (Complete, Some(200), 6),
                (ClientGoneInBody, Some(200), 3),
            ]
        );
    })
    .await;
}

/// Serves `router` by `axum::serve` until the sender is dropped, or sent to.
async fn axum_serve(router: Router) -> (SocketAddr, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(async move {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service)
            .with_graceful_shutdown(async { drop(stopped.await) })
            .await
    });
    (address, stop)
}

async fn send(address: SocketAddr, path: &str, last: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    let request = serve::request(Method::GET, path);
    client.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(last) {
        assert_ne!(client.read_buf(&mut read).await.unwrap(), 0, "closed");
    }
    client
}

#[tokio::test]
async fn axum_serve_tells_complete_responses_from_clients_gone() {
    bounded(async {
        let ends = Ends::new();
        let events = || async {
            let first = tokio_stream::once(Event::default().data("first"));
            Sse::new(
                first
                    .chain(tokio_stream::pending())
                    .map(Ok::<_, Infallible>),
            )
        };
        let router = Router::new()
            .route("/hello", get(async || "hello"))
            .route("/events", get(events))
            .route("/never", get(std::future::pending::<()>))
            .layer(ends.layer());
        let (address, _stop) = axum_serve(router).await;

        drop(send(address, "/hello", "hello").await);
        assert_eq!(ends.wait().await.brief(), (Complete, Some(200), 5));

        let client = send(address, "/events", "data: first\n\n").await;
        assert_eq!(ends.ended(), 1, "a stream of events has no end of its own");
        drop(client);
        let end = ends.wait_for(2).await[1].brief();
        assert_eq!(end, (ClientGoneInBody, Some(200), 13));

        let client = send(address, "/never", "").await;
        ends.wait_for_start(3).await;
        drop(client);
        let end = ends.wait_for(3).await[2].brief();
        assert_eq!(end, (ClientGoneBeforeHead, None, 0));
    })
    .await;
}

#[tokio::test]
async fn a_body_that_axum_drops_for_head_is_complete_outside_of_the_router_and_inside() {
    bounded(async {
        let (outer, inner) = (Ends::new(), Ends::new());
        let router = Router::new()
            .route_service("/streamed", {
                use tower::Layer as _;
                inner.layer().layer(service_fn(shapes::infallible::<Body>))
            })
            .layer(outer.layer());
        assert_eq!(ask(&router, Method::HEAD, "/streamed").await, 200);
        for ends in [outer, inner] {
            let expected = (Complete, Some(200), 0);
            assert_eq!(ends.only().brief(), expected);
        }
    })
    .await;
}
