//! The service that the comparisons call, and the calls.

use std::{
    convert::Infallible,
    fmt::Debug,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use axum::{
    Router,
    body::Body,
    routing::{MethodRouter, RouterIntoService, get},
};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use tower::Service;

/// The templates of this many routes.
pub fn templates(routes: usize) -> impl Iterator<Item = String> {
    (0..routes).map(|route| format!("/api/v1/scans{route}/{{id}}"))
}

/// This many routes, each of which answers two bytes.
pub fn router(routes: usize) -> Router {
    router_of(routes, |_| answering())
}

/// Answers two bytes.
pub fn answering() -> MethodRouter {
    get(async || "ok")
}

/// This many routes, each made of its template.
pub fn router_of(routes: usize, route: impl Fn(&str) -> MethodRouter) -> Router {
    templates(routes).fold(Router::new(), |router, template| {
        router.route(&template, route(&template))
    })
}

/// What a server would call: with its state, so that axum does not clone the route for each request.
pub fn service(router: Router) -> RouterIntoService<Body> {
    router.with_state(()).into_service()
}

/// A service as one writes it for hyper, which answers two bytes to everything.
pub async fn plain(_: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("ok")))
}

/// Requests to the routes in turn, or to some of them.
pub struct Requests {
    targets: Vec<Uri>,
    next: usize,
}

impl From<usize> for Requests {
    fn from(routes: usize) -> Self {
        Self::new(routes)
    }
}

impl Requests {
    pub fn new(routes: usize) -> Self {
        Self::to_some(routes, routes)
    }

    /// To so many of the routes, which are anywhere among the others.
    pub fn to_some(routes: usize, some: usize) -> Self {
        let targets = (0..some).map(|route| {
            // Neighbours in time are no neighbours in memory. The stride is prime to the powers of ten.
            let path = format!("/api/v1/scans{}/42", route * 7919 % routes);
            path.parse().expect("the target is well-formed")
        });
        Self {
            targets: targets.collect(),
            next: 0,
        }
    }

    /// Sends this many, as hyper-util does: each to a clone of the service, and each answer is read to the
    /// end that its body tells of.
    pub fn send<S, B, R>(&mut self, service: &S, count: usize)
    where
        S: Service<Request<B>, Response = Response<R>> + Clone,
        S::Error: Debug,
        B: Default,
        R: http_body::Body,
        R::Error: Debug,
    {
        for _ in 0..count {
            let mut request = Request::new(B::default());
            *request.uri_mut() = self.targets[self.next].clone();
            self.next = (self.next + 1) % self.targets.len();
            let exchange = async {
                let response = service
                    .clone()
                    .call(request)
                    .await
                    .expect("the service answers");
                assert_eq!(response.status(), 200);
                let mut body = pin!(response.into_body());
                while !body.is_end_stream() {
                    let Some(frame) = body.frame().await else {
                        break;
                    };
                    assert!(frame.expect("the body has no error").is_data());
                }
            };
            now(exchange);
        }
    }
}

/// The result of a future that needs no runtime.
pub fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the service waits for something"),
    }
}
