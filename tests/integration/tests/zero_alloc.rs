//! What the layers allocate: nothing. Alone in its binary, as it installs the global allocator.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use test_support::{
    alloc::{Allocations, CountingAllocator, count, count_until},
    drive::{bounded, read, ready},
    serve,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{BoxError, Layer, Service, service_fn, util::MapRequest};
use tower_http::metrics::InFlightRequestsLayer;
use tower_observe::{End, Exchange, ManualClock, Observe, ObserveLayer, RequestHead, ResponseHead};
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
    fn head(&mut self, response: &mut ResponseHead<'_>) {
        response.at();
    }

    fn takes_data(&self) -> bool {
        true
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

/// Runs a client and its server, all on this thread, so that what both allocate is counted.
fn on_this_thread<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(bounded(test))
}

const ROUNDS: usize = 5;

/// The requests of which [`least`] tells the least that a round of them allocates.
const IN_ROUNDS: u64 = ((1 + ROUNDS) * REQUESTS) as u64;

/// What a hundred of these allocate once all is warm: the least of some rounds. Once a second, hyper makes
/// itself a new date, and now and then one of its tables grows.
async fn least(mut run: impl AsyncFnMut()) -> Allocations {
    let mut round = async || {
        for _ in 0..REQUESTS {
            run().await;
        }
    };
    round().await;
    let mut least = count_until(round()).await.0;
    for _ in 1..ROUNDS {
        let counted = count_until(round()).await.0;
        if counted.allocations < least.allocations {
            least = counted;
        }
    }
    least
}

/// What a hundred requests of a whole HTTP/1 connection allocate, client and server. The responses have
/// this `end`.
async fn over_http1<T, S, B>(connection: (T, T), service: S, end: &str) -> Allocations
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let mut wire = serve::http1(connection, service);
    let request = serve::request(Method::GET, "/");
    least(async || {
        wire.send(&request).await;
        wire.until(end).await;
    })
    .await
}

/// The same of HTTP/2, over a socket.
async fn over_http2<S, B>(service: S) -> Allocations
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let mut client = serve::http2(serve::tcp().await, service).await;
    least(async || {
        let mut body = client.get("/").await.unwrap().into_body();
        while let Some(frame) = body.frame().await {
            frame.unwrap();
        }
    })
    .await
}

/// How the body of [`answer`] ends in chunks.
const ANSWER: &str = "4\r\ndata\r\n0\r\n\r\n";

/// An HTTP/1 connection in memory.
fn connection<S, B>(service: S) -> Allocations
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    on_this_thread(over_http1(serve::memory(), service, ANSWER))
}

#[test]
fn a_whole_http1_connection_is_observed_without_allocating() {
    let bare = connection(service_fn(answer));
    assert!(bare.allocations > 0, "hyper itself allocates");
    assert_eq!(connection(service_fn(answer)), bare, "always the same");
    let counting = Counting::default();
    let observed = ObserveLayer::new(counting.clone()).layer(service_fn(answer));
    assert_eq!(connection(observed), bare);
    assert_eq!(counting.0.ends.load(Ordering::Relaxed), IN_ROUNDS);
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
fn what_was_idle_for_long_is_registered_once_and_then_metered_without_allocating() {
    let clock = ManualClock::new();
    let (layer, counts) = metered(|builder| builder);
    let mut service = layer.clock(clock.clock()).layer(service_fn(answer));
    let mut run = || {
        let response = ready(&mut service.call(Request::new(()))).unwrap();
        read(&mut response.into_body()).unwrap();
        drop(service.call(Request::new(())));
    };
    run();
    for _ in 0..3 {
        clock.advance(Duration::from_secs(60));
        let first = count(&mut run).allocations;
        assert!(first > 0, "it is registered again");
        // Nor when it is noted that it is still in use.
        for _ in 0..3 {
            clock.advance(Duration::from_secs(2));
            let later = count(|| (0..REQUESTS).for_each(|_| run()));
            assert_eq!(later, Allocations::default());
        }
    }
    let requests = 2 * (1 + 3 * (1 + 3 * REQUESTS as u64));
    assert_eq!(counts(), (requests, requests + requests / 2));
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
    assert_eq!(counts(), (IN_ROUNDS, 2 * IN_ROUNDS));
}

/// An HTTP/1 connection over a socket.
fn socket_http1<S, B>(service: S, end: &str) -> Allocations
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    on_this_thread(async { over_http1(serve::tcp().await, service, end).await })
}

#[test]
fn over_a_socket_http1_is_metered_without_allocating() {
    let bare = socket_http1(service_fn(answer), ANSWER);
    assert_eq!(
        socket_http1(service_fn(answer), ANSWER),
        bare,
        "always the same"
    );
    let (layer, counts) = metered(|builder| builder);
    assert_eq!(socket_http1(layer.layer(service_fn(answer)), ANSWER), bare);
    assert_eq!(counts(), (IN_ROUNDS, 2 * IN_ROUNDS));
}

#[test]
fn over_a_socket_http2_is_metered_without_allocating() {
    // What hyper allocates for a stream grows with the service's future; how often, does not.
    let bare = on_this_thread(over_http2(service_fn(answer))).allocations;
    let again = on_this_thread(over_http2(service_fn(answer))).allocations;
    assert_eq!(again, bare, "always the same");
    let (layer, counts) = metered(|builder| builder);
    let metered = on_this_thread(over_http2(layer.layer(service_fn(answer))));
    assert_eq!(metered.allocations, bare);
    assert_eq!(counts(), (IN_ROUNDS, 2 * IN_ROUNDS));
}

#[test]
fn over_a_socket_a_router_is_metered_without_allocating() {
    let router = || Router::new().route("/", get(async || "hello"));
    fn run<S, B>(service: S) -> u64
    where
        S: Service<axum::extract::Request, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let service = MapRequest::new(service, |request: Request<Incoming>| {
            request.map(axum::body::Body::new)
        });
        socket_http1(service, "\r\n\r\nhello").allocations
    }
    let bare = run(router());
    assert_eq!(run(router()), bare, "always the same");
    let (layer, counts) = metered(|builder| builder);
    assert_eq!(run(layer.layer(router())), bare);
    assert_eq!(counts(), (IN_ROUNDS, 2 * IN_ROUNDS));

    // Within, axum boxes the service of every layer, and its body.
    let floor = run(router().layer(InFlightRequestsLayer::pair().0));
    let (layer, counts) = metered(|builder| builder);
    assert_eq!(run(router().layer(layer)), floor);
    assert_eq!(counts(), (IN_ROUNDS, 2 * IN_ROUNDS));
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

/// What a hundred unary calls over a socket allocate, with tonic's client and this server.
fn calls<F>(serve: impl FnOnce(TcpListenerStream) -> F) -> u64
where
    F: Future<Output: Send> + Send + 'static,
{
    on_this_thread(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(TcpListenerStream::new(listener)));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let mut client = HealthClient::new(endpoint.connect().await.unwrap());
        least(async || {
            client.check(HealthCheckRequest::default()).await.unwrap();
        })
        .await
        .allocations
    })
}

#[test]
fn over_a_socket_a_tonic_server_is_metered_without_allocating() {
    let health = || tonic_health::server::health_reporter().1;
    let bare = || {
        calls(|incoming| {
            Server::builder()
                .add_service(health())
                .serve_with_incoming(incoming)
        })
    };
    let (bare, again) = (bare(), bare());
    assert_eq!(again, bare, "always the same");
    for protocol in [Protocol::Grpc, Protocol::Auto] {
        let (layer, counts) = metered(|builder| builder.protocol(protocol));
        let metered = calls(|incoming| {
            Server::builder()
                .layer(layer)
                .add_service(health())
                .serve_with_incoming(incoming)
        });
        assert_eq!(metered, bare);
        assert_eq!(counts(), (3 * IN_ROUNDS, IN_ROUNDS));
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
