use std::task::{Context, Poll};

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use tower::{Service as _, ServiceExt as _};
use tower_metrics_exporter::{
    MetricsBody, MetricsLayer, MetricsService, ResponseFuture, RouteBody, RouteFuture, RouteService,
};

use crate::common::{Series, exchange, serve};

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
