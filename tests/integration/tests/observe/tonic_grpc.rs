//! In a tonic server: statuses in trailers and in headers, streams, and clients that give up.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use http::uri::PathAndQuery;
use test_support::{drive::bounded, ends::Ends};
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt as _, wrappers::TcpListenerStream};
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    client::Grpc as Client,
    server::{Grpc, NamedService, ServerStreamingService},
    transport::{Channel, Endpoint, Server},
};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_client::HealthClient};
use tonic_prost::ProstCodec;
use tower::Service;
use tower_observe::{
    Class, Classify, End, Ending, Exchange, GrpcClassify, Observe, RequestHead, ResponseHead,
    grpc::Code as ObservedCode,
};

#[derive(Clone, PartialEq, prost::Message)]
struct Word {
    #[prost(string, tag = "1")]
    text: String,
}

fn word(text: &str) -> Word {
    Word {
        text: text.to_owned(),
    }
}

type Words = Pin<Box<dyn Stream<Item = Result<Word, Status>> + Send>>;

/// Streams what the request's word asks for.
#[derive(Clone)]
struct Echo;

impl ServerStreamingService<Word> for Echo {
    type Response = Word;
    type ResponseStream = Words;
    type Future = std::future::Ready<Result<Response<Words>, Status>>;

    fn call(&mut self, request: Request<Word>) -> Self::Future {
        let two = tokio_stream::iter([Ok(word("one")), Ok(word("two"))]);
        let words: Words = match request.into_inner().text.as_str() {
            "whole" => Box::pin(two),
            "fail" => {
                let failure = Status::internal("after two");
                Box::pin(two.chain(tokio_stream::once(Err(failure))))
            }
            "stall" => Box::pin(two.chain(tokio_stream::pending())),
            _ => return std::future::ready(Err(Status::not_found("no such stream"))),
        };
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
        if request.uri().path() == "/test.Echo/Never" {
            return Box::pin(std::future::pending());
        }
        Box::pin(async {
            let mut grpc = Grpc::new(ProstCodec::default());
            Ok(grpc.server_streaming(Self, request).await)
        })
    }
}

/// Classifies each exchange as a metrics layer would, with its code.
#[derive(Clone, Default)]
struct Classes(Arc<Mutex<Vec<(Class, ObservedCode)>>>);

struct Classing {
    classes: Classes,
    head: Option<Class>,
    code: Option<ObservedCode>,
}

impl Classes {
    fn last(&self) -> (Class, ObservedCode) {
        *self.0.lock().unwrap().last().expect("one")
    }
}

impl Observe for Classes {
    type Exchange = Classing;

    fn start(&self, _: &mut RequestHead<'_>) -> Classing {
        Classing {
            classes: self.clone(),
            head: None,
            code: None,
        }
    }
}

impl Exchange for Classing {
    fn head(&mut self, response: &mut ResponseHead<'_>) {
        self.head = GrpcClassify.head(response);
        self.code = ObservedCode::from_headers(response.headers());
    }

    fn end(&self, end: &End<'_>) {
        let class = GrpcClassify.classify(self.head, end);
        let code = ObservedCode::of_end(self.code, end);
        self.classes.0.lock().unwrap().push((class, code));
    }
}

struct Setting {
    ends: Ends,
    classes: Classes,
    channel: Channel,
    health: tonic_health::server::HealthReporter,
}

async fn serve() -> Setting {
    let (ends, classes) = (Ends::new(), Classes::default());
    let (health, health_server) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    // The classes are told first, so that they are there once the end is.
    let layer = ends.layer_with((classes.clone(), ends.clone()));
    tokio::spawn(
        Server::builder()
            .layer(layer)
            .add_service(health_server)
            .add_service(Echo)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    Setting {
        ends,
        classes,
        channel: endpoint.connect().await.unwrap(),
        health,
    }
}

impl Setting {
    async fn stream(&self, method: &'static str, text: &str) -> Result<Streaming, Status> {
        let mut client = Client::new(self.channel.clone());
        client.ready().await.unwrap();
        let codec = ProstCodec::<Word, Word>::default();
        let path = PathAndQuery::from_static(method);
        let request = Request::new(word(text));
        let response = client.server_streaming(request, path, codec).await?;
        Ok(response.into_inner())
    }
}

type Streaming = tonic::Streaming<Word>;

fn check(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

#[tokio::test]
async fn a_unary_call_ends_with_its_status_in_the_trailers() {
    bounded(async {
        let setting = serve().await;
        let mut client = HealthClient::new(setting.channel.clone());
        let response: HealthCheckResponse = client.check(check("")).await.unwrap().into_inner();
        let end = setting.ends.wait().await;
        let message = prost::Message::encoded_len(&response) as u64;
        assert_eq!(end.brief(), (Ending::Complete, Some(200), message + 5));
        assert_eq!(end.trailers.unwrap()["grpc-status"], "0");
        assert_eq!(setting.classes.last(), (Class::Success, ObservedCode::Ok));
        assert_eq!(end.path, "/grpc.health.v1.Health/Check");
    })
    .await;
}

#[tokio::test]
async fn a_status_in_the_headers_decides_a_response_without_messages() {
    bounded(async {
        let setting = serve().await;
        let mut client = HealthClient::new(setting.channel.clone());
        let status = client.check(check("unknown")).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        let end = setting.ends.wait().await;
        assert_eq!(end.brief(), (Ending::Complete, Some(200), 0));
        assert_eq!(end.trailers, None);
        let expected = (Class::ClientError, ObservedCode::NotFound);
        assert_eq!(setting.classes.last(), expected);

        // The same of a service that the server does not have.
        let status = setting.stream("/test.None/None", "").await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
        let end = setting.ends.wait_for(2).await.pop().unwrap();
        assert_eq!(end.brief(), (Ending::Complete, Some(200), 0));
        let expected = (Class::ServerError, ObservedCode::Unimplemented);
        assert_eq!(setting.classes.last(), expected);
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_fails_after_messages_ends_with_the_status_in_its_trailers() {
    bounded(async {
        let setting = serve().await;
        let mut stream = setting.stream("/test.Echo/Echo", "fail").await.unwrap();
        for text in ["one", "two"] {
            assert_eq!(stream.message().await.unwrap(), Some(word(text)));
        }
        assert_eq!(stream.message().await.unwrap_err().code(), Code::Internal);
        let end = setting.ends.wait().await;
        assert_eq!(end.brief(), (Ending::Complete, Some(200), 20));
        assert_eq!(end.trailers.unwrap()["grpc-status"], "13");
        let expected = (Class::ServerError, ObservedCode::Internal);
        assert_eq!(setting.classes.last(), expected);
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_read_to_its_end_is_a_success() {
    bounded(async {
        let setting = serve().await;
        let mut stream = setting.stream("/test.Echo/Echo", "whole").await.unwrap();
        while stream.message().await.unwrap().is_some() {}
        let end = setting.ends.wait().await;
        assert_eq!(end.brief(), (Ending::Complete, Some(200), 20));
        assert_eq!(setting.classes.last(), (Class::Success, ObservedCode::Ok));
    })
    .await;
}

#[tokio::test]
async fn a_stream_refused_at_once_has_its_status_in_the_headers() {
    bounded(async {
        let setting = serve().await;
        let status = setting.stream("/test.Echo/Echo", "none").await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        let end = setting.ends.wait().await;
        assert_eq!((end.ending, end.trailers), (Ending::Complete, None));
        let expected = (Class::ClientError, ObservedCode::NotFound);
        assert_eq!(setting.classes.last(), expected);
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_the_client_drops_is_a_client_gone() {
    bounded(async {
        let setting = serve().await;
        let mut stream = setting.stream("/test.Echo/Echo", "stall").await.unwrap();
        for text in ["one", "two"] {
            assert_eq!(stream.message().await.unwrap(), Some(word(text)));
        }
        assert_eq!(setting.ends.ended(), 0);
        drop(stream);
        let end = setting.ends.wait().await;
        assert_eq!(end.brief(), (Ending::ClientGoneInBody, Some(200), 20));
        let expected = (Class::ClientError, ObservedCode::Cancelled);
        assert_eq!(setting.classes.last(), expected);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_the_client_drops_before_the_answer_is_a_client_gone() {
    bounded(async {
        let setting = serve().await;
        {
            let call = setting.stream("/test.Echo/Never", "");
            tokio::pin!(call);
            tokio::select! {
                biased;
                _ = &mut call => panic!("answered"),
                () = setting.ends.wait_for_start(1) => {}
            }
        }
        let end = setting.ends.wait().await;
        assert_eq!(end.brief(), (Ending::ClientGoneBeforeHead, None, 0));
    })
    .await;
}

#[tokio::test]
async fn a_generated_stream_ends_once_for_each_watcher() {
    bounded(async {
        let mut setting = serve().await;
        setting
            .health
            .set_service_status("a", tonic_health::ServingStatus::Serving)
            .await;
        let mut client = HealthClient::new(setting.channel.clone());
        let mut one = client.watch(check("a")).await.unwrap().into_inner();
        let mut two = client.watch(check("a")).await.unwrap().into_inner();
        assert!(one.message().await.unwrap().is_some());
        assert!(two.message().await.unwrap().is_some());
        assert_eq!((setting.ends.started(), setting.ends.ended()), (2, 0));
        drop(one);
        setting.ends.wait_for(1).await;
        // A service that is taken away ends its watchers' streams.
        setting.health.clear_service_status("a").await;
        while let Ok(Some(_)) = two.message().await {}
        let end = setting.ends.wait_for(2).await.pop().unwrap();
        assert_eq!(end.ending, Ending::Complete);
        assert!(end.trailers.is_some());
    })
    .await;
}
