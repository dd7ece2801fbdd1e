//! A layer with a recorder and a clock of its own, and a service that ends in every way.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::Poll,
};

use http::{Method, Request, Response, StatusCode};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use test_support::{
    body::{ScriptBody, ScriptError},
    drive::{poll, poll_frame},
};
use tower::{Layer as _, Service, service_fn};
use tower_observe::{ManualClock, ObserveService};
use tower_request_metrics::{
    Recording, RequestMetrics, RequestMetricsBuilder, RequestMetricsLayer, Route,
};

/// A layer, and what it records.
pub struct Scene {
    pub layer: RequestMetricsLayer,
    pub clock: ManualClock,
    pub handle: PrometheusHandle,
}

/// A recorder whose histograms have few buckets.
pub fn recorder() -> PrometheusRecorder {
    PrometheusBuilder::new()
        .set_buckets(&[1.0, 50.0])
        .expect("buckets")
        .build_recorder()
}

impl Scene {
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub fn with(build: impl FnOnce(RequestMetricsBuilder) -> RequestMetricsBuilder) -> Self {
        // Older than the layer, as a test's own may be.
        let clock = ManualClock::new();
        let recorder = recorder();
        let handle = recorder.handle();
        let builder = RequestMetrics::builder().recorder(Arc::new(recorder));
        let metrics = build(builder).build().expect("built");
        Self {
            layer: RequestMetricsLayer::from(metrics).clock(clock.clock()),
            clock,
            handle,
        }
    }

    /// Every sample, sorted.
    pub fn lines(&self) -> Vec<String> {
        lines(&self.handle)
    }

    /// The samples of names that begin so, sorted.
    pub fn of(&self, start: &str) -> Vec<String> {
        let mut lines = self.lines();
        lines.retain(|line| line.starts_with(start));
        lines
    }

    /// The value of one series; none if it is not there.
    pub fn value(&self, series: &str) -> Option<f64> {
        self.lines().iter().find_map(|line| {
            let value = line.strip_prefix(series)?.strip_prefix(' ')?;
            value.parse().ok()
        })
    }

    /// The sum of the values of every series of this name.
    pub fn sum(&self, name: &str) -> f64 {
        let of_name = |line: &&String| line.split(['{', ' ']).next() == Some(name);
        self.lines()
            .iter()
            .filter(of_name)
            .map(|line| value_of(line))
            .sum()
    }

    /// Serves one request of `/{what}` by a service that does what the path says.
    pub fn run(&self, method: Method, what: &'static str) {
        let request = Request::builder().method(method).uri(what);
        let request = request.extension(Route::new(what)).body(()).unwrap();
        let _panicked = catch_unwind(AssertUnwindSafe(|| finish(&mut self.behaving(), request)));
    }

    pub fn behaving(&self) -> impl Behaving {
        self.layer.layer(service_fn(behave))
    }
}

pub fn lines(handle: &PrometheusHandle) -> Vec<String> {
    let text = handle.render();
    let samples = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut samples: Vec<_> = samples.map(str::to_owned).collect();
    samples.sort();
    samples
}

pub fn value_of(line: &str) -> f64 {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// How many `GET`s of a route were counted with this status.
pub fn counted(scene: &Scene, endpoint: &str, status: u16) -> Option<f64> {
    scene.value(&format!(
        r#"api_requests_total{{method="GET",endpoint="{endpoint}",status="{status}"}}"#
    ))
}

/// A service behind the layer.
pub trait Behaving:
    Service<
        Request<()>,
        Response = Response<tower_observe::ResponseBody<ScriptBody, Recording>>,
        Error = ScriptError,
        Future: Unpin,
    >
{
}

impl<S> Behaving for ObserveService<S, RequestMetrics> where
    Self: Service<
            Request<()>,
            Response = Response<tower_observe::ResponseBody<ScriptBody, Recording>>,
            Error = ScriptError,
            Future: Unpin,
        >
{
}

/// Calls the service and reads the response until it ends, fails or stalls; then drops it.
pub fn finish<S, B, X>(service: &mut S, request: Request<X>)
where
    S: Service<Request<X>, Response = Response<B>, Future: Unpin>,
    B: http_body::Body + Unpin,
{
    let mut future = service.call(request);
    let Poll::Ready(Ok(response)) = poll(&mut future) else {
        return;
    };
    let mut body = response.into_body();
    while let Poll::Ready(Some(Ok(_))) = poll_frame(&mut body) {}
}

pub type Future =
    Pin<Box<dyn std::future::Future<Output = Result<Response<ScriptBody>, ScriptError>>>>;

/// Does what the path says.
pub fn behave(request: Request<()>) -> Future {
    let mut response = Response::new(ScriptBody::of(["hello"]));
    match request.uri().path() {
        "/whole" => {}
        "/never" => return Box::pin(std::future::pending()),
        "/error" => return Box::pin(async { Err(ScriptError) }),
        "/panic/call" => panic!("in the call"),
        "/panic/poll" => return Box::pin(async { panic!("in the poll") }),
        "/panic/body" => *response.body_mut() = ScriptBody::of(["hello"]).panic(),
        "/body/error" => *response.body_mut() = ScriptBody::of(["hello"]).error(),
        "/body/stall" => *response.body_mut() = ScriptBody::of(["hello"]).stall(),
        "/upgrade" => *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS,
        "/empty" => *response.body_mut() = ScriptBody::new(),
        "/chunks" => *response.body_mut() = ScriptBody::of(["0123456789"; 4]),
        "/204" => *response.status_mut() = StatusCode::NO_CONTENT,
        "/304" => *response.status_mut() = StatusCode::NOT_MODIFIED,
        "/404" => *response.status_mut() = StatusCode::NOT_FOUND,
        "/503" => *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
        other => panic!("no such behaviour: {other}"),
    }
    Box::pin(std::future::ready(Ok(response)))
}

/// The same, with a body that says how long it is, and is longer than what comes of it if it breaks off.
pub fn behave_declared(request: Request<()>) -> Future {
    let bytes = match request.uri().path() {
        "/empty" => 0,
        "/chunks" => 40,
        path if path.starts_with("/body/") || path == "/panic/body" => 6,
        _ => 5,
    };
    let response = behave(request);
    Box::pin(async move { Ok(response.await?.map(|body| body.sized(bytes))) })
}

impl Scene {
    /// Answers everything, with one header of its own.
    pub fn layer_over_anything(&self) -> impl Behaving {
        self.layer.layer(service_fn(|_: Request<()>| {
            let mut response = Response::new(ScriptBody::of(["hello"]));
            let hit = http::HeaderValue::from_static("hit");
            response.headers_mut().insert("x-cache", hit);
            std::future::ready(Ok(response))
        }))
    }
}
