use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, OnceLock},
};

use http::{HeaderMap, Method, header::CONTENT_TYPE};
use tower_observe::{End, Ending, Exchange, Observe, RequestHead, ResponseHead, grpc::Code};
use tracing::Span;

use super::{
    current::CurrentScan,
    status::{of_code, of_status},
};
use crate::{ActiveScan, Failure, FailureReason, Outcome, ScanMeta, ScanMetrics, ScanReport};

/// The observer behind [`HttpScanLayer`](crate::HttpScanLayer), for a tuple of observers in one
/// [`ObserveLayer`](tower_observe::ObserveLayer). Behind one that has a span for the request, the scan's span
/// is in it.
#[derive(Clone)]
pub struct HttpScans {
    scans: ScanMetrics,
    routes: Vec<Route>,
    classify: Option<Arc<Classify>>,
    end_with_body: bool,
}

type Classify = dyn Fn(&RequestHead<'_>) -> Option<ScanMeta> + Send + Sync;

#[derive(Clone, Debug)]
struct Route {
    method: Method,
    template: Cow<'static, str>,
    scan_type: Cow<'static, str>,
}

impl HttpScans {
    /// An observer that knows of no route yet.
    pub const fn new(scans: ScanMetrics) -> Self {
        Self {
            scans,
            routes: Vec::new(),
            classify: None,
            end_with_body: false,
        }
    }

    /// Requests with this method to this route are scans of this type. With the feature `axum` a route is the
    /// template that the router matched; else, and where no router says, it is the path itself.
    #[must_use]
    pub fn route(
        mut self,
        method: Method,
        template: impl Into<Cow<'static, str>>,
        scan_type: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.routes.push(Route {
            method,
            template: template.into(),
            scan_type: scan_type.into(),
        });
        self
    }

    /// Requests of which `classify` says so are scans, if no [route](Self::route) does: with an id, a
    /// deadline. What it takes from the request must not become a type that nobody bounds; one that
    /// [`ScanMetrics`] was not built with is `other`.
    #[must_use]
    pub fn classify<F>(mut self, classify: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<ScanMeta> + Send + Sync + 'static,
    {
        self.classify = Some(Arc::new(classify));
        self
    }

    /// A scan of which nobody reported the end lasts to the end of the response's body, for answers that are
    /// written while the scan runs. Default: to the response's head. gRPC calls always last to their
    /// trailers.
    #[must_use]
    pub const fn end_with_body(mut self) -> Self {
        self.end_with_body = true;
        self
    }

    fn meta(&self, request: &RequestHead<'_>) -> Option<ScanMeta> {
        let route = route_of(request);
        let known = self
            .routes
            .iter()
            .find(|known| known.method == request.method() && known.template == route);
        match known {
            Some(known) => Some(ScanMeta::new(known.scan_type.clone())),
            None => self.classify.as_ref()?(request),
        }
    }
}

fn route_of<'a>(request: &'a RequestHead<'_>) -> &'a str {
    #[cfg(feature = "axum")]
    if let Some(matched) = request.extensions().get::<axum::extract::MatchedPath>() {
        return matched.as_str();
    }
    request.uri().path()
}

/// The one `traceparent`; several are none.
fn trace_parent(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all("traceparent").iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

impl Observe for HttpScans {
    type Exchange = HttpScan;

    fn start(&self, request: &mut RequestHead<'_>) -> HttpScan {
        let Some(mut meta) = self.meta(request) else {
            return HttpScan { live: None };
        };
        if meta.trace_parent.is_none() {
            if let Some(value) = trace_parent(request.headers()) {
                meta = meta.traceparent(value);
            }
        }
        let current = CurrentScan::new(ActiveScan::begin(&self.scans, meta));
        request.extensions_mut().insert(current.clone());
        HttpScan {
            live: Some(Live {
                current,
                span: OnceLock::new(),
                end_with_body: self.end_with_body,
                at_head: None,
            }),
        }
    }
}

impl fmt::Debug for HttpScans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpScans")
            .field("scans", &self.scans)
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

/// One request that may be a scan. Made by [`HttpScans`].
#[derive(Debug)]
pub struct HttpScan {
    live: Option<Live>,
}

#[derive(Debug)]
struct Live {
    current: CurrentScan,
    /// The scan's span in the request: opened when the service is called, as observers are told of a request
    /// before they enter their own. Kept though the scan may be detached: what is left of the request belongs
    /// to the request.
    span: OnceLock<Span>,
    end_with_body: bool,
    /// What the response's head said, if that is not the end.
    at_head: Option<Outcome>,
}

impl Exchange for HttpScan {
    fn head(&mut self, response: &mut ResponseHead<'_>) {
        if let Some(live) = &mut self.live {
            live.head(response);
        }
    }

    fn end(&self, end: &End<'_>) {
        let Some(live) = &self.live else { return };
        if let Some(scan) = live.current.take() {
            let outcome = live.outcome(&scan, end);
            scan.end(outcome);
        }
    }

    #[inline]
    fn scopes(&self) -> bool {
        self.live.is_some()
    }

    fn scope<R>(&self, f: impl FnOnce() -> R) -> R {
        let Some(live) = &self.live else { return f() };
        let span = live.span.get_or_init(|| live.current.open_span());
        live.current.context().within(span, f)
    }
}

impl Live {
    fn head(&mut self, response: &mut ResponseHead<'_>) {
        let extensions = response.extensions_mut();
        let report = extensions.remove::<ScanReport>().map(Outcome::Completed);
        let reported = extensions.remove::<Outcome>().or(report);
        if let Some(outcome) = reported {
            self.current.report(outcome);
            return;
        }
        let headers = response.headers();
        let outcome = if is_grpc(headers) {
            // Without one there will be trailers.
            Code::from_headers(headers).map(of_code)
        } else {
            let outcome = of_status(response.status());
            if self.end_with_body {
                self.at_head = Some(outcome);
                return;
            }
            Some(outcome)
        };
        if let Some(outcome) = outcome {
            self.current.report(outcome);
        }
    }

    fn outcome(&self, scan: &ActiveScan, end: &End<'_>) -> Outcome {
        let failed = |reason, why: &'static str| Failure::new(reason).message(why).into();
        match end.ending() {
            Ending::Panic => failed(FailureReason::Panic, "the scan panicked"),
            Ending::ServiceError => failed(FailureReason::Error, "the service gave an error"),
            Ending::BodyError => failed(FailureReason::Error, "the response's body broke"),
            Ending::ClientGoneBeforeHead | Ending::ClientGoneInBody => scan.unfinished(),
            _ => match &self.at_head {
                Some(outcome) => outcome.clone(),
                None => of_code(Code::of_end(None, end)),
            },
        }
    }
}
