//! A tonic server that answers as told, and counts.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io::Error,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::stream::{self, Stream};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use prost::{Message as _, bytes::Buf as _, bytes::BufMut as _};
use prost_types::{
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
};
use server_tests::Kind;
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot, task::JoinHandle, time::timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::{Grpc, NamedService},
};
use tower::{Service, ServiceBuilder, service_fn};
use tower_request_metrics::{
    CountRequestBodyLayer, Protocol, RequestMetrics, RequestMetricsBuilder, RequestMetricsLayer,
};

/// A package, a service with its package, and the methods.
type Served = (&'static str, &'static str, &'static [(&'static str, Kind)]);

/// What the server has. Of etcd's own, a few.
const SERVICES: [Served; 5] = [
    (
        "test",
        "test.Calls",
        &[
            ("Unary", Kind::Unary),
            ("ServerStream", Kind::ServerStream),
            ("ClientStream", Kind::ClientStream),
            ("BidiStream", Kind::BidiStream),
        ],
    ),
    (
        "etcdserverpb",
        "etcdserverpb.KV",
        &[
            ("Range", Kind::Unary),
            ("Put", Kind::Unary),
            ("Compact", Kind::Unary),
        ],
    ),
    (
        "etcdserverpb",
        "etcdserverpb.Lease",
        &[
            ("LeaseGrant", Kind::Unary),
            ("LeaseRevoke", Kind::Unary),
            ("LeaseKeepAlive", Kind::BidiStream),
        ],
    ),
    (
        "etcdserverpb",
        "etcdserverpb.Watch",
        &[("Watch", Kind::BidiStream)],
    ),
    (
        "etcdserverpb",
        "etcdserverpb.Maintenance",
        &[("Snapshot", Kind::ServerStream)],
    ),
];

/// What a `FileDescriptorSet` says of them.
fn descriptors() -> Vec<u8> {
    let method = |(name, kind): &(&str, Kind)| MethodDescriptorProto {
        name: Some((*name).to_owned()),
        client_streaming: Some(matches!(kind, Kind::ClientStream | Kind::BidiStream)),
        server_streaming: Some(matches!(kind, Kind::ServerStream | Kind::BidiStream)),
        ..MethodDescriptorProto::default()
    };
    let file = |(package, service, methods): (&str, &str, &[_])| FileDescriptorProto {
        package: Some(package.to_owned()),
        service: vec![ServiceDescriptorProto {
            name: service.rsplit('.').next().map(str::to_owned),
            method: methods.iter().map(method).collect(),
            ..ServiceDescriptorProto::default()
        }],
        ..FileDescriptorProto::default()
    };
    let file = SERVICES.into_iter().map(file).collect();
    FileDescriptorSet { file }.encode_to_vec()
}

fn kind_of(path: &str) -> Option<Kind> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let (_, _, methods) = SERVICES.into_iter().find(|(_, name, _)| *name == service)?;
    let (_, kind) = methods.iter().find(|(name, _)| *name == method)?;
    Some(*kind)
}

/// Whether the server has that method.
pub fn has_method(service: &str, method: &str) -> bool {
    kind_of(&format!("/{service}/{method}")).is_some()
}

/// What the server does with one call: so many messages of these sizes, and then the end. Where the
/// client streams, too, each message waits for one of the client's, and the status for the last.
#[derive(Clone, Debug)]
pub struct Answer {
    sizes: Vec<usize>,
    /// No status is no end.
    status: Option<Code>,
}

impl Answer {
    pub fn new(sizes: impl Into<Vec<usize>>, status: Code) -> Self {
        Self {
            sizes: sizes.into(),
            status: Some(status),
        }
    }

    /// One that never ends by itself.
    pub fn endless(sizes: impl Into<Vec<usize>>) -> Self {
        Self {
            sizes: sizes.into(),
            status: None,
        }
    }

    async fn one(self) -> Result<Response<Vec<u8>>, Status> {
        ended(self.status).await?;
        Ok(Response::new(vec![0; self.sizes[0]]))
    }

    async fn many(
        self,
        requests: Option<Streaming<Vec<u8>>>,
    ) -> Result<Response<impl Stream<Item = Result<Vec<u8>, Status>>>, Status> {
        let Self { sizes, status } = self;
        if let (true, Some(_)) = (sizes.is_empty(), status) {
            ended(status).await?;
        }
        let state = Some((sizes.into_iter(), requests));
        let messages = stream::unfold(state, move |state| async move {
            let (mut sizes, mut requests) = state?;
            if let Some(size) = sizes.next() {
                if let Some(requests) = &mut requests {
                    drop(requests.message().await);
                }
                return Some((Ok(vec![0; size]), Some((sizes, requests))));
            }
            if let (Some(requests), Some(_)) = (&mut requests, status) {
                drain(requests).await;
            }
            let status = ended(status).await.err()?;
            Some((Err(status), None))
        });
        Ok(Response::new(messages))
    }
}

async fn ended(status: Option<Code>) -> Result<(), Status> {
    match status {
        Some(Code::Ok) => Ok(()),
        Some(code) => Err(Status::new(code, "as told")),
        None => std::future::pending().await,
    }
}

async fn drain(requests: &mut Streaming<Vec<u8>>) {
    while let Ok(Some(_)) = requests.message().await {}
}

type Answers = Arc<Mutex<VecDeque<Answer>>>;

/// The service of that number.
#[derive(Clone)]
struct Told<const N: usize>(Answers);

impl<const N: usize> NamedService for Told<N> {
    const NAME: &'static str = SERVICES[N].1;
}

impl<const N: usize> Service<http::Request<Body>> for Told<N> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let Some(kind) = kind_of(request.uri().path()) else {
            let response = Status::unimplemented("no such method").into_http();
            return Box::pin(std::future::ready(Ok(response)));
        };
        let answer = self.0.lock().unwrap().pop_front();
        let answer = answer.expect("the server was told what to answer");
        Box::pin(async move {
            let mut grpc = Grpc::new(Raw);
            let one = |_: Request<Vec<u8>>| answer.clone().one();
            let many = |_: Request<Vec<u8>>| answer.clone().many(None);
            let one_of_many = |requests: Request<Streaming<Vec<u8>>>| async {
                drain(&mut requests.into_inner()).await;
                answer.clone().one().await
            };
            let many_of_many = |requests: Request<Streaming<Vec<u8>>>| {
                answer.clone().many(Some(requests.into_inner()))
            };
            Ok(match kind {
                Kind::Unary => grpc.unary(service_fn(one), request).await,
                Kind::ServerStream => grpc.server_streaming(service_fn(many), request).await,
                Kind::ClientStream => {
                    grpc.client_streaming(service_fn(one_of_many), request)
                        .await
                }
                Kind::BidiStream => grpc.streaming(service_fn(many_of_many), request).await,
            })
        })
    }
}

/// Messages are bytes.
#[derive(Clone, Copy, Debug)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut message = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut message);
        Ok(Some(message))
    }
}

/// A running server.
pub struct Server {
    runtime: Runtime,
    address: SocketAddr,
    answers: Answers,
    metrics: RequestMetrics,
    handle: PrometheusHandle,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), tonic::transport::Error>>,
}

fn builder() -> RequestMetricsBuilder {
    RequestMetrics::builder()
        .protocol(Protocol::Grpc)
        .count_request_bodies()
        .descriptors(&descriptors())
}

impl Server {
    pub fn start() -> Self {
        let mut recorder = PrometheusBuilder::new();
        for spec in builder().build().expect("built").specs() {
            if !spec.buckets.is_empty() {
                let name = Matcher::Full(spec.name.into_owned());
                let buckets = recorder.set_buckets_for_metric(name, &spec.buckets);
                recorder = buckets.expect("a histogram has buckets");
            }
        }
        let recorder = recorder.build_recorder();
        let handle = recorder.handle();
        let metrics = builder().recorder(Arc::new(recorder)).build();
        let metrics = metrics.expect("built");

        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("it has an address");
        let answers = Answers::default();
        let (stop, stopped) = oneshot::channel();
        let layers = ServiceBuilder::new()
            .layer(RequestMetricsLayer::from(metrics.clone()))
            .layer(CountRequestBodyLayer::new())
            .into_inner();
        let served = tonic::transport::Server::builder()
            .layer(layers)
            .add_service(Told::<0>(Arc::clone(&answers)))
            .add_service(Told::<1>(Arc::clone(&answers)))
            .add_service(Told::<2>(Arc::clone(&answers)))
            .add_service(Told::<3>(Arc::clone(&answers)))
            .add_service(Told::<4>(Arc::clone(&answers)))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async {
                drop(stopped.await);
            });
        let served = runtime.spawn(served);
        Self {
            runtime,
            address,
            answers,
            metrics,
            handle,
            stop,
            served,
        }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Creates the counters at zero.
    pub fn init(&self) {
        self.metrics.init_grpc();
    }

    /// Answers the next call of a method that it has.
    pub fn will(&self, answer: Answer) {
        self.answers.lock().unwrap().push_back(answer);
    }

    /// The page of metrics.
    pub fn page(&self) -> String {
        self.handle.render()
    }

    /// Stops, and gives the page as it is then.
    pub fn stop(self) -> String {
        let Self {
            runtime,
            stop,
            served,
            handle,
            ..
        } = self;
        stop.send(()).expect("it serves");
        let served = runtime.block_on(async { timeout(Duration::from_secs(20), served).await });
        let served = served.expect("no connection is left").expect("no panic");
        served.map_err(Error::other).expect("no error");
        drop(runtime);
        handle.render()
    }
}
