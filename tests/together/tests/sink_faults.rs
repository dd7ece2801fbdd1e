//! What a service does while the servers that its sinks send to hang, break, refuse or are not there: what it does
//! otherwise. Alone in its binary, as it installs the global allocator.

use std::{
    collections::HashSet,
    future::Future as _,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use metrics::LocalRecorderGuard;
use test_support::{
    alloc::{Allocations, CountingAllocator, count},
    serve,
};
use tokio::{
    net::{TcpListener, UdpSocket, UnixDatagram},
    sync::watch,
    task::JoinSet,
    time::sleep,
};
use tower::{Service as _, service_fn};
use tower_metrics_exporter::{
    Exporter, HttpClient, Otlp, Pushgateway, RemoteWrite, Sinks, SinksHandle, Statsd,
};
use tower_request_metrics::RequestMetrics;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// What a server does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Answers when it is told to be well again, and not before.
    Hang,
    Reset,
    Answer(u16),
}

/// A server of HTTP/1 and HTTP/2, and the paths that it was asked for.
struct Server {
    url: String,
    fault: watch::Sender<Fault>,
    paths: Arc<Mutex<HashSet<String>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (fault, faults) = watch::channel(fault);
        let paths = Arc::<Mutex<HashSet<String>>>::default();
        let all = Arc::clone(&paths);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (all, faults) = (Arc::clone(&all), faults.clone());
                let service = hyper::service::service_fn(move |request| {
                    answer(request, faults.clone(), Arc::clone(&all))
                });
                connections.spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    // One that is reset is an error here.
                    drop(server.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self {
            url,
            fault,
            paths,
            _tasks: tasks,
        }
    }

    fn paths(&self) -> usize {
        self.paths.lock().unwrap().len()
    }
}

async fn answer(
    request: Request<Incoming>,
    mut faults: watch::Receiver<Fault>,
    paths: Arc<Mutex<HashSet<String>>>,
) -> Result<Response<Empty<Bytes>>, &'static str> {
    let path = request.uri().path().to_owned();
    let is_grpc = request.version() == Version::HTTP_2;
    let body = request.into_body().collect().await;
    body.map_err(|_| "the body broke")?;
    paths.lock().unwrap().insert(path);
    let fault = *faults.borrow();
    let status = match fault {
        Fault::None => 200,
        Fault::Answer(status) => status,
        Fault::Reset => return Err("reset"),
        Fault::Hang => {
            let healed = faults.wait_for(|fault| *fault == Fault::None).await;
            healed.map_err(|_| "the test is over")?;
            200
        }
    };
    let mut response = Response::builder().status(status);
    if is_grpc && status == 200 {
        response = response
            .header("content-type", "application/grpc")
            .header("grpc-status", "0");
    }
    Ok(response.body(Empty::new()).unwrap())
}

/// A service that is observed, and what is recorded of it.
struct Observed {
    app: Router,
    exporter: Exporter,
    _recorder: LocalRecorderGuard<'static>,
}

fn observed() -> Observed {
    let metrics = RequestMetrics::new();
    let exporter = Exporter::builder().specs(metrics.specs()).build().unwrap();
    // Leaked, so that the guard can stand beside it: one small recorder a test.
    let recorder = Box::leak(Box::new(exporter.recorder()));
    let app = Router::new().route("/orders", get(|| async { "ok" }));
    Observed {
        app: app.layer(tower_observe::ObserveLayer::new(metrics)),
        exporter,
        _recorder: metrics::set_default_local_recorder(recorder),
    }
}

impl Observed {
    /// What a request allocates, which is answered at the first poll: nothing is waited for.
    fn request(&self) -> Allocations {
        let mut app = self.app.clone();
        let mut asked = || {
            let request = Request::get("/orders").body(Body::empty()).unwrap();
            let mut response = pin!(app.call(request));
            let mut context = Context::from_waker(Waker::noop());
            let Poll::Ready(Ok(response)) = response.as_mut().poll(&mut context) else {
                panic!("a request waits");
            };
            assert_eq!(response.status(), StatusCode::OK);
            let mut body = pin!(response.into_body().collect());
            let Poll::Ready(Ok(body)) = body.as_mut().poll(&mut context) else {
                panic!("a body waits");
            };
            assert_eq!(body.to_bytes(), "ok");
        };
        // The first finds its route and its series.
        asked();
        count(asked)
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.exporter.value(name, labels).unwrap()
    }

    /// Samples that a sink has given up, for any reason.
    fn lost(&self, sink: &str) -> f64 {
        let lost = ["buffer_full", "rejected"].map(|reason| {
            let labels = [("sink", sink), ("reason", reason)];
            self.value("exporter_sink_lost_points_total", &labels)
        });
        lost.iter().sum()
    }

    fn exports(&self) -> [f64; 5] {
        ALL.map(|sink| self.value("exporter_sink_exports_total", &[("sink", sink)]))
    }

    fn assert_bounded(&self) {
        #[expect(clippy::cast_precision_loss, reason = "it is small")]
        let most = BUFFER as f64;
        for sink in ALL {
            let queued = self.value("exporter_sink_queue_bytes", &[("sink", sink)]);
            assert!(queued <= most, "{sink}: {queued}");
        }
    }
}

const ALL: [&str; 5] = ["remote_write", "otlp", "otlp_2", "pushgateway", "statsd"];
/// Those whose every sample has a time of its own, so that some are lost once there is no room.
const KEEP_ALL: [&str; 3] = ["remote_write", "otlp", "otlp_2"];
const BUFFER: usize = 64 * 1024;

/// One of each kind.
fn sinks(exporter: &Exporter, url: &str, statsd: Statsd) -> Sinks {
    exporter
        .sinks()
        .interval(Duration::from_millis(2))
        .sink(RemoteWrite::new(url).unwrap().buffer(BUFFER))
        .sink(Otlp::http(url).unwrap().buffer(BUFFER))
        .sink(Otlp::grpc(url).unwrap().buffer(BUFFER))
        .sink(Pushgateway::new(url, "job").unwrap().buffer(BUFFER))
        .sink(statsd.buffer(BUFFER))
}

/// Asks for something, over a connection, again and again, until this is so, but often enough. Everything is on the
/// only thread there is: were it blocked, nothing would be answered.
async fn asked_until(observed: &Observed, is_so: impl Fn() -> bool) {
    // Of pauses alone 20 seconds, where a few hundred times are enough.
    const MOST: u32 = 20_000;
    let mut wire = serve::http1(serve::tcp().await, observed.app.clone());
    let mut asked = 0;
    while asked < 100 || !is_so() {
        wire.get("/orders").await;
        let head = wire.head().await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        wire.skip(2).await;
        observed.assert_bounded();
        asked += 1;
        assert!(asked < MOST, "it never comes to be so");
        // Intervals are to pass.
        sleep(Duration::from_millis(1)).await;
    }
    drop(wire);
}

/// An agent whose socket nobody reads from until it is told to.
fn agent() -> (tempfile::TempDir, Statsd, UnixDatagram) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dsd.socket");
    let agent = UnixDatagram::bind(&path).unwrap();
    (folder, Statsd::unix(path), agent)
}

async fn a_fault_is_not_noticed(fault: Fault) {
    let observed = observed();
    let without = observed.request();
    let server = Server::start(fault).await;
    let (_folder, statsd, agent) = agent();
    let sinks = sinks(&observed.exporter, &server.url, statsd);
    let sinks: SinksHandle = sinks.start().unwrap();
    asked_until(&observed, || {
        server.paths() == 4 && KEEP_ALL.iter().all(|sink| observed.lost(sink) > 0.0)
    })
    .await;
    let [remote_write, http, grpc, gateway, _] = observed.exports();
    assert!(remote_write + http + grpc + gateway <= 0.0);
    // What a request does is the same as without any sinks.
    assert_eq!(observed.request(), without);

    let mut reading = JoinSet::new();
    reading.spawn(async move {
        let mut datagram = vec![0; 65536];
        while agent.recv(&mut datagram).await.is_ok() {}
    });
    server.fault.send_replace(Fault::None);
    let before = observed.exports();
    asked_until(&observed, || {
        let mut pairs = observed.exports().into_iter().zip(before);
        pairs.all(|(now, before)| now > before)
    })
    .await;
    assert_eq!(observed.request(), without);
    let report = sinks.shutdown(Duration::from_secs(30)).await;
    assert!(report.is_complete(), "{report:?}");
}

#[tokio::test]
async fn servers_that_hang_are_not_noticed() {
    a_fault_is_not_noticed(Fault::Hang).await;
}

#[tokio::test]
async fn servers_that_break_connections_are_not_noticed() {
    a_fault_is_not_noticed(Fault::Reset).await;
}

#[tokio::test]
async fn servers_with_a_fault_are_not_noticed() {
    a_fault_is_not_noticed(Fault::Answer(500)).await;
}

#[tokio::test]
async fn servers_that_have_enough_are_not_noticed() {
    a_fault_is_not_noticed(Fault::Answer(429)).await;
}

#[tokio::test]
async fn names_that_nobody_knows_are_not_noticed() {
    let observed = observed();
    let without = observed.request();
    let statsd = Statsd::udp("nobody.invalid:8125").unwrap();
    let sinks = sinks(&observed.exporter, "http://nobody.invalid", statsd);
    let sinks = sinks.start().unwrap();
    asked_until(&observed, || {
        ALL.iter().all(|sink| {
            let labels = [("sink", *sink), ("reason", "network")];
            observed.value("exporter_sink_failures_total", &labels) > 0.0
        }) && KEEP_ALL.iter().all(|sink| observed.lost(sink) > 0.0)
    })
    .await;
    assert!(observed.exports().iter().all(|exports| *exports <= 0.0));
    assert_eq!(observed.request(), without);
    let report = sinks.shutdown(Duration::from_millis(100)).await;
    assert!(!report.is_complete(), "{report:?}");
}

/// HTTP over connections to names that are all this machine's, once they are known.
fn client(known: &Arc<AtomicBool>, is_http2: bool) -> HttpClient {
    let known = Arc::clone(known);
    let names = service_fn(move |name| {
        let known = known.load(Ordering::Relaxed);
        std::future::ready(if known {
            Ok([SocketAddr::from(([127, 0, 0, 1], 0))].into_iter())
        } else {
            Err(io::Error::other(format!("{name} is not known")))
        })
    });
    let mut builder = Client::builder(TokioExecutor::new());
    builder.http2_only(is_http2);
    let mut connector = HttpConnector::new_with_resolver(names);
    connector.set_nodelay(true);
    HttpClient::from_service(builder.build::<_, Full<Bytes>>(connector))
}

#[tokio::test]
async fn names_that_come_to_be_known_are_sent_to() {
    let observed = observed();
    let server = Server::start(Fault::None).await;
    let known = Arc::<AtomicBool>::default();
    let url = server.url.replace("127.0.0.1", "collector.invalid");
    let remote_write = RemoteWrite::new(&url).unwrap().buffer(BUFFER);
    let http = Otlp::http(&url).unwrap().buffer(BUFFER);
    let grpc = Otlp::grpc(&url).unwrap().buffer(BUFFER);
    let gateway = Pushgateway::new(&url, "job").unwrap().buffer(BUFFER);
    let agent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let statsd = Statsd::udp(agent.local_addr().unwrap().to_string()).unwrap();
    let sinks = observed
        .exporter
        .sinks()
        .interval(Duration::from_millis(20))
        .sink(remote_write.client(client(&known, false)))
        .sink(http.client(client(&known, false)))
        .sink(grpc.client(client(&known, true)))
        .sink(gateway.client(client(&known, false)))
        .sink(statsd);
    let sinks = sinks.start().unwrap();
    let [over_http @ .., _] = ALL;
    let exported = |sink| observed.value("exporter_sink_exports_total", &[("sink", sink)]);
    let failed = |sink| {
        let labels = [("sink", sink), ("reason", "network")];
        observed.value("exporter_sink_failures_total", &labels)
    };
    // Twice: a try that follows a failure fails as well.
    asked_until(&observed, || {
        over_http.iter().all(|sink| failed(sink) > 1.0)
    })
    .await;
    assert!(over_http.iter().all(|sink| exported(sink) <= 0.0));
    assert_eq!(server.paths(), 0);

    known.store(true, Ordering::Relaxed);
    let queued = |sink| observed.value("exporter_sink_queue_bytes", &[("sink", sink)]);
    // What waited is sent but for a little, so that there is room for the last.
    #[expect(clippy::cast_precision_loss, reason = "it is small")]
    let little = BUFFER as f64 / 2.0;
    asked_until(&observed, || {
        let mut sinks = over_http.iter();
        sinks.all(|sink| exported(sink) > 0.0 && queued(sink) < little)
    })
    .await;
    assert_eq!(server.paths(), 4);
    let report = sinks.shutdown(Duration::from_secs(30)).await;
    assert!(report.is_complete(), "{report:?}");
}
