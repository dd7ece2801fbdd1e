//! Request metrics for tower services, on the [`metrics`] facade.
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::{BodyExt as _, Full};
//! use metrics_util::debugging::{DebugValue, DebuggingRecorder};
//! use tower::{Service as _, ServiceBuilder, ServiceExt as _, service_fn};
//! use tower_request_metrics::{RequestMetricsLayer, Route};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // Any recorder will do; an exporter installs one for the whole process.
//! let recorder = DebuggingRecorder::new();
//! let snapshotter = recorder.snapshotter();
//! let _local = metrics::set_default_local_recorder(&recorder);
//!
//! let mut service = ServiceBuilder::new()
//!     .layer(RequestMetricsLayer::new())
//!     .service(service_fn(|_: Request<()>| async {
//!         Ok::<_, std::convert::Infallible>(Response::new(Full::<bytes::Bytes>::from("hello")))
//!     }));
//!
//! let mut request = Request::new(());
//! request.extensions_mut().insert(Route::new("/hello/{name}"));
//! let response = service.ready().await.unwrap().call(request).await.unwrap();
//! response.into_body().collect().await.unwrap();
//!
//! let counted = snapshotter.snapshot().into_vec().into_iter().find_map(|(key, _, _, value)| {
//!     let labels = key.key().labels().map(|label| label.value()).collect::<Vec<_>>();
//!     (key.key().name() == "api_requests_total").then(|| (labels.join(" "), value))
//! });
//! assert_eq!(counted, Some(("GET /hello/{name} 200".to_owned(), DebugValue::Counter(1))));
//! # }
//! ```
//!
//! # What is recorded, and when
//!
//! | series | kind | labels | when |
//! |---|---|---|---|
//! | `api_requests_total` | counter | `method`, `endpoint`, `status` | once a request, at its end |
//! | `api_request_duration_seconds` | histogram | `endpoint` | once a request, at its end |
//! | `api_active_requests` | gauge | `method`, `endpoint` | up at the start, down at the end |
//!
//! The end of a request is the end of its response's body, or whatever prevents it: an error, a panic,
//! a client that goes away. [`tower_observe`] has the whole table. So started = ended + active, always.
//!
//! - `status` is the status sent if the response went out whole; `499` if the client went away, before
//!   the head or in the body; `500` for a service error, a panic, or an error in the body.
//! - `endpoint` is the route's template: a [`Route`] in the request's extensions, else axum's
//!   `MatchedPath` (feature `axum`), else `_OTHER`. It is never the path, so that no client can add
//!   series.
//! - `method` is one of RFC 9110's, `PATCH` or `QUERY`, else `_OTHER`.
//! - The duration runs from the call of the service to the last frame handed to the transport.
//!
//! # Where to put the layer
//!
//! With axum, on the router: `Router::layer` sees the `MatchedPath` of each route, and the fallback.
//! Requests that something outside of the layer answers (an authentication, a rate limit) are not
//! seen by it.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod labels;
mod layer;
pub mod names;
mod observer;
mod route;

pub use self::{
    layer::RequestMetricsLayer,
    observer::{Recording, RequestMetrics},
    route::Route,
};
