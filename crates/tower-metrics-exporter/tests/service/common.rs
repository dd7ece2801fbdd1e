use std::{
    net::SocketAddr,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Method, Request, Response};
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
use tower_metrics_exporter::{Filter, Format, MetricsBody, MetricsService, ResponseFuture, Source};

/// A page of so many series in each format.
pub(crate) struct Series(pub(crate) usize);

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
pub(crate) struct Panics(pub(crate) AtomicBool);

impl Source for Panics {
    fn formats(&self) -> &[Format] {
        &[Format::Text]
    }

    fn encode(&self, _: Format, _: &Filter, page: &mut Vec<u8>) {
        page.extend(b"up 1\n");
        assert!(!self.0.load(Ordering::SeqCst), "as it should");
    }
}

pub(crate) fn request(method: Method, uri: &str, headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

pub(crate) async fn ask(service: &MetricsService, request: Request<()>) -> Response<MetricsBody> {
    let Ok(response) = service.clone().oneshot(request).await;
    response
}

pub(crate) async fn scrape(
    service: &MetricsService,
    headers: &[(&'static str, &str)],
) -> Response<Bytes> {
    whole(ask(service, request(Method::GET, "/", headers)).await).await
}

pub(crate) async fn whole(response: Response<MetricsBody>) -> Response<Bytes> {
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await;
    Response::from_parts(head, body.to_bytes())
}

pub(crate) fn start(service: &MetricsService, uri: &str) -> ResponseFuture {
    service.clone().call(request(Method::GET, uri, &[]))
}

pub(crate) fn poll(future: &mut ResponseFuture) -> Poll<Response<MetricsBody>> {
    let mut cx = Context::from_waker(Waker::noop());
    Pin::new(future).poll(&mut cx).map(|Ok(response)| response)
}

/// Serves HTTP/1 and HTTP/2.
pub(crate) async fn serve<S, B>(service: S) -> SocketAddr
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

pub(crate) async fn send(address: SocketAddr, text: &str) -> TcpStream {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(text.as_bytes()).await.unwrap();
    connection
}

pub(crate) async fn exchange(address: SocketAddr, text: &str) -> String {
    let mut answer = String::new();
    let mut connection = send(address, text).await;
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}
