//! One right JSON line per request, and a JSON formatter for [`tracing`].
//!
//! Two parts, each of use without the other:
//! - [`JsonLoggingLayer`], a tower layer: gives each request an id and a span, and logs one event at its
//!   end, however it ends.
//! - [`JsonLayer`], a layer of `tracing-subscriber`: writes each event as one JSON object on one line,
//!   with the fields of all spans that it is in.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use http::{Request, Response};
//! use http_body_util::{BodyExt as _, Full};
//! use tower::{Service as _, ServiceBuilder, ServiceExt as _, service_fn};
//! use tower_json_logging::{JsonLayer, JsonLoggingLayer};
//! use tracing_subscriber::layer::SubscriberExt as _;
//!
//! # #[derive(Clone, Default)]
//! # struct Lines(Arc<Mutex<Vec<u8>>>);
//! # impl std::io::Write for Lines {
//! #     fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> { self.0.lock().unwrap().write(bytes) }
//! #     fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let lines = Lines::default(); // a `Write` that keeps what it gets; a service takes `JsonLayer::stdout()`
//! let writer = lines.clone();
//! let subscriber = tracing_subscriber::registry().with(JsonLayer::new(move || writer.clone()));
//! let _default = tracing::subscriber::set_default(subscriber);
//!
//! let mut service = ServiceBuilder::new()
//!     .layer(JsonLoggingLayer::new())
//!     .service(service_fn(|_: Request<()>| async {
//!         tower_json_logging::set("scan_id", "7d0f"); // known only now
//!         tracing::info!(findings = 3, "scan finished");
//!         Ok::<_, std::convert::Infallible>(Response::new(Full::<bytes::Bytes>::from("done")))
//!     }));
//!
//! let request = Request::post("/scans?key=hidden").header("x-request-id", "r1").body(()).unwrap();
//! let response = service.ready().await.unwrap().call(request).await.unwrap();
//! response.into_body().collect().await.unwrap();
//!
//! let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
//! let log: Vec<serde_json::Value> =
//!     log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
//! let [finished, request] = &log[..] else { panic!("{log:?}") };
//!
//! assert_eq!(finished["message"], "scan finished");
//! assert_eq!(finished["findings"], 3);
//! assert_eq!(finished["scan_id"], "7d0f");
//! assert_eq!(finished["request_id"], "r1");
//!
//! assert_eq!(request["message"], "POST 200"); // a router, or a policy for paths, would say where
//! assert_eq!(request["outcome"], "complete");
//! assert_eq!(request["bytes_out"], 4);
//! assert_eq!(request["scan_id"], "7d0f");
//! # }
//! ```
//!
//! # Keys
//!
//! These are the keys of the default, [`Schema::seed`]; [`Schema::ecs`], [`Schema::open_telemetry`] and
//! schemas of your own have others for the same facts. Of every line, in this order:
//!
//! | key | type | when |
//! |---|---|---|
//! | `timestamp` | string: RFC 3339, UTC, microseconds; of a request's line, its end | always |
//! | `level` | string: `TRACE`, `DEBUG`, `INFO`, `WARN`, `ERROR` | always |
//! | `message` | string, maybe empty | always |
//! | `module` | string: the event's module path, else its target | always |
//! | `function` | string: the event's field `function`, as [`function!`] gives it, else the name of the nearest span of the same module | if there is one |
//! | `scan_id`, `request_id`, `trace_id`, `span_id` | string, whatever was recorded | if the event or a span it is in has a field of that name |
//! | `error`, `error_sources` | string; array of strings | if the event or a span it is in has a field `error`; if that is an error with sources |
//! | the event's other fields | see below | in the order of the statement |
//! | the spans' other fields | see below | the innermost span first |
//! | `truncated` | `true` | if something was cut or left out, see [`Limits`] |
//!
//! - No key is there twice. The event wins over its spans, an inner span over an outer one, and what was
//!   recorded later over what was before.
//! - A field cannot pose as a key of the schema: one called `timestamp`, `level`, `module`, `target`,
//!   `truncated`, `error_sources` or `@timestamp`, or a span's called `message` or `function`, is written as
//!   `fields.level` and so on. A field without a name is `_`.
//! - A field whose name is a secret's, such as `password` or `api_key`, is written as `"[REDACTED]"`:
//!   see [`JsonLayer::allow_field`]. Errors and panics are searched for credentials, other texts if
//!   asked to: [`JsonLayer::search_texts`].
//! - A record of the `log` crate that came through `tracing-log` has the module, the file and the line it was
//!   made in.
//!
//! | recorded | written |
//! |---|---|
//! | integer up to 64 bits, not above `i64::MAX` | number |
//! | integer above, or of 128 bits | string of digits: not every reader holds such a number |
//! | float | number; `null` if it is not finite |
//! | `bool` | `true`, `false` |
//! | text, `Display`, `Debug` | string |
//! | bytes | string of hexadecimal digits |
//! | error | string; and if it has sources, their texts as an array in `<name>_sources` |
//!
//! The field `error` is a string whatever was recorded.
//!
//! Whatever is logged, a line is valid UTF-8 and one line: escaped are also U+007F to U+009F, U+2028,
//! U+2029 and the controls of text direction, which some reader takes for the end of a line, or a terminal
//! for more than text.
//!
//! # What is logged when
//!
//! | what happens | line | `level` |
//! |---|---|---|
//! | a request ends | one, with the keys below; what the end is has a [table](tower_observe#when-an-exchange-ends-and-how) | `ERROR` if the server failed ([`HttpClassify`](tower_observe::HttpClassify)), else `INFO` |
//! | a request that [`skip`](JsonLogging::skip) says so of ends | none | |
//! | an event of `tracing` | one | the event's |
//! | a span opens, closes, or records | none | |
//!
//! The request's line and span have the target [`http.access`](names::TARGET), its span is called
//! `request`. The span is opened at `ERROR`, so that also with `RUST_LOG=error` what is logged in a request
//! has its `request_id`, its `trace_id`, and what was [`set`] for the request. The line obeys filters as any
//! event does; one that is written [directly](JsonLogging::direct) does not. Beside those, it has in this
//! order, before the fields:
//!
//! | key | type | when |
//! |---|---|---|
//! | `event` | `"http_request"` | always |
//! | `method` | string: the method, if it is one of RFC 9110's, `PATCH` or `QUERY`, else `_OTHER` | always |
//! | `method_original` | string: its first 32 characters | if `method` is `_OTHER` |
//! | `route` | string: the route's template | if known: see [`JsonLogging::route`] |
//! | `path` | string | if asked for: [`PathPolicy`] |
//! | `query` | string | if there is one: [`QueryPolicy`] |
//! | `status` | number: the [effective status](tower_observe::End::effective_status), as in the metrics | always |
//! | `outcome` | string: [`Ending::as_str`](tower_observe::Ending::as_str) | always |
//! | `grpc_status` | number: the code | of gRPC requests |
//! | `duration_ms` | number: to the end of the response's body | always |
//! | `ttfb_ms` | number: to the response's head | if there was one |
//! | `bytes_in` | number: of the request's body, as `Content-Length` declares them | if it does |
//! | `bytes_out` | number: of the response's body | always |
//! | `protocol` | string: `HTTP/1.1`, `HTTP/2.0`, … | always |
//! | `client_ip` | string | if known: see [`JsonLogging::client_ip`] |
//! | `user_agent` | string: its first 256 characters | if sent |
//! | `request_headers`, `response_headers` | object of strings | if asked for: [`JsonLogging::request_headers`] |
//! | `sample_rate` | number | if chance decided that there is a line: [`Sample`] |
//!
//! `request_id` is [`RequestId`], which the service finds in its [`RequestContext`] and the client in the response's `x-request-id`. `trace_id` and `span_id` are those of a valid `traceparent`: of the
//! caller. The request itself is not changed.
//!
//! # The sink
//!
//! A [`Sink`] takes finished lines and writes them on a thread of its own, many at once, so that who logs
//! does not wait for a disk or a reader:
//!
//! ```
//! use std::time::Duration;
//!
//! use tower_json_logging::{JsonLayer, Sink};
//! use tracing_subscriber::layer::SubscriberExt as _;
//!
//! # let file = std::env::temp_dir().join(format!("sink-of-{}.log", std::process::id()));
//! let sink = Sink::file(&file).build()?; // or `Sink::stdout()`
//! let subscriber = tracing_subscriber::registry().with(JsonLayer::to(sink.clone()));
//! tracing::subscriber::with_default(subscriber, || tracing::info!("hello"));
//!
//! let report = sink.close(Duration::from_secs(2)); // at the end of `main`
//! assert!(report.is_lossless(), "{report}");
//! assert!(std::fs::read_to_string(&file)?.contains("hello"));
//! # std::fs::remove_file(&file)?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! - Its queue is bounded in bytes, and its memory taken when it is built. What a full queue does is
//!   [`Overflow`]; a part of it is kept for [important](Importance) lines.
//! - offered = written + dropped + queued, at every moment: [`Sink::stats`]. Each lost line is counted by
//!   reason and level, and once lines flow again one of the log's lines tells how many there were, where
//!   they would stand.
//! - An output that fails (no space, no reader) is tried again, with pauses of up to a second, with what it
//!   has not taken: no line is written in part, none twice. Lines wait meanwhile as there is room.
//! - A child that a `fork` makes has no such thread: there, lines wait until the queue is full. Build the
//!   sink after the process has become a daemon. `std::process::exit` drops nothing: call
//!   [`Sink::close`] before.
//!
//! [`Levels`] are a filter, of one layer or of all, that can be changed while the process runs; [`PanicHook`] makes panics lines.
//!
//! # Series
//!
//! | series | kind | labels | when |
//! |---|---|---|---|
//! | `log_lines_total` | counter | `level` | a line was written |
//! | `log_lines_dropped_total` | counter | `reason`, `level` | a line was lost: see [`DropReason`]; or held back: `rate_limited`, `sampled` |
//! | `log_written_bytes_total` | counter | | the sink's output took bytes |
//! | `log_writes_total` | counter | | the sink's output was called to write |
//! | `log_write_errors_total` | counter | | the sink's output failed to write, to flush, or to be opened |
//! | `log_write_seconds` | histogram | | a call of the sink's output to write ended |
//! | `log_queue_bytes` | gauge | | before and after a batch: the bytes that wait for the sink's output |
//! | `log_queue_capacity_bytes` | gauge | | at the same times: the most bytes that may wait |
//!
//! [`specs`] describes them to an exporter.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod context;
mod format;
mod function;
mod layer;
mod levels;
mod limit;
pub mod names;
mod panic_hook;
mod redact;
mod request_id;
mod schema;
mod sink;
mod spare;
mod trace_context;

#[doc(hidden)]
pub use self::function::__function_of;
pub use self::{
    access::{JsonLogging, LoggedRequest, Sample},
    context::{ContextHandle, RequestContext, Value, set},
    format::{JsonLayer, Limits, Line, WriteLine},
    layer::JsonLoggingLayer,
    levels::{Levels, LevelsError},
    limit::RateLimit,
    names::specs,
    panic_hook::PanicHook,
    redact::{PathPolicy, QueryPolicy},
    request_id::RequestId,
    schema::{Durations, Fact, Fields, LevelNames, Schema},
    sink::{
        DropReason, Importance, LineCount, Overflow, Sink, SinkBuilder, SinkError, SinkGuard,
        SinkReport, SinkStats, SinkWriter,
    },
};
