//! What the layers allocate: nothing. Alone in its binary, as it installs the global allocator.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::Full;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use test_support::{
    alloc::{Allocations, CountingAllocator, count, count_until},
    drive::{bounded, read, ready},
    serve,
};
use tower::{Layer, Service, service_fn};
use tower_http::metrics::InFlightRequestsLayer;
use tower_observe::{End, Exchange, Observe, ObserveLayer, RequestHead, ResponseHead};
use tower_request_metrics::{
    Instrument, Label, Names, Protocol, RequestMetrics, RequestMetricsBuilder, RequestMetricsLayer,
    Route, RouteTable,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const REQUESTS: usize = 100;

/// Counts ends and bytes, and asks for all there is, without allocating.
#[derive(Clone, Default)]
struct Counting(Arc<Counts>);

#[derive(Default)]
struct Counts {
    ends: AtomicU64,
    bytes: AtomicU64,
}

impl Observe for Counting {
    type Exchange = Self;

    fn start(&self, _: &mut RequestHead<'_>) -> Self {
        self.clone()
    }
}

impl Exchange for Counting {
    const FRAMES: bool = true;

    fn head(&mut self, response: &mut ResponseHead<'_>) {
        response.at();
    }

    fn end(&self, end: &End<'_>) {
        self.0.ends.fetch_add(1, Ordering::Relaxed);
        self.0.bytes.fetch_add(end.bytes(), Ordering::Relaxed);
    }
}

/// A body in three frames, which itself allocates nothing.
struct Three(u8);

impl Body for Three {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        let left = self.0.checked_sub(1);
        self.0 = left.unwrap_or(0);
        let frame = left.map(|_| Ok(http_body::Frame::data(Bytes::from_static(b"data"))));
        std::task::Poll::Ready(frame)
    }
}

fn answer<B>(_: Request<B>) -> std::future::Ready<Result<Response<Three>, Infallible>> {
    std::future::ready(Ok(Response::new(Three(3))))
}

/// What a hundred requests allocate once the service is warm.
fn by_hand<S, B, X>(mut service: S, make: impl Fn() -> Request<X>) -> Allocations
where
    S: Service<Request<X>, Response = Response<B>>,
    S::Future: Unpin,
    S::Error: std::fmt::Debug,
    B: Body + Unpin,
    B::Error: std::fmt::Debug,
{
    let mut run = || {
        let response = ready(&mut service.call(make())).unwrap();
        read(&mut response.into_body()).unwrap();
    };
    (0..REQUESTS).for_each(|_| run());
    count(|| (0..REQUESTS).for_each(|_| run()))
}

#[test]
fn the_allocator_counts() {
    let one = count(|| Box::new(7_u64));
    assert_eq!((one.allocations, one.bytes), (1, 8));
    let grown = count(|| {
        let mut text = String::with_capacity(1);
        text.push_str("more than one");
        text
    });
    assert_eq!(grown.allocations, 2);
    assert_eq!(count(|| 7), Allocations::default());
    let elsewhere = count(|| ());
    let other = std::thread::spawn(|| count(|| Box::new([0_u8; 64])).bytes);
    assert_eq!(other.join().unwrap(), 64);
    assert_eq!(elsewhere, Allocations::default());
}

#[test]
fn a_plain_service_is_observed_without_allocating() {
    let request = || Request::new(());
    let bare = by_hand(service_fn(answer), request);
    assert_eq!(bare, Allocations::default(), "the floor is none at all");

    let counting = Counting::default();
    let one = ObserveLayer::new(counting.clone()).layer(service_fn(answer));
    assert_eq!(by_hand(one, request), bare);
    assert_eq!(counting.0.ends.load(Ordering::Relaxed), 200);
    assert_eq!(counting.0.bytes.load(Ordering::Relaxed), 200 * 12);

    let many = (counting.clone(), Some(counting.clone()), (), (counting,));
    let four = ObserveLayer::new(many).layer(service_fn(answer));
    assert_eq!(by_hand(four, request), bare);
    let closure = |_: &mut RequestHead<'_>| |_: &End<'_>| {};
    let closure = ObserveLayer::new(closure).layer(service_fn(answer));
    assert_eq!(by_hand(closure, request), bare);
}

#[test]
fn an_exchange_that_is_dropped_allocates_nothing_either() {
    let counting = Counting::default();
    let mut service = ObserveLayer::new(counting.clone()).layer(service_fn(answer));
    let mut run = || {
        drop(service.call(Request::new(())));
        drop(ready(&mut service.call(Request::new(()))));
    };
    run();
    assert_eq!(count(run), Allocations::default());
    assert_eq!(counting.0.ends.load(Ordering::Relaxed), 4);
}

/// What a hundred requests of a whole HTTP/1 connection in memory allocate, client and server.
///
/// The least of five counts: once a second, hyper makes itself a new date.
fn connection<S, B>(service: S) -> Allocations
where
    S: Service<Request<hyper::body::Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(bounded(async {
        let mut wire = serve::http1(serve::memory(), service);
        let request = serve::request(Method::GET, "/");
        let mut run = async |times| {
            for _ in 0..times {
                wire.send(&request).await;
                let response = wire.until("0\r\n\r\n").await;
                assert!(response.contains("4\r\ndata\r\n"));
            }
        };
        run(REQUESTS).await;
        let mut counted = Vec::new();
        for _ in 0..5 {
            counted.push(count_until(run(REQUESTS)).await.0);
        }
        let least = counted.into_iter().min_by_key(|count| count.allocations);
        least.unwrap()
    }))
}

#[test]
fn a_whole_http1_connection_is_observed_without_allocating() {
    let bare = connection(service_fn(answer));
    assert!(bare.allocations > 0, "hyper itself allocates");
    assert_eq!(connection(service_fn(answer)), bare, "always the same");
    let counting = Counting::default();
    let observed = ObserveLayer::new(counting.clone()).layer(service_fn(answer));
    assert_eq!(connection(observed), bare);
    assert_eq!(counting.0.ends.load(Ordering::Relaxed), 600);
}

/// What a hundred requests to a router with this layer allocate.
fn routed<L>(layer: L) -> u64
where
    L: Layer<axum::routing::Route> + Clone + Send + Sync + 'static,
    L::Service: Service<axum::extract::Request, Error = Infallible> + Clone + Send + Sync + 'static,
    <L::Service as Service<axum::extract::Request>>::Response:
        axum::response::IntoResponse + 'static,
    <L::Service as Service<axum::extract::Request>>::Future: Send + 'static,
{
    let router: Router = Router::new()
        .route("/", get(async || "hello"))
        .layer(layer)
        .with_state(());
    by_hand(router, || Request::new(axum::body::Body::empty())).allocations
}

#[test]
fn a_router_is_observed_with_no_more_allocations_than_any_layer_costs_there() {
    // axum boxes the service of every layer, and its body; the floor is a layer that has state and
    // wraps the body, as this one does.
    let floor = routed(InFlightRequestsLayer::pair().0);
    let counting = Counting::default();
    assert_eq!(routed(ObserveLayer::new(counting.clone())), floor);
    assert_eq!(counting.0.ends.load(Ordering::Relaxed), 200);
    assert_eq!(counting.0.bytes.load(Ordering::Relaxed), 200 * 5);
    let many = (counting.clone(), counting.clone(), Some(counting));
    assert_eq!(routed(ObserveLayer::new(many)), floor);
}

/// A recorder that keeps one number of each kind of thing, and allocates only to register.
#[derive(Default)]
struct Numbers {
    counted: Arc<AtomicU64>,
    gauge: Arc<AtomicU64>,
    recorded: Arc<Recorded>,
}

#[derive(Default)]
struct Recorded(AtomicU64);

impl metrics::HistogramFn for Recorded {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Recorder for Numbers {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::clone(&self.counted))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::clone(&self.gauge))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::clone(&self.recorded))
    }
}

/// A layer, and how many things it counted and recorded.
fn metered(
    build: impl FnOnce(RequestMetricsBuilder) -> RequestMetricsBuilder,
) -> (RequestMetricsLayer, impl Fn() -> (u64, u64)) {
    let numbers = Arc::new(Numbers::default());
    let builder = RequestMetrics::builder().recorder(Arc::clone(&numbers) as _);
    let layer = RequestMetricsLayer::from(build(builder).build().unwrap());
    let counts = move || {
        assert_eq!(f64::from_bits(numbers.gauge.load(Ordering::Relaxed)), 0.0);
        let counted = numbers.counted.load(Ordering::Relaxed);
        (counted, numbers.recorded.0.load(Ordering::Relaxed))
    };
    (layer, counts)
}

#[test]
fn a_plain_service_is_metered_without_allocating() {
    let request = || {
        let mut request = Request::new(());
        request
            .headers_mut()
            .insert("x-tenant", http::HeaderValue::from_static("a"));
        request.extensions_mut().insert(Route::new("/users/{id}"));
        request
    };
    let bare = by_hand(service_fn(answer), request);
    let (layer, counts) = metered(|builder| builder);
    assert_eq!(by_hand(layer.layer(service_fn(answer)), request), bare);
    assert_eq!(counts(), (200, 400));

    let (layer, counts) = metered(|builder| {
        let tenant = Label::request_header("tenant", http::HeaderName::from_static("x-tenant"));
        let size = Label::response("size", |_| Some("small".into()));
        builder
            .enable(Instrument::RequestSize)
            .enable(Instrument::TimeToHeaders)
            .label(tenant)
            .label(size)
    });
    assert_eq!(by_hand(layer.layer(service_fn(answer)), request), bare);
    assert_eq!(counts(), (200, 800));

    for names in [Names::OpenTelemetry, Names::AxumPrometheus] {
        let (layer, _) = metered(|builder| builder.names(names));
        assert_eq!(by_hand(layer.layer(service_fn(answer)), request), bare);
    }
}

#[test]
fn unmatched_paths_unknown_methods_and_routes_over_the_budget_allocate_nothing() {
    let request = || {
        let mut request = Request::new(());
        *request.method_mut() = Method::TRACE;
        request.extensions_mut().insert(Route::new("/over"));
        request
    };
    let bare = by_hand(service_fn(answer), request);
    let (layer, _) = metered(|builder| builder.max_routes(0).methods(["GET"]));
    assert_eq!(by_hand(layer.layer(service_fn(answer)), request), bare);

    let table = RouteTable::new(["/a", "/users/{id}", "/static/{*path}"]).unwrap();
    let (layer, counts) = metered(|builder| builder.routes(table));
    let request = || Request::builder().uri("/users/12").body(()).unwrap();
    let bare = by_hand(service_fn(answer), request);
    assert_eq!(by_hand(layer.layer(service_fn(answer)), request), bare);
    assert_eq!(counts(), (200, 400));
}

#[test]
fn clients_that_leave_are_metered_without_allocating() {
    let (layer, counts) = metered(|builder| builder);
    let mut service = layer.layer(service_fn(answer));
    let mut run = || {
        drop(service.call(Request::new(())));
        drop(ready(&mut service.call(Request::new(()))));
    };
    run();
    assert_eq!(count(run), Allocations::default());
    assert_eq!(counts().0, 4);
}

#[test]
fn a_router_is_metered_with_no_more_allocations_than_any_layer_costs_there() {
    let floor = routed(InFlightRequestsLayer::pair().0);
    let (layer, counts) = metered(|builder| builder);
    assert_eq!(routed(layer), floor);
    assert_eq!(counts(), (200, 400));
}

#[test]
fn a_whole_http1_connection_is_metered_without_allocating() {
    let bare = connection(service_fn(answer));
    let (layer, counts) = metered(|builder| builder);
    assert_eq!(connection(layer.layer(service_fn(answer))), bare);
    assert_eq!(counts(), (600, 1200));
}

#[test]
fn a_unary_call_of_a_tonic_service_is_metered_without_allocating() {
    let (_, health) = tonic_health::server::health_reporter();
    let request = || {
        let empty = Full::new(Bytes::from_static(&[0; 5]));
        Request::post("/grpc.health.v1.Health/Check")
            .header("content-type", "application/grpc")
            .body(tonic::body::Body::new(empty))
            .unwrap()
    };
    let bare = by_hand(health.clone(), request);
    for protocol in [Protocol::Grpc, Protocol::Auto] {
        let (layer, counts) = metered(|builder| builder.protocol(protocol));
        let metered = by_hand(layer.layer(health.clone()), request);
        // The first call makes the method known, which is not counted here.
        assert_eq!(metered, bare);
        assert_eq!(
            counts(),
            (3 * 200, 200),
            "started, handled, sent, and seconds"
        );
    }
}

#[test]
fn counting_request_bodies_costs_a_handful_of_allocations() {
    let request = || Request::new(());
    let bare = by_hand(service_fn(answer), request).allocations;
    let (layer, _) = metered(RequestMetricsBuilder::count_request_bodies);
    let counting = by_hand(layer.layer(service_fn(answer)), request).allocations;
    // The request's extensions, which are empty here, take three of them.
    assert_eq!(counting - bare, 5 * REQUESTS as u64);
}
