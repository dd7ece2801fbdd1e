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
//! | `api_response_size_bytes` | histogram | `endpoint` | once a response, at its end |
//! | `api_stream_duration_seconds` | histogram | `endpoint` | once a stream, at its end |
//! | `api_active_streams` | gauge | `endpoint` | up at a stream's head, down at its end |
//! | `api_stream_bytes_total` | counter | `endpoint`, `direction` | at each frame of a stream |
//! | `api_upgrades_total` | counter | `endpoint` | once an upgrade, at its head |
//! | `api_label_overflow_total` | counter | `label` | at each value over budget |
//! | `api_request_size_bytes` | histogram | `endpoint` | off; once a request, at its end |
//! | `api_time_to_headers_seconds` | histogram | `endpoint` | off; once a response, at its head |
//!
//! The end of a request is the end of its response's body, or whatever prevents it: an error, a panic,
//! a client that goes away. [`tower_observe`] has the whole table. So started = ended + active, always.
//!
//! - `status` is the status sent if the response went out whole; `499` if the client went away, before
//!   the head or in the body; `500` for a service error, a panic, or an error in the body.
//! - `endpoint` is the route's template: a [`Route`] in the request's extensions, else axum's
//!   `MatchedPath` (feature `axum`), else what a [`RouteTable`] says of the path, else a `Route` in the
//!   response's extensions, else `_OTHER`. It is never the path, so that no client can add series; at most
//!   [512 routes](RequestMetricsBuilder::max_routes) are told apart.
//! - `method` is one of RFC 9110's, `PATCH` or `QUERY`, else `_OTHER`.
//! - The duration runs from the call of the service to the last frame handed to the transport. Streams
//!   (server-sent events, lines of JSON, multipart pushes, gRPC) and upgrades have no part in it: they say
//!   nothing about latency.
//!
//! # How many series
//!
//! With *R* routes, *M* methods that each is asked with and *S* statuses that each answers, there are
//! *R × M × S* counters, *R × M* gauges, and a histogram of duration and of size for each route, which is
//! *buckets + 3* lines of a page (each bound, `+Inf`, `_sum`, `_count`): by default
//!
//! > *R × (M × S + M + (16 + 3) + (10 + 3))*
//!
//! lines. So 200 routes of 2 methods and 5 statuses are 8,800 lines. A line takes about 90 bytes of a page of text
//! and 280 to 300 bytes of memory in `tower-metrics-exporter` and here together; both grow with the number of lines,
//! up to [`max_routes`](RequestMetricsBuilder::max_routes), behind which all routes are one. A route that
//! several threads serve very often takes more of it: 0.7 KiB a thread, at most 12 KiB. Streams add a histogram, a gauge
//! and two counters to a route, upgrades a counter.
//!
//! # gRPC
//!
//! [`RequestMetrics::grpc`] records calls under go-grpc-middleware's names:
//! `grpc_server_started_total`, `grpc_server_handled_total{grpc_code}`, `grpc_server_msg_sent_total`,
//! `grpc_server_msg_received_total`, `grpc_server_handling_seconds`, `grpc_server_in_flight`, each with
//! `grpc_service` and `grpc_method`, and `grpc_type` where
//! [descriptors](RequestMetricsBuilder::descriptors) tell it. [`RequestMetrics::auto`] records HTTP and gRPC
//! on one port.
//!
//! - The code is the `grpc-status` of the headers, else of the trailers, else of grpc-web's trailers in the
//!   body, else what the HTTP status stands for; `Canceled` if the client went away.
//! - A method is told apart once it is described, or a response shows that it is one; a client alone cannot
//!   make it a label. Any other is `_OTHER`.
//! - Messages are counted by their length prefixes, without buffering, where a frame is one piece of memory,
//!   as tonic's are; received ones with a [`CountRequestBodyLayer`].
//!
//! # Other names, labels, buckets
//!
//! [`RequestMetrics::builder`] changes them, by [preset](Names) or one by one:
//!
//! ```
//! use tower_request_metrics::{Dimension, Instrument, Names, RequestMetrics, RouteTable};
//!
//! let metrics = RequestMetrics::builder()
//!     .prefix("shop")
//!     .enable(Instrument::TimeToHeaders)
//!     .labels(Instrument::Duration, [Dimension::Method, Dimension::Route])
//!     .buckets(Instrument::Duration, [0.1, 0.3, 1.2, 5.0])
//!     .routes(RouteTable::new(["/items/{id}", "/static/{*path}"])?)
//!     .build()?;
//! assert_eq!(metrics.specs()[1].labels, ["method", "endpoint"]);
//!
//! let conventional = RequestMetrics::builder().names(Names::OpenTelemetry).build()?;
//! assert_eq!(conventional.specs()[0].name, "http.server.request.duration");
//! # Ok::<(), tower_request_metrics::BuildError>(())
//! ```
//!
//! # What it costs
//!
//! Nothing is allocated for a request whose series were there before, on hyper, axum and tonic. Handles are
//! kept for the recorder of the moment, and made anew for another one. A series that was not used for
//! [half a minute](RequestMetricsBuilder::handle_max_idle) is registered again, so that a recorder that
//! forgets idle series misses nothing.
//!
//! # Where to put the layer
//!
//! With axum, on the router: `Router::layer` sees the `MatchedPath` of each route, and the fallback.
//! Requests that something outside of the layer answers (an authentication, a rate limit) are not
//! seen by it. To see those too, put it outside of everything, and a [`RouteTagLayer`] on the routes
//! (`Router::route_layer`), which carries their templates out.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod age;
mod builder;
mod cache;
mod config;
mod descriptor;
mod error;
mod instrument;
mod key;
mod label;
mod layer;
mod messages;
mod method;
pub mod names;
mod observer;
mod preset;
mod recorder;
mod recording;
mod request_body;
mod route;
mod route_tag;
mod row;
mod slot;
mod tree;

pub use self::{
    builder::{ClientGone, Protocol, RequestMetricsBuilder, StatusLabel},
    error::BuildError,
    instrument::{Dimension, Instrument},
    label::Label,
    layer::RequestMetricsLayer,
    observer::RequestMetrics,
    preset::{GrpcNames, Names},
    recording::Recording,
    request_body::{CountRequestBody, CountRequestBodyLayer, RequestBody},
    route::{Route, RouteTable},
    route_tag::{RouteTag, RouteTagFuture, RouteTagLayer},
};
