//! A layer that does what any has to that counts rightly, and nothing else: it is written for its one
//! service and its four series. Two clock readings; the route, once, from axum or from a table; method and
//! status, which tell the series; recordings through handles that are held; a response's head and frames
//! looked at for the end; the end told once, also of what panicked or went away, with its status. Its table
//! is never freed, so that no request has to hold it.
//!
//! What a layer costs above this is its generality: names, labels, presets and instruments of one's choice,
//! streams, gRPC, recorders that change or forget, other observers. What this costs is the price of being
//! right.

use std::{
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll, ready},
};

use axum::extract::MatchedPath;
use bytes::Buf as _;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tower_observe::{Clock, Moment};

/// Its counter of requests.
pub const COUNTER: &str = "hand_requests_total";

/// The series of one route.
struct Route {
    template: String,
    seconds: OnceLock<Histogram>,
    bytes: OnceLock<Histogram>,
    methods: [OnceLock<Box<Of>>; 2],
}

/// Those of one method.
struct Of {
    method: &'static str,
    active: Gauge,
    requests: [OnceLock<Counter>; 500],
}

impl Route {
    fn new(template: &str) -> Self {
        Self {
            template: template.to_owned(),
            seconds: OnceLock::new(),
            bytes: OnceLock::new(),
            methods: [const { OnceLock::new() }; 2],
        }
    }

    #[inline]
    fn method(&self, method: &Method) -> &Of {
        let (place, method) = match *method {
            Method::GET => (&self.methods[0], "GET"),
            _ => (&self.methods[1], "_OTHER"),
        };
        place.get_or_init(|| {
            let endpoint = self.template.clone();
            Box::new(Of {
                method,
                active: gauge!("hand_active_requests", "method" => method, "endpoint" => endpoint),
                requests: [const { OnceLock::new() }; 500],
            })
        })
    }

    #[inline]
    fn ended(&self, of: &Of, status: u16, started: Moment, bytes: u64) {
        let endpoint = || self.template.clone();
        let elapsed = Clock::system().now() - started;
        of.active.decrement(1.0);
        let requests = of.requests[usize::from(status.clamp(100, 599) - 100)].get_or_init(|| {
            counter!(COUNTER, "method" => of.method, "endpoint" => endpoint(), "status" => status.to_string())
        });
        requests.increment(1);
        let seconds = self
            .seconds
            .get_or_init(|| histogram!("hand_request_duration_seconds", "endpoint" => endpoint()));
        seconds.record(elapsed);
        let sizes = self
            .bytes
            .get_or_init(|| histogram!("hand_response_size_bytes", "endpoint" => endpoint()));
        sizes.record(bytes as f64);
    }
}

/// Where the route is known from.
pub struct Table {
    templates: Option<matchit::Router<Route>>,
    /// Of axum's one path.
    matched: OnceLock<(MatchedPath, Route)>,
    other: Route,
}

impl Table {
    #[inline]
    fn route<B>(&self, request: &Request<B>) -> &Route {
        if let Some(templates) = &self.templates {
            let matched = templates.at(request.uri().path());
            return matched.map_or(&self.other, |matched| matched.value);
        }
        let Some(path) = request.extensions().get::<MatchedPath>() else {
            return &self.other;
        };
        let known = || (path.clone(), Route::new(path.as_str()));
        let (kept, route) = self.matched.get_or_init(known);
        if std::ptr::eq(kept.as_str(), path.as_str()) {
            route
        } else {
            &self.other
        }
    }
}

#[derive(Clone)]
pub struct HandLayer(&'static Table);

impl HandLayer {
    /// With the route that a router set, or with that of a table.
    pub fn new(templates: Option<&mut dyn Iterator<Item = String>>) -> Self {
        let templates = templates.map(|templates| {
            let mut router = matchit::Router::new();
            for template in templates {
                let route = Route::new(&template);
                router.insert(template, route).expect("it is well-formed");
            }
            router
        });
        Self(Box::leak(Box::new(Table {
            templates,
            matched: OnceLock::new(),
            other: Route::new("_OTHER"),
        })))
    }
}

impl<S> Layer<S> for HandLayer {
    type Service = Hand<S>;

    fn layer(&self, inner: S) -> Hand<S> {
        Hand {
            inner,
            table: self.0,
        }
    }
}

#[derive(Clone)]
pub struct Hand<S> {
    inner: S,
    table: &'static Table,
}

struct Recording {
    route: &'static Route,
    of: &'static Of,
    started: Moment,
    bytes: u64,
    /// How many bytes complete the body.
    owed: u64,
    status: u16,
    /// The inner service runs, and if it never returns has panicked.
    inside: bool,
    whole: bool,
}

impl Drop for Recording {
    fn drop(&mut self) {
        let status = if self.inside {
            500
        } else if self.whole || self.bytes >= self.owed {
            self.status
        } else {
            499
        };
        self.route.ended(self.of, status, self.started, self.bytes);
    }
}

/// Empty once the end was told.
struct Tracked(Option<Recording>);

impl Tracked {
    #[inline]
    fn inside(&mut self, inside: bool) {
        if let Some(recording) = &mut self.0 {
            recording.inside = inside;
        }
    }

    #[inline]
    fn end(&mut self, status: Option<u16>) {
        if let Some(recording) = &mut self.0 {
            recording.whole = true;
            recording.status = status.unwrap_or(recording.status);
            self.0 = None;
        }
    }
}

pin_project! {
    pub struct Future<F> {
        #[pin]
        inner: F,
        tracked: Tracked,
    }
}

pin_project! {
    pub struct Watched<B> {
        #[pin]
        inner: B,
        tracked: Tracked,
    }
}

impl<S, B, R> Service<Request<B>> for Hand<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<Watched<R>>;
    type Error = S::Error;
    type Future = Future<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let started = Clock::system().now();
        let route = self.table.route(&request);
        let of = route.method(request.method());
        of.active.increment(1.0);
        let mut tracked = Tracked(Some(Recording {
            route,
            of,
            started,
            bytes: 0,
            owed: u64::MAX,
            status: 499,
            inside: true,
            whole: false,
        }));
        let inner = self.inner.call(request);
        tracked.inside(false);
        Future { inner, tracked }
    }
}

impl<F, R, E> std::future::Future for Future<F>
where
    F: std::future::Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<Watched<R>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.tracked.inside(true);
        let polled = this.inner.poll(cx);
        this.tracked.inside(false);
        let response = match ready!(polled) {
            Ok(response) => response,
            Err(error) => {
                this.tracked.end(Some(500));
                return Poll::Ready(Err(error));
            }
        };
        let (status, body) = (response.status(), response.body());
        if let Some(recording) = &mut this.tracked.0 {
            recording.status = status.as_u16();
            recording.owed = body.size_hint().exact().unwrap_or(u64::MAX);
        }
        let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
        if bodiless || body.is_end_stream() {
            this.tracked.end(None);
        }
        let tracked = Tracked(this.tracked.0.take());
        Poll::Ready(Ok(response.map(|inner| Watched { inner, tracked })))
    }
}

impl<B: Body> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        this.tracked.inside(true);
        let polled = this.inner.as_mut().poll_frame(cx);
        this.tracked.inside(false);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => this.tracked.end(None),
            Poll::Ready(Some(Err(_))) => this.tracked.end(Some(500)),
            Poll::Ready(Some(Ok(frame))) => match (frame.data_ref(), &mut this.tracked.0) {
                (Some(data), Some(recording)) => {
                    recording.bytes += data.remaining() as u64;
                    if this.inner.is_end_stream() {
                        this.tracked.end(None);
                    }
                }
                (None, _) => this.tracked.end(None),
                (Some(_), None) => {}
            },
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
