//! What a scraper gets from the service, whatever the source is.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "clippy knows tests, but not what they share; and servers are tasks"
)]

use std::{
    future::Future as _,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tower::{Service as _, ServiceExt as _};
use tower_metrics_exporter::{
    Filter, Format, MetricsBody, MetricsLayer, MetricsService, ResponseFuture, RouteBody,
    RouteFuture, RouteService, Source,
};

/// A page of so many series in each format.
struct Series(usize);

impl Source for Series {
    fn formats(&self) -> &[Format] {
        &[Format::Text, Format::OpenMetrics]
    }

    fn encode(&self, format: Format, filter: &Filter, page: &mut Vec<u8>) {
        if filter.has("series") {
            for series in 0..self.0 {
                page.extend(format!("series{{i=\"{series}\"}} 1\n").bytes());
            }
        }
        if format == Format::OpenMetrics {
            page.extend(b"# EOF\n");
        }
    }
}

/// Panics while it is told to.
#[derive(Default)]
struct Panics(AtomicBool);

impl Source for Panics {
    fn formats(&self) -> &[Format] {
        &[Format::Text]
    }

    fn encode(&self, _: Format, _: &Filter, page: &mut Vec<u8>) {
        page.extend(b"up 1\n");
        assert!(!self.0.load(Ordering::SeqCst), "as it should");
    }
}

fn request(method: Method, uri: &str, headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

async fn ask(service: &MetricsService, request: Request<()>) -> Response<MetricsBody> {
    let Ok(response) = service.clone().oneshot(request).await;
    response
}

async fn scrape(service: &MetricsService, headers: &[(&'static str, &str)]) -> Response<Bytes> {
    whole(ask(service, request(Method::GET, "/", headers)).await).await
}

async fn whole(response: Response<MetricsBody>) -> Response<Bytes> {
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await;
    Response::from_parts(head, body.to_bytes())
}

fn start(service: &MetricsService, uri: &str) -> ResponseFuture {
    service.clone().call(request(Method::GET, uri, &[]))
}

fn poll(future: &mut ResponseFuture) -> Poll<Response<MetricsBody>> {
    let mut cx = Context::from_waker(Waker::noop());
    Pin::new(future).poll(&mut cx).map(|Ok(response)| response)
}

/// Serves HTTP/1 and HTTP/2.
async fn serve<S, B>(service: S) -> SocketAddr
where
    S: tower::Service<Request<hyper::body::Incoming>, Response = Response<B>>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                drop(
                    server
                        .serve_connection(TokioIo::new(connection), service)
                        .await,
                );
            });
        }
    });
    address
}

async fn send(address: SocketAddr, text: &str) -> TcpStream {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(text.as_bytes()).await.unwrap();
    connection
}

async fn exchange(address: SocketAddr, text: &str) -> String {
    let mut answer = String::new();
    let mut connection = send(address, text).await;
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

// ===== Answers =====

#[tokio::test]
async fn a_page_has_its_format_and_its_length_and_says_what_it_varies_by() {
    let service = MetricsService::new(Series(3));
    for (accept, content_type, end) in [
        ("*/*", Format::Text.content_type(), "series{i=\"2\"} 1\n"),
        (
            "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
            Format::OpenMetrics.content_type(),
            "# EOF\n",
        ),
    ] {
        let response = scrape(&service, &[("accept", accept)]).await;
        assert_eq!(response.status(), StatusCode::OK);
        let headers = response.headers();
        assert_eq!(headers[header::CONTENT_TYPE], content_type);
        assert_eq!(headers[header::VARY], "Accept, Accept-Encoding");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(
            headers[header::CONTENT_LENGTH],
            response.body().len().to_string()
        );
        assert_eq!(headers.len(), 4, "{headers:?}");
        assert!(response.body().ends_with(end.as_bytes()));
    }
}

#[tokio::test]
async fn head_has_the_head_of_get_and_no_body() {
    let service = MetricsService::new(Series(1000));
    for headers in [
        &[][..],
        &[("accept-encoding", "gzip")],
        &[("accept", "a/b")],
    ] {
        let head = ask(&service, request(Method::HEAD, "/", headers)).await;
        let get = ask(&service, request(Method::GET, "/", headers)).await;
        assert_eq!(head.status(), get.status());
        assert_eq!(head.headers(), get.headers());
        assert!(!get.body().is_end_stream());
        assert!(head.body().is_end_stream());
        assert!(whole(head).await.body().is_empty());
    }
}

#[tokio::test]
async fn a_refusal_says_what_would_be_right() {
    let service = MetricsService::new(Series(1)).max_in_flight(0);
    let long = format!("/?name[]={}", "a".repeat(257));
    let many = (0..257).map(|name| format!("name[]={name}&"));
    let many = format!("/?{}", many.collect::<String>());
    for (method, uri, headers, status, text) in [
        (Method::POST, "/", &[][..], 405, "GET or HEAD"),
        (Method::OPTIONS, "/", &[], 405, "GET or HEAD"),
        (
            Method::GET,
            "/",
            &[("accept", "text/html")],
            406,
            "text/plain; version=0.0.4; charset=utf-8\napplication/openmetrics-text; version=1.0.0",
        ),
        (
            Method::GET,
            "/",
            &[("accept-encoding", "br, identity;q=0")],
            406,
            "not even identity",
        ),
        (Method::GET, &long, &[], 400, "longer than 256"),
        (Method::GET, &many, &[], 400, "more than 256"),
        (Method::GET, "/", &[], 503, "try again later"),
    ] {
        let response = ask(&service, request(method, uri, headers)).await;
        let response = whole(response).await;
        assert_eq!(response.status(), status, "{headers:?}");
        let body = std::str::from_utf8(response.body()).unwrap();
        assert!(body.contains(text), "{body}");
        let headers = response.headers();
        assert_eq!(headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
        assert_eq!(headers[header::CONTENT_LENGTH], body.len().to_string());
        assert_eq!(headers[header::VARY], "Accept, Accept-Encoding");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        let header = |name| headers.get(name).map(|value| value.to_str().unwrap());
        let allow = (status == 405).then_some("GET, HEAD");
        assert_eq!(header(header::ALLOW), allow);
        let retry = (status == 503).then_some("1");
        assert_eq!(header(header::RETRY_AFTER), retry);
    }
}

#[tokio::test]
async fn only_families_asked_for_are_on_the_page() {
    let service = MetricsService::new(Series(1));
    for (query, page) in [
        ("", "series{i=\"0\"} 1\n"),
        ("?x=y", "series{i=\"0\"} 1\n"),
        ("?name[]=series&name[]=other", "series{i=\"0\"} 1\n"),
        ("?name%5b%5D=%73eries", "series{i=\"0\"} 1\n"),
        ("?name[]=other", ""),
    ] {
        let request = request(Method::GET, &format!("/{query}"), &[]);
        let response = whole(ask(&service, request).await).await;
        assert_eq!(response.body(), page, "{query}");
    }
}

#[tokio::test]
async fn the_start_of_the_process_is_stated_where_it_is_known() {
    let start = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_999);
    let service = MetricsService::new(Series(1)).process_start(start);
    let response = scrape(&service, &[]).await;
    assert_eq!(response.headers()["process-start-time-unix"], "1700000000");
}

#[cfg(feature = "gzip")]
#[tokio::test]
async fn a_large_page_is_compressed_for_who_asks() {
    use std::io::Read as _;

    let service = MetricsService::new(Series(1000));
    let plain = scrape(&service, &[]).await;
    assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));

    let gzip = scrape(&service, &[("accept-encoding", "gzip")]).await;
    assert_eq!(gzip.headers()[header::CONTENT_ENCODING], "gzip");
    let length = gzip.headers()[header::CONTENT_LENGTH].to_str().unwrap();
    assert_eq!(length, gzip.body().len().to_string());
    assert!(gzip.body().len() < plain.body().len() / 4);
    let mut page = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(&**gzip.body());
    decoder.read_to_end(&mut page).unwrap();
    assert_eq!(page, **plain.body());

    let small = MetricsService::new(Series(1));
    for service in [service.compression(false), small] {
        let response = scrape(&service, &[("accept-encoding", "gzip")]).await;
        assert!(!response.headers().contains_key(header::CONTENT_ENCODING));
    }
}

#[cfg(feature = "zstd")]
#[tokio::test]
async fn zstd_is_what_it_says() {
    let service = MetricsService::new(Series(1000));
    let plain = scrape(&service, &[]).await;
    let zstd = scrape(&service, &[("accept-encoding", "gzip, zstd")]).await;
    assert_eq!(zstd.headers()[header::CONTENT_ENCODING], "zstd");
    let page = zstd::bulk::decompress(zstd.body(), 1 << 20).unwrap();
    assert_eq!(page, **plain.body());
}

// ===== Renders =====

#[tokio::test]
async fn a_panic_is_a_500_and_the_next_scrape_is_served() {
    let source = Arc::new(Panics::default());
    let service = MetricsService::new(Arc::clone(&source)).max_in_flight(1);
    // More than there are places, on the spot and off it.
    for _ in 0..3 {
        source.0.store(true, Ordering::SeqCst);
        let response = scrape(&service, &[]).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        source.0.store(false, Ordering::SeqCst);
        let response = scrape(&service, &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.body(), "up 1\n");
    }
}

#[test]
fn outside_of_a_runtime_a_page_is_there_at_once() {
    let service = MetricsService::new(Series(1));
    for _ in 0..2 {
        assert!(poll(&mut start(&service, "/")).is_ready());
    }
}

#[cfg(feature = "tokio")]
mod off_the_workers {
    use std::{
        sync::{Condvar, Mutex, atomic::AtomicUsize},
        thread::{self, ThreadId},
    };

    use http_body_util::Empty;
    use tokio::sync::Notify;
    use tower::service_fn;

    use super::*;

    /// A page that takes until it is released.
    #[derive(Default)]
    struct Slow {
        released: Mutex<bool>,
        release: Condvar,
        renders: AtomicUsize,
        threads: Mutex<Vec<ThreadId>>,
    }

    impl Slow {
        fn release(&self) {
            *self.released.lock().unwrap() = true;
            self.release.notify_all();
        }

        fn renders(&self) -> usize {
            self.renders.load(Ordering::SeqCst)
        }
    }

    impl Source for Slow {
        fn formats(&self) -> &[Format] {
            &[Format::Text]
        }

        fn encode(&self, _: Format, _: &Filter, page: &mut Vec<u8>) {
            self.renders.fetch_add(1, Ordering::SeqCst);
            self.threads.lock().unwrap().push(thread::current().id());
            let released = self.released.lock().unwrap();
            // Not for ever, so that a test that fails comes to its end.
            let enough = Duration::from_secs(20);
            let waiting = |released: &mut bool| !*released;
            drop(self.release.wait_timeout_while(released, enough, waiting));
            page.extend(b"slow 1\n");
        }
    }

    #[tokio::test]
    async fn scrapes_of_one_page_share_a_render_and_the_renders_are_bounded() {
        let source = Arc::new(Slow::default());
        let service = MetricsService::new(Arc::clone(&source)).max_in_flight(2);
        let mut shared = (0..10).map(|_| start(&service, "/")).collect::<Vec<_>>();
        let mut other = start(&service, "/?name[]=slow");
        assert!(shared.iter_mut().all(|scrape| poll(scrape).is_pending()));
        assert!(poll(&mut other).is_pending());
        let Poll::Ready(busy) = poll(&mut start(&service, "/?name[]=third")) else {
            panic!("no place was free");
        };
        assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
        // Whoever began it goes away, and another.
        shared.drain(..2);

        source.release();
        let mut pages = Vec::new();
        for scrape in shared {
            let Ok(response) = scrape.await;
            assert_eq!(response.status(), StatusCode::OK);
            pages.push(whole(response).await.into_body());
        }
        assert!(pages.iter().all(|page| page == "slow 1\n"));
        assert!(pages.iter().all(|page| page.as_ptr() == pages[0].as_ptr()));
        let Ok(response) = other.await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(source.renders(), 2);
        let here = thread::current().id();
        assert!(!source.threads.lock().unwrap().contains(&here));
    }

    #[tokio::test]
    async fn a_render_goes_on_without_anybody_and_makes_room_at_its_end() {
        let source = Arc::new(Slow::default());
        let service = MetricsService::new(Arc::clone(&source)).max_in_flight(1);
        drop(start(&service, "/"));
        let busy = ask(&service, request(Method::GET, "/?name[]=slow", &[])).await;
        assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
        source.release();
        // It joins the first render, or begins one after that.
        assert_eq!(scrape(&service, &[]).await.status(), StatusCode::OK);
        let room = ask(&service, request(Method::GET, "/?name[]=slow", &[])).await;
        assert_eq!(room.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_scraper_is_told_before_it_gives_up() {
        let source = Arc::new(Slow::default());
        let service = MetricsService::new(Arc::clone(&source));
        let timeout = "x-prometheus-scrape-timeout-seconds";
        let late = scrape(&service, &[(timeout, "0.01")]).await;
        assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(late.body(), "the page was not ready within 9ms\n");
        // The service's own is shorter.
        let service = service.timeout(Duration::from_millis(2));
        for seconds in ["10", "1e300", "nan", "-1", "0", "soon"] {
            let late = scrape(&service, &[(timeout, seconds)]).await;
            assert_eq!(late.body(), "the page was not ready within 2ms\n");
        }
        // They all asked for the same page.
        assert!(source.renders() <= 1);
        source.release();
        let service = service.timeout(Duration::MAX);
        let response = scrape(&service, &[(timeout, "1e300")]).await;
        assert_eq!(response.status(), StatusCode::OK);
    }

    #[test]
    fn a_runtime_without_timers_has_pages_all_the_same() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let source = Arc::new(Slow::default());
        let service = MetricsService::new(Arc::clone(&source));
        runtime.block_on(async {
            let first = start(&service, "/");
            let second = start(&service, "/");
            source.release();
            let (Ok(first), Ok(second)) = (first.await, second.await);
            assert_eq!(first.status(), StatusCode::OK);
            assert_eq!(second.status(), StatusCode::OK);
        });
    }

    #[test]
    fn a_runtime_that_is_gone_gives_up_the_render() {
        let source = Arc::new(Slow::default());
        let service = MetricsService::new(Arc::clone(&source));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let handle = runtime.handle().clone();
        runtime.shutdown_background();
        let _entered = handle.enter();
        let Poll::Ready(response) = poll(&mut start(&service, "/")) else {
            panic!("it waits for a render that never comes");
        };
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(source.renders(), 0);
    }

    #[tokio::test]
    async fn a_thousand_parallel_scrapes_are_one_render() {
        const CONNECTIONS: usize = 10;
        const STREAMS: usize = 100;

        let source = Arc::new(Slow::default());
        let service = MetricsService::new(Arc::clone(&source)).max_in_flight(1);
        let entered = Arc::new((AtomicUsize::new(0), Notify::new()));
        let all_in = Arc::clone(&entered);
        let address = serve(service_fn(move |request| {
            let scrape = service.clone().call(request);
            let (count, all) = &*entered;
            if count.fetch_add(1, Ordering::SeqCst) + 1 == CONNECTIONS * STREAMS {
                all.notify_one();
            }
            scrape
        }))
        .await;

        let mut scrapes = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS {
            let connection = TokioIo::new(TcpStream::connect(address).await.unwrap());
            let client = hyper::client::conn::http2::handshake(TokioExecutor::new(), connection);
            let (client, connection) = client.await.unwrap();
            tokio::spawn(connection);
            for _ in 0..STREAMS {
                let mut client = client.clone();
                scrapes.spawn(async move {
                    let request = Request::get("http://localhost/metrics");
                    let request = request.body(Empty::<Bytes>::new()).unwrap();
                    let response = client.send_request(request).await.unwrap();
                    assert_eq!(response.status(), StatusCode::OK);
                    response.into_body().collect().await.unwrap().to_bytes()
                });
            }
        }
        all_in.1.notified().await;
        source.release();
        let pages = scrapes.join_all().await;
        assert_eq!(pages.len(), CONNECTIONS * STREAMS);
        assert!(pages.iter().all(|page| page == "slow 1\n"));
        assert_eq!(source.renders(), 1);
    }
}

// ===== Servers =====

#[tokio::test]
async fn a_connection_goes_on_after_head_and_refusals() {
    let address = serve(MetricsService::new(Series(1))).await;
    let answers = exchange(
        address,
        "HEAD /metrics HTTP/1.1\r\nhost: a\r\n\r\n\
         POST /metrics HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab\
         GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;
    let statuses = answers.matches("HTTP/1.1 200 OK\r\n").count();
    assert_eq!(statuses, 2, "{answers}");
    assert!(answers.contains("HTTP/1.1 405 "), "{answers}");
    assert_eq!(answers.matches("content-length: 16\r\n").count(), 2);
    assert_eq!(answers.matches("series{i=\"0\"} 1\n").count(), 1);
    assert!(
        answers.ends_with("\r\n\r\nseries{i=\"0\"} 1\n"),
        "{answers}"
    );
}

#[tokio::test]
async fn a_slow_reader_holds_no_place_and_gets_its_whole_page() {
    // More than the sockets' buffers take.
    const SERIES: usize = 1_000_000;

    let address = serve(MetricsService::new(Series(SERIES)).max_in_flight(1)).await;
    let mut slow = send(
        address,
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;
    let mut byte = [0];
    slow.read_exact(&mut byte).await.unwrap();
    for name in ["a", "b"] {
        let request =
            format!("GET /?name[]={name} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let other = exchange(address, &request).await;
        assert!(other.starts_with("HTTP/1.1 200 OK\r\n"), "{other}");
    }
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).await.unwrap();
    let end = format!("series{{i=\"{}\"}} 1\n", SERIES - 1);
    assert!(rest.ends_with(end.as_bytes()));
}

#[tokio::test]
async fn axum_takes_the_service_and_the_layer() {
    let metrics = MetricsService::new(Series(1));
    let routed = Router::new()
        .route("/", get(|| async { "hello" }))
        .route_service("/metrics", metrics.clone());
    let layered = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/metrics", get(|| async { "hidden" }))
        .layer(MetricsLayer::new(metrics));
    for router in [routed, layered] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        for (method, path, status, body) in [
            ("GET", "/", "200", "hello"),
            (
                "GET",
                "/metrics?name[]=series",
                "200",
                "series{i=\"0\"} 1\n",
            ),
            ("HEAD", "/metrics", "200", ""),
            (
                "POST",
                "/metrics",
                "405",
                "metrics are had by GET or HEAD\n",
            ),
            ("GET", "/metrics/", "404", ""),
            ("POST", "/", "405", ""),
        ] {
            let request =
                format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
            let answer = exchange(address, &request).await;
            let (head, found) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert_eq!(found, body, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn tonic_serves_metrics_on_its_own_port() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

    let (_reporter, health) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .accept_http1(true)
        .layer(MetricsLayer::new(MetricsService::new(Series(1))).path("/internal/metrics"))
        .add_service(health)
        .serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener));
    tokio::spawn(server);

    let answer = exchange(
        address,
        "GET /internal/metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.ends_with("\r\n\r\nseries{i=\"0\"} 1\n"), "{answer}");

    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
    let channel = channel.unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    let check = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    let response = health.check(check("")).await.unwrap();
    assert_eq!(response.into_inner().status, 1);
    let error = health.check(check("unknown")).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn the_layer_is_invisible_to_other_requests() {
    /// Not ready, and then fails.
    #[derive(Clone)]
    struct Inner;

    impl tower::Service<Request<String>> for Inner {
        type Response = Response<http_body_util::Full<Bytes>>;
        type Error = String;
        type Future = std::future::Ready<Result<Self::Response, String>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
            Poll::Ready(Err("not ready".to_owned()))
        }

        fn call(&mut self, request: Request<String>) -> Self::Future {
            std::future::ready(match request.body().as_str() {
                "fail" => Err("failed".to_owned()),
                body => Ok(Response::new(Bytes::from(body.to_owned()).into())),
            })
        }
    }

    let layer = MetricsLayer::new(MetricsService::new(Series(1)));
    let mut service = tower::Layer::layer(&layer, Inner);
    let ready = service.ready().await.map(|_| ());
    assert_eq!(ready, Err("not ready".to_owned()));
    let mut call = |body: &str| service.call(Request::new(body.to_owned()));
    assert_eq!(call("fail").await.map(|_| ()), Err("failed".to_owned()));
    let response = call("hello").await.unwrap();
    assert_eq!(response.headers(), &HeaderMap::new());
    assert_eq!(response.body().size_hint().exact(), Some(5));
    assert!(!response.body().is_end_stream());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "hello");
}

#[test]
fn types_go_where_they_are_needed() {
    fn assert<T: Clone + Send + Sync + Unpin + std::fmt::Debug>() {}
    fn assert_future<T: Send + Sync + Unpin + std::fmt::Debug>() {}
    assert::<MetricsService>();
    assert::<MetricsLayer>();
    assert::<RouteService<()>>();
    assert::<MetricsBody>();
    assert_future::<ResponseFuture>();
    assert_future::<RouteFuture<()>>();
    assert_future::<RouteBody<()>>();
}
