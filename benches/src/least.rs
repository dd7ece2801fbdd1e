//! The least that a layer can do which records what ours records: two clock readings, and an atomic
//! operation or two for each of the four instruments, through handles that it holds from the first request
//! on. It looks up no route, method or status, knows no ending but the drop, and so counts wrongly; it is
//! here to tell what of a layer's cost is the price of recording at all. It can also give a sink a line, and the
//! response an id, that were ready before: what remains of a JSON line without what it says.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use bytes::Buf as _;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use metrics::{Counter, Gauge, Histogram};
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tower_json_logging::{Importance, Sink};
use tower_observe::{Clock, Moment};
use tracing::Level;

/// Its counter of requests.
pub const COUNTER: &str = "least_requests_total";

/// As long as a line of ours for the same request.
pub const LINE: &[u8] = concat!(
    r#"{"timestamp":"2026-11-27T17:34:00.956640Z","level":"INFO","message":"GET /api/v1/scans0/{id} 200","#,
    r#""module":"http.access","function":"request","request_id":"e7595ad9061f758b133aca29ce1790e4","#,
    r#""event":"http_request","method":"GET","route":"/api/v1/scans0/{id}","status":200,"#,
    r#""outcome":"complete","duration_ms":0.132,"ttfb_ms":0.121,"bytes_out":2,"protocol":"HTTP/1.1","#,
    r#""user_agent":"h2load nghttp2/1.64.0"}"#,
    "\n"
)
.as_bytes();

struct Handles {
    active: Gauge,
    requests: Counter,
    seconds: Histogram,
    bytes: Histogram,
}

#[derive(Clone, Default)]
pub struct LeastLayer {
    handles: Arc<OnceLock<Arc<Handles>>>,
    /// Whose series they are, if there are several.
    route: Option<Arc<str>>,
    sink: Option<Sink>,
}

impl LeastLayer {
    /// For one of several routes, each of which has a layer of its own: so none has to be looked up.
    pub fn of_route(template: &str) -> Self {
        Self {
            route: Some(Arc::from(template)),
            ..Self::default()
        }
    }

    /// Which also gives this sink a line.
    pub fn to(sink: Sink) -> Self {
        Self {
            sink: Some(sink),
            ..Self::default()
        }
    }
}

#[derive(Clone)]
pub struct Least<S> {
    inner: S,
    handles: Arc<OnceLock<Arc<Handles>>>,
    route: Option<Arc<str>>,
    sink: Option<Sink>,
}

impl<S> Layer<S> for LeastLayer {
    type Service = Least<S>;

    fn layer(&self, inner: S) -> Least<S> {
        Least {
            inner,
            handles: Arc::clone(&self.handles),
            route: self.route.clone(),
            sink: self.sink.clone(),
        }
    }
}

struct Recording {
    handles: Arc<Handles>,
    started: Moment,
    bytes: u64,
    sink: Option<Sink>,
}

impl Drop for Recording {
    fn drop(&mut self) {
        let elapsed = Clock::system().now() - self.started;
        self.handles.active.decrement(1.0);
        self.handles.requests.increment(1);
        self.handles.seconds.record(elapsed);
        self.handles.bytes.record(self.bytes as f64);
        if let Some(sink) = &self.sink {
            sink.offer(LINE, Level::INFO, Importance::Important);
        }
    }
}

pin_project! {
    pub struct Future<F> {
        #[pin]
        inner: F,
        recording: Option<Recording>,
    }
}

pin_project! {
    pub struct Counted<B> {
        #[pin]
        inner: B,
        recording: Option<Recording>,
    }
}

impl<S, B, R> Service<Request<B>> for Least<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<Counted<R>>;
    type Error = S::Error;
    type Future = Future<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let started = Clock::system().now();
        let handles = self.handles.get_or_init(|| {
            let labels = self
                .route
                .as_deref()
                .map(|route| ("endpoint", route.to_owned()));
            let labels = labels.as_slice();
            Arc::new(Handles {
                active: metrics::gauge!("least_active_requests", labels),
                requests: metrics::counter!(COUNTER, labels),
                seconds: metrics::histogram!("least_request_duration_seconds", labels),
                bytes: metrics::histogram!("least_response_size_bytes", labels),
            })
        });
        handles.active.increment(1.0);
        let recording = Recording {
            handles: Arc::clone(handles),
            started,
            bytes: 0,
            sink: self.sink.clone(),
        };
        Future {
            inner: self.inner.call(request),
            recording: Some(recording),
        }
    }
}

impl<F, R, E> std::future::Future for Future<F>
where
    F: std::future::Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<Counted<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        let recording = this.recording.take();
        if recording.as_ref().is_some_and(|one| one.sink.is_some()) {
            let id = HeaderValue::from_static("e7595ad9061f758b133aca29ce1790e4");
            response.headers_mut().insert("x-request-id", id);
        }
        Poll::Ready(Ok(response.map(|inner| Counted { inner, recording })))
    }
}

impl<B: Body> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        let data = frame
            .as_ref()
            .and_then(|frame| frame.as_ref().ok()?.data_ref());
        if let (Some(data), Some(recording)) = (data, this.recording) {
            recording.bytes += data.remaining() as u64;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
