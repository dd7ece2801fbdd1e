//! The route that the comparisons call: an axum handler behind whatever is compared.

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    routing::{RouterIntoService, get},
};
use http_body_util::BodyExt as _;
use tower::Service as _;

/// `GET /api/v1/scans/{id}`, which answers two bytes.
pub fn router() -> Router {
    Router::new().route("/api/v1/scans/{id}", get(async || "ok"))
}

/// What a server would call: with its state, so that axum does not clone the route for each request.
pub fn service(router: Router) -> RouterIntoService<Body> {
    router.with_state(()).into_service()
}

/// Sends requests and reads the answers to their end.
pub fn requests(service: &mut RouterIntoService<Body>, count: usize) {
    for _ in 0..count {
        let request = Request::builder()
            .uri("/api/v1/scans/42")
            .body(Body::empty());
        let request = request.expect("the request is well-formed");
        let answer = async {
            let response: Result<_, Infallible> = service.call(request).await;
            let Ok(response) = response;
            response
                .into_body()
                .collect()
                .await
                .expect("the body has no error")
                .to_bytes()
        };
        assert_eq!(now(answer), "ok");
    }
}

/// The result of a future that needs no runtime.
fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the route waits for something"),
    }
}
