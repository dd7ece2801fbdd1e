use std::borrow::Cow;

use http::Method;
use tower_layer::Layer;
use tower_observe::{ObserveLayer, ObserveService, RequestHead};

use super::observer::HttpScans;
use crate::{ScanMeta, ScanMetrics};

/// Records HTTP requests and gRPC calls as scans.
///
/// A scan starts when the service is called. Its request has a [`CurrentScan`](crate::CurrentScan) in its
/// extensions. It ends by the first of these:
///
/// | what happens | ends as |
/// |---|---|
/// | the handler [reports](crate::CurrentScan::report) | what it says |
/// | the handler [detaches](crate::CurrentScan::detach) the scan | what whoever has it now says |
/// | the response has a [`ScanReport`](crate::ScanReport) in its extensions | completed, with that |
/// | it has an [`Outcome`](crate::Outcome) in its extensions | that |
/// | it is a gRPC response | by `grpc-status`, in the headers or the trailers: see below |
/// | it is another response | by its status: see below; with [`end_with_body`](Self::end_with_body) when the body has ended |
/// | the service panics, or the body does, also if something outside catches it | failed, `panic` |
/// | the service or the body gives an error | failed, `error` |
/// | the client goes away before that | cancelled; timed out, if its [deadline](ScanMeta::deadline) has passed |
///
/// | status | gRPC code | ends as |
/// |---|---|---|
/// | 2xx | `OK` | completed, without findings |
/// | 408, 504 | `DEADLINE_EXCEEDED` | timed out |
/// | 401, 403 | `PERMISSION_DENIED`, `UNAUTHENTICATED` | rejected, `forbidden` |
/// | 429 | `RESOURCE_EXHAUSTED` | rejected, `rate_limited` |
/// | other 4xx, 3xx, 1xx | `INVALID_ARGUMENT`, `NOT_FOUND`, `ALREADY_EXISTS`, `FAILED_PRECONDITION`, `OUT_OF_RANGE`, `UNIMPLEMENTED` | rejected, `invalid` |
/// | 5xx | the others | failed, `error` |
/// | | `CANCELLED` | cancelled |
///
/// A route that only puts scans into a queue that processes share is none of these: its scan starts where it
/// runs, with its [ticket](crate::Ticket).
///
/// ```
/// # #[cfg(feature = "axum")] {
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use axum::{Router, body::Body, extract::Request, routing::post};
/// use http::{Method, StatusCode};
/// use tower::ServiceExt as _;
/// use tower_scan_lifecycle::{CurrentScan, HttpScanLayer, ScanMetrics, ScanReport, Severity};
///
/// // The answer has the result.
/// async fn scan(scan: CurrentScan) -> &'static str {
///     scan.report(ScanReport::new().finding(Severity::High));
///     "one finding"
/// }
///
/// // The answer comes first, and the scan goes on.
/// async fn submit(scan: CurrentScan) -> StatusCode {
///     if let Some(active) = scan.detach() {
///         tokio::spawn(async move {
///             let report = active.scope(async { ScanReport::new() }).await;
///             active.complete(report);
///         });
///     }
///     StatusCode::ACCEPTED
/// }
///
/// let scans = ScanMetrics::builder().types(["mcp", "model"]).build().unwrap();
/// let app: Router = Router::new()
///     .route("/mcp/scans", post(scan))
///     .route("/model/scans", post(submit))
///     .layer(
///         HttpScanLayer::new(scans.clone())
///             .route(Method::POST, "/mcp/scans", "mcp")
///             .route(Method::POST, "/model/scans", "model"),
///     );
///
/// let request = Request::post("/model/scans").body(Body::empty()).unwrap();
/// let response = app.oneshot(request).await.unwrap();
/// assert_eq!(response.status(), StatusCode::ACCEPTED);
/// assert_eq!(scans.active(), 1); // the answer is there, and the scan runs
/// # }
/// # main();
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HttpScanLayer {
    observe: ObserveLayer<HttpScans>,
}

impl HttpScanLayer {
    /// A layer that knows of no route yet.
    pub fn new(scans: ScanMetrics) -> Self {
        HttpScans::new(scans).into()
    }

    /// Requests with this method to this route are scans of this type: see [`HttpScans::route`].
    #[must_use]
    pub fn route(
        self,
        method: Method,
        template: impl Into<Cow<'static, str>>,
        scan_type: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.change(|observer| observer.route(method, template, scan_type))
    }

    /// Requests of which `classify` says so are scans, if no route does: see [`HttpScans::classify`].
    #[must_use]
    pub fn classify<F>(self, classify: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<ScanMeta> + Send + Sync + 'static,
    {
        self.change(|observer| observer.classify(classify))
    }

    /// A scan of which nobody reported the end lasts to the end of the response's body: see
    /// [`HttpScans::end_with_body`].
    #[must_use]
    pub fn end_with_body(self) -> Self {
        self.change(HttpScans::end_with_body)
    }

    fn change(self, change: impl FnOnce(HttpScans) -> HttpScans) -> Self {
        change(self.observe.observer().clone()).into()
    }
}

impl From<HttpScans> for HttpScanLayer {
    fn from(observer: HttpScans) -> Self {
        Self {
            observe: ObserveLayer::new(observer),
        }
    }
}

impl<S> Layer<S> for HttpScanLayer {
    type Service = ObserveService<S, HttpScans>;

    fn layer(&self, inner: S) -> Self::Service {
        self.observe.layer(inner)
    }
}
