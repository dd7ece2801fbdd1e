//! In a tonic server, with its own client.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use http::uri::PathAndQuery;
use test_support::drive::bounded;
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt as _, wrappers::TcpListenerStream};
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    client::Grpc as Client,
    server::{Grpc, NamedService, StreamingService},
    transport::{Channel, Endpoint, Server},
};
use tonic_health::pb::{
    HealthCheckRequest as Word, HealthCheckResponse, health_client::HealthClient,
};
use tonic_prost::ProstCodec;
use tower::{Service, ServiceBuilder};
use tower_request_metrics::{CountRequestBodyLayer, Protocol};

use crate::common::Scene;

type Words = Pin<Box<dyn Stream<Item = Result<Word, Status>> + Send>>;

/// Gives back each message; fails at `fail`, and waits for ever at `stall`.
#[derive(Clone)]
struct Echo;

impl StreamingService<Word> for Echo {
    type Response = Word;
    type ResponseStream = Words;
    type Future = std::future::Ready<Result<Response<Words>, Status>>;

    fn call(&mut self, request: Request<Streaming<Word>>) -> Self::Future {
        let words = request.into_inner().then(async |word| match word {
            Ok(word) if word.service == "fail" => Err(Status::internal("as asked")),
            Ok(word) if word.service == "stall" => std::future::pending().await,
            word => word,
        });
        let words: Words = Box::pin(words);
        std::future::ready(Ok(Response::new(words)))
    }
}

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async {
            let mut grpc = Grpc::new(ProstCodec::default());
            Ok(grpc.streaming(Self, request).await)
        })
    }
}

async fn serve() -> (Scene, Channel) {
    let scene = Scene::with(|builder| {
        builder
            .protocol(Protocol::Grpc)
            .count_request_bodies()
            .descriptors(tonic_health::pb::FILE_DESCRIPTOR_SET)
    });
    let (_, health) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let layers = ServiceBuilder::new()
        .layer(scene.layer.clone())
        .layer(CountRequestBodyLayer::new())
        .into_inner();
    tokio::spawn(
        Server::builder()
            .layer(layers)
            .add_service(health)
            .add_service(Echo)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    (scene, endpoint.connect().await.unwrap())
}

fn word(text: &str) -> Word {
    Word {
        service: text.to_owned(),
    }
}

async fn echo(
    channel: &Channel,
    method: &'static str,
    words: impl Stream<Item = Word> + Send + 'static,
) -> Result<Streaming<Word>, Status> {
    let mut client = Client::new(channel.clone());
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static(method);
    let codec = ProstCodec::<Word, Word>::default();
    let response = client.streaming(Request::new(words), path, codec).await?;
    Ok(response.into_inner())
}

/// The value of a series, once as many calls were handled.
async fn after(scene: &Scene, calls: u32, series: &str) -> Option<f64> {
    while scene.sum("grpc_server_handled_total") < f64::from(calls) {
        tokio::task::yield_now().await;
    }
    scene.value(series)
}

const CHECK: &str =
    r#"{grpc_type="unary",grpc_service="grpc.health.v1.Health",grpc_method="Check""#;
const ECHO: &str = r#"{grpc_service="test.Echo",grpc_method="Echo""#;

#[tokio::test]
async fn a_unary_call_is_counted_with_its_type_code_and_messages() {
    bounded(async {
        let (scene, channel) = serve().await;
        let mut client = HealthClient::new(channel);
        let response: HealthCheckResponse = client.check(word("")).await.unwrap().into_inner();
        assert_eq!(response.status, 1);
        let ok = format!(r#"grpc_server_handled_total{CHECK},grpc_code="OK"}}"#);
        assert_eq!(after(&scene, 1, &ok).await, Some(1.0));
        for name in [
            "started_total",
            "msg_received_total",
            "msg_sent_total",
            "handling_seconds_count",
        ] {
            let series = format!("grpc_server_{name}{CHECK}}}");
            assert_eq!(scene.value(&series), Some(1.0), "{name}");
        }
        let error = client.check(word("unknown")).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
        let not_found = format!(r#"grpc_server_handled_total{CHECK},grpc_code="NotFound"}}"#);
        assert_eq!(after(&scene, 2, &not_found).await, Some(1.0));
        assert_eq!(scene.sum("grpc_server_msg_sent_total"), 1.0);
        assert_eq!(scene.sum("grpc_server_in_flight"), 0.0);
    })
    .await;
}

#[tokio::test]
async fn a_stream_in_both_directions_counts_its_messages_and_the_status_in_its_trailers() {
    bounded(async {
        let (scene, channel) = serve().await;
        let words = tokio_stream::iter([word("a"), word("b"), word("fail")]);
        let mut stream = echo(&channel, "/test.Echo/Echo", words).await.unwrap();
        assert_eq!(stream.message().await.unwrap(), Some(word("a")));
        assert_eq!(stream.message().await.unwrap(), Some(word("b")));
        assert_eq!(stream.message().await.unwrap_err().code(), Code::Internal);
        let internal = format!(r#"grpc_server_handled_total{ECHO},grpc_code="Internal"}}"#);
        assert_eq!(after(&scene, 1, &internal).await, Some(1.0));
        assert_eq!(
            scene.value(&format!("grpc_server_msg_sent_total{ECHO}}}")),
            Some(2.0)
        );
        assert_eq!(
            scene.value(&format!("grpc_server_msg_received_total{ECHO}}}")),
            Some(3.0)
        );
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_the_client_drops_is_canceled() {
    bounded(async {
        let (scene, channel) = serve().await;
        let words = tokio_stream::iter([word("a"), word("stall")]);
        let mut stream = echo(&channel, "/test.Echo/Echo", words).await.unwrap();
        assert_eq!(stream.message().await.unwrap(), Some(word("a")));
        assert_eq!(scene.sum("grpc_server_in_flight"), 1.0);
        drop(stream);
        let canceled = format!(r#"grpc_server_handled_total{ECHO},grpc_code="Canceled"}}"#);
        assert_eq!(after(&scene, 1, &canceled).await, Some(1.0));
        assert_eq!(scene.sum("grpc_server_in_flight"), 0.0);
    })
    .await;
}

#[tokio::test]
async fn a_service_that_the_server_does_not_have_is_other() {
    bounded(async {
        let (scene, channel) = serve().await;
        for _ in 0..2 {
            let call = echo(&channel, "/test.None/None", tokio_stream::empty());
            assert_eq!(call.await.unwrap_err().code(), Code::Unimplemented);
        }
        let other = r#"grpc_server_handled_total{grpc_service="_OTHER",grpc_method="_OTHER",grpc_code="Unimplemented"}"#;
        assert_eq!(after(&scene, 2, other).await, Some(2.0));
    })
    .await;
}
