//! Follows one HTTP or gRPC exchange to its **one** end.
//!
//! When is a request over? After the last frame of the response's body, unless the service failed,
//! panicked, or upgraded the connection; unless the client went away, before the head or in the body;
//! unless the server knew that nothing more was owed and dropped the body without reading on. This
//! crate finds that end, once, for everyone who wants to know: metrics, a log line, a scan. Each is an
//! *observer*; observers compose, and see the same end.
//!
//! ```
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use std::sync::Arc;
//!
//! use http::{Request, Response};
//! use http_body_util::{BodyExt as _, Full};
//! use tower::{Service as _, ServiceBuilder, ServiceExt as _, service_fn};
//! use tower_observe::{Class, Classify as _, End, HttpClassify, ObserveLayer, RequestHead};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let failures = Arc::new(AtomicU64::new(0));
//! let count = Arc::clone(&failures);
//! // An observer: called with each request, it returns what is called at the exchange's end.
//! let observer = move |_: &mut RequestHead<'_>| {
//!     let failures = Arc::clone(&count);
//!     move |end: &End<'_>| {
//!         if HttpClassify.end(end) == Class::ServerError {
//!             failures.fetch_add(1, Ordering::Relaxed);
//!         }
//!     }
//! };
//!
//! let mut service = ServiceBuilder::new()
//!     .layer(ObserveLayer::new(observer))
//!     .service(service_fn(|_: Request<()>| async {
//!         let response = Response::builder().status(503).body(Full::<bytes::Bytes>::from("try later"));
//!         Ok::<_, std::convert::Infallible>(response.unwrap())
//!     }));
//!
//! let response = service.ready().await.unwrap().call(Request::new(())).await.unwrap();
//! assert_eq!(failures.load(Ordering::Relaxed), 0); // not over yet: the body is still to be sent
//! response.into_body().collect().await.unwrap();
//! assert_eq!(failures.load(Ordering::Relaxed), 1);
//! # }
//! ```
//!
//! # When an exchange ends, and how
//!
//! | what happens | [`Ending`] | time of the end |
//! |---|---|---|
//! | the service's future gives an error | [`ServiceError`](Ending::ServiceError) | then |
//! | the future is dropped before it gave a response | [`ClientGoneBeforeHead`](Ending::ClientGoneBeforeHead) | then |
//! | `call`, `poll` or `poll_frame` of the inner does not return | [`Panic`](Ending::Panic) | when future or body is dropped |
//! | a head with `101`, or `2xx` to `CONNECT` | [`Upgraded`](Ending::Upgraded) | at the head |
//! | a head that no body may follow: to `HEAD`, `1xx`, `204`, `304` | [`Complete`](Ending::Complete) | at the head |
//! | a head whose body says at once that it has ended | `Complete` | at the head |
//! | the body gives trailers, or `None` | `Complete` | then |
//! | the body gives data, and says that it has ended | `Complete` | then |
//! | the body gives an error | [`BodyError`](Ending::BodyError) | then |
//! | the body is dropped after as many bytes as were declared | `Complete` | when the last of them was given |
//! | the body is dropped before | [`ClientGoneInBody`](Ending::ClientGoneInBody) | then |
//!
//! Declared is the body's exact size hint at the start, else `Content-Length`.
//!
//! What follows from it:
//! - A timeout outside of the layer looks like a client that went away: it drops the future. Put the
//!   layer outside of the timeout to see the timeout's answer.
//! - A retry outside of the layer makes an exchange of each attempt, and the answer that it discards,
//!   a `503` say, ends in `ClientGoneInBody`. Put the layer outside of the retry to see one exchange.
//! - A panic is seen whether or not something catches it, inside the layer (then it is the answer that
//!   the catcher gives) or outside. One in a body's hints (`is_end_stream`, `size_hint`) is not told
//!   from a drop.
//! - Something outside that replaces a response's body makes the exchange end in `ClientGoneInBody`.
//! - Readiness is passed through; an error of `poll_ready` belongs to no request.
//!
//! # On the wire nothing changes
//!
//! Status, headers, frames, trailers, size hints and end-of-stream hints are the inner service's, and
//! so is the error type. Nothing is boxed and nothing allocated; what an observer does is its own
//! affair.
//!
//! # Features
//!
//! - `tsc`, on by default: [`Clock::system`] reads the processor's counter where the kernel trusts it. Brings
//!   `tick_counter`, on Linux on x86-64.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod classify;
mod clock;
mod end;
mod future;
pub mod grpc;
mod head;
mod layer;
mod observe;
mod service;
mod spec;
mod tracker;

pub use self::{
    body::ResponseBody,
    classify::{Class, Classify, GrpcClassify, HttpClassify},
    clock::{Clock, ManualClock, Moment},
    end::{End, Ending},
    future::ResponseFuture,
    head::{RequestHead, ResponseHead},
    layer::ObserveLayer,
    observe::{Exchange, Observe},
    service::ObserveService,
    spec::{Kind, Spec, Unit},
};
