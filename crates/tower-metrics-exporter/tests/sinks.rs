//! Sinks, and servers that misbehave.

#![cfg(all(
    feature = "otlp",
    feature = "pushgateway",
    feature = "remote-write",
    feature = "statsd"
))]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "the allowance for tests does not reach what they share"
)]

use std::{
    convert::Infallible,
    io::Write as _,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_stream::StreamExt;
use tower_metrics_exporter::{
    Exporter, Otlp, Pushgateway, RemoteWrite, Sinks, SinksHandle, Statsd,
};

/// What a server does with a request.
#[derive(Clone, Debug)]
enum Act {
    Answer(u16),
    AnswerWith(u16, &'static str, &'static str),
    Hang,
    /// Closes the connection in the middle.
    Reset,
}

/// A server that goes through a list of acts, and stays with the last.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

#[derive(Clone, Debug)]
struct Seen {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Server {
    async fn start(acts: &[Act]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let acts: Arc<[Act]> = acts.into();
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let all = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acts, next, all) = (Arc::clone(&acts), Arc::clone(&next), Arc::clone(&all));
                let service = service_fn(move |request: Request<Incoming>| {
                    let at = next.fetch_add(1, Ordering::Relaxed).min(acts.len() - 1);
                    let (act, all) = (acts[at].clone(), Arc::clone(&all));
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body
                            .collect()
                            .await
                            .map_err(|_| "the body broke")?
                            .to_bytes();
                        all.lock().unwrap().push(Seen {
                            method: parts.method,
                            path: parts.uri.path().to_owned(),
                            headers: parts.headers,
                            body,
                        });
                        let response = match act {
                            Act::Answer(status) => Response::builder().status(status),
                            Act::AnswerWith(status, name, value) => {
                                Response::builder().status(status).header(name, value)
                            }
                            Act::Hang => std::future::pending().await,
                            Act::Reset => return Err("reset"),
                        };
                        Ok(response
                            .body(Full::new(Bytes::from_static(b"because")))
                            .unwrap())
                    }
                });
                connections.spawn(async move {
                    // One that is reset is an error here.
                    drop(
                        http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await,
                    );
                });
            }
        });
        Self {
            address,
            seen,
            _tasks: tasks,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    async fn has_seen(&self, count: usize) {
        while self.seen().len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn exporter() -> Exporter {
    let exporter = Exporter::builder().build().unwrap();
    metrics::with_local_recorder(&exporter.recorder(), || {
        metrics::counter!("c_total").increment(1);
    });
    exporter
}

fn remote_write(server: &Server) -> RemoteWrite {
    RemoteWrite::new(&server.url()).unwrap()
}

fn start(sinks: Sinks) -> SinksHandle {
    sinks.interval(Duration::from_millis(50)).start().unwrap()
}

fn count(exporter: &Exporter, name: &str, reason: &str) -> f64 {
    let labels = [("sink", "remote_write"), ("reason", reason)];
    exporter.value(name, &labels).unwrap()
}

async fn failed(exporter: &Exporter, reason: &str, times: f64) {
    while count(exporter, "exporter_sink_failures_total", reason) < times {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_write_request_says_what_it_is() {
    let server = Server::start(&[Act::Answer(204)]).await;
    let exporter = exporter();
    let sink = remote_write(&server)
        .header("x-scope-orgid", "tenant")
        .unwrap();
    let sinks = start(exporter.sinks().sink(sink));
    server.has_seen(2).await;
    assert!(sinks.shutdown(DEADLINE).await.is_complete());
    let seen = &server.seen()[0];
    assert_eq!(seen.method, Method::POST);
    let header = |name: &str| seen.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-encoding"), "snappy");
    assert_eq!(header("content-type"), "application/x-protobuf");
    assert_eq!(header("x-prometheus-remote-write-version"), "0.1.0");
    assert_eq!(header("x-scope-orgid"), "tenant");
    assert!(header("user-agent").starts_with("tower-metrics-exporter/"));
}

/// Fails, in each of these ways, and is all right again: what was refused comes again, unchanged.
async fn comes_back_after(act: Act, reason: &str) {
    let server = Server::start(&[act.clone(), act, Act::Answer(204)]).await;
    let exporter = exporter();
    let sink = remote_write(&server).timeout(Duration::from_millis(300));
    let sinks = start(exporter.sinks().sink(sink));
    server.has_seen(4).await;
    let report = sinks.shutdown(DEADLINE).await;
    assert!(report.is_complete(), "{report:?}");
    let seen = server.seen();
    assert_eq!(seen[0].body, seen[1].body);
    assert_eq!(seen[1].body, seen[2].body);
    assert_ne!(seen[2].body, seen[3].body);
    assert!(count(&exporter, "exporter_sink_failures_total", reason) >= 2.0);
    for reason in ["buffer_full", "rejected", "shutdown"] {
        assert!(count(&exporter, "exporter_sink_lost_points_total", reason) <= 0.0);
    }
}

#[tokio::test]
async fn a_server_with_a_fault_is_tried_again() {
    comes_back_after(Act::Answer(500), "server").await;
}

#[tokio::test]
async fn a_server_that_hangs_is_tried_again() {
    comes_back_after(Act::Hang, "timeout").await;
}

#[tokio::test]
async fn a_server_that_breaks_the_connection_is_tried_again() {
    comes_back_after(Act::Reset, "network").await;
}

#[tokio::test]
async fn a_server_that_has_enough_is_tried_again_when_it_says() {
    comes_back_after(Act::AnswerWith(429, "retry-after", "0"), "throttled").await;
    // Not before: not even to end in time.
    let server = Server::start(&[Act::AnswerWith(429, "retry-after", "3600")]).await;
    let exporter = exporter();
    let sinks = start(exporter.sinks().sink(remote_write(&server)));
    failed(&exporter, "throttled", 1.0).await;
    let report = sinks.shutdown(Duration::from_millis(200)).await;
    assert_eq!(server.seen().len(), 1);
    let sink = &report.sinks[0];
    assert!(sink.unsent > 0, "{sink:?}");
    let error = sink.error.as_deref().unwrap();
    assert!(
        error.contains("429") && error.contains("because"),
        "{error}"
    );
}

#[tokio::test]
async fn what_a_server_refuses_is_counted_and_not_tried_again() {
    for status in [302, 400, 401, 404] {
        let server = Server::start(&[Act::Answer(status), Act::Answer(204)]).await;
        let exporter = exporter();
        let sinks = start(exporter.sinks().sink(remote_write(&server)));
        server.has_seen(2).await;
        // It was refused before.
        assert!(sinks.shutdown(DEADLINE).await.is_complete());
        let seen = server.seen();
        assert_ne!(seen[0].body, seen[1].body, "{status}");
        assert!(count(&exporter, "exporter_sink_lost_points_total", "rejected") > 0.0);
        // At the end it is told of.
        let server = Server::start(&[Act::Answer(status)]).await;
        let sinks = exporter.sinks().sink(remote_write(&server));
        let report = sinks.start().unwrap().shutdown(DEADLINE).await;
        assert!(!report.is_complete(), "{report:?}");
        assert!(report.sinks[0].rejected > 0, "{report:?}");
    }
}

const PART: &[u8] = &[b'x'; 16 * 1024];

/// An answer of so many parts that has no end, and how much of it was asked for.
async fn talkative(status: u16, parts: usize) -> (String, Arc<AtomicUsize>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let written = Arc::new(AtomicUsize::new(0));
    let all = Arc::clone(&written);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let all = Arc::clone(&all);
            let service = service_fn(move |request: Request<Incoming>| {
                let all = Arc::clone(&all);
                async move {
                    drop(request.into_body().collect().await);
                    let parts = (0..parts).map(move |_| {
                        all.fetch_add(PART.len(), Ordering::Relaxed);
                        Ok::<_, Infallible>(http_body::Frame::data(Bytes::from_static(PART)))
                    });
                    let parts =
                        StreamExt::chain(tokio_stream::iter(parts), tokio_stream::pending());
                    let body = http_body_util::StreamBody::new(parts);
                    Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
                }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // The client closes it.
            drop(connection.await);
        }
    });
    (url, written, tasks)
}

#[tokio::test]
async fn the_status_of_an_answer_counts_however_long_its_body_is() {
    for (status, reason) in [(200, None), (400, Some("refused")), (500, Some("server"))] {
        let (url, written, _tasks) = talkative(status, 1024).await;
        let exporter = exporter();
        let sink = RemoteWrite::new(&url).unwrap();
        let sinks = exporter
            .sinks()
            .interval(Duration::from_secs(3600))
            .sink(sink);
        let report = sinks
            .start()
            .unwrap()
            .shutdown(Duration::from_secs(2))
            .await;
        assert_eq!(report.is_complete(), status == 200, "{report:?}");
        for other in ["network", "timeout", "refused", "server"] {
            let failures = count(&exporter, "exporter_sink_failures_total", other);
            assert_eq!(failures > 0.0, Some(other) == reason, "{status}: {other}");
        }
        if let Some(error) = &report.sinks[0].error {
            assert!(error.contains("xxx") && error.len() < 1000, "{error}");
        }
        // The rest is not waited for. What the system's buffers hold is written all the same.
        let attempts = count_of(&exporter, "exporter_sink_duration_seconds_count");
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        let each = written.load(Ordering::Relaxed) as f64 / attempts;
        assert!(each < 12.0 * 1024.0 * 1024.0, "{each}");
    }
}

#[tokio::test]
async fn the_status_of_an_answer_counts_also_if_its_body_never_comes() {
    let (url, _, _tasks) = talkative(200, 0).await;
    let exporter = exporter();
    let sink = RemoteWrite::new(&url).unwrap();
    let sinks = exporter.sinks().interval(Duration::from_secs(3600));
    let report = sinks.sink(sink).start().unwrap().shutdown(DEADLINE).await;
    assert!(report.is_complete(), "{report:?}");
    let attempts = count_of(&exporter, "exporter_sink_duration_seconds_count");
    assert!((attempts - 1.0).abs() < f64::EPSILON, "{attempts}");
}

fn count_of(exporter: &Exporter, name: &str) -> f64 {
    exporter.value(name, &[("sink", "remote_write")]).unwrap()
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_a_failure_like_others() {
    let exporter = exporter();
    let sink = RemoteWrite::new("http://nobody.invalid/write").unwrap();
    let sinks = start(exporter.sinks().sink(sink));
    failed(&exporter, "network", 1.0).await;
    let report = sinks.shutdown(Duration::from_millis(100)).await;
    assert!(!report.is_complete());
    assert!(report.sinks[0].unsent > 0);
}

#[tokio::test]
async fn memory_is_bounded_however_long_a_server_is_away() {
    let exporter = exporter();
    let sink = RemoteWrite::new("http://127.0.0.1:9/write")
        .unwrap()
        .buffer(4096);
    let sinks = exporter
        .sinks()
        .interval(Duration::from_millis(1))
        .sink(sink);
    let sinks = sinks.start().unwrap();
    while count(&exporter, "exporter_sink_lost_points_total", "buffer_full") < 1000.0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let queued = exporter.value("exporter_sink_queue_bytes", &[("sink", "remote_write")]);
        assert!(queued <= Some(4096.0), "{queued:?}");
    }
    drop(sinks);
}

#[tokio::test]
async fn credentials_are_read_from_their_file_each_time() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "first").unwrap();
    let server = Server::start(&[Act::Answer(200)]).await;
    let exporter = exporter();
    let basic = Pushgateway::new(&server.url(), "job")
        .unwrap()
        .basic_file("user", file.path());
    let sinks = start(
        exporter
            .sinks()
            .sink(remote_write(&server).bearer_file(file.path()))
            .sink(basic),
    );
    let has = |value: &'static str| {
        let seen = server.seen();
        seen.iter()
            .any(|seen| seen.headers["authorization"] == value)
    };
    let comes = |value: &'static str| async move {
        while !has(value) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    comes("Bearer first").await;
    // user:first
    comes("Basic dXNlcjpmaXJzdA==").await;
    std::fs::write(file.path(), "second").unwrap();
    comes("Bearer second").await;
    // A file without a secret is none to send.
    std::fs::write(file.path(), " \r\n").unwrap();
    failed(&exporter, "credentials", 1.0).await;
    std::fs::write(file.path(), "third\r\n").unwrap();
    comes("Bearer third").await;
    // user:third
    comes("Basic dXNlcjp0aGlyZA==").await;
    let seen = server.seen();
    let mut sent = seen.iter().map(|seen| &seen.headers["authorization"]);
    assert!(sent.all(|sent| sent != "Bearer" && sent != "Basic dXNlcjo="));
    std::fs::write(file.path(), "\n").unwrap();
    let report = sinks.shutdown(Duration::from_millis(500)).await;
    let path = file.path().display().to_string();
    for sink in &report.sinks {
        let error = sink.error.as_deref().unwrap();
        assert!(
            error.contains(&path) && error.contains("is empty"),
            "{error}"
        );
    }
    file.close().unwrap();
    let sinks = exporter
        .sinks()
        .sink(remote_write(&server).bearer_file(&path));
    let report = sinks
        .start()
        .unwrap()
        .shutdown(Duration::from_millis(500))
        .await;
    let error = report.sinks[0].error.as_deref().unwrap();
    assert!(
        error.contains(&path) && error.contains("cannot read"),
        "{error}"
    );
}

/// A pipe is a file that hangs until somebody writes.
#[cfg(unix)]
#[test]
fn a_file_of_credentials_that_hangs_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let server = Server::start(&[Act::Answer(204)]).await;
        let exporter = exporter();
        let sink = remote_write(&server)
            .bearer_file(&path)
            .timeout(Duration::from_millis(100));
        // On the only thread there is.
        let sinks = start(exporter.sinks().sink(sink));
        failed(&exporter, "timeout", 2.0).await;
        // What was read while nobody waited is not used: it may be old.
        tokio::task::spawn_blocking(move || {
            while std::fs::write(&path, "late\n").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        server.has_seen(1).await;
        assert_eq!(server.seen()[0].headers["authorization"], "Bearer late");
        drop(sinks);
    });
    // It hangs again by now.
    runtime.shutdown_background();
}

#[tokio::test]
async fn a_client_of_ones_own_is_used() {
    let asked = Arc::new(AtomicUsize::new(0));
    let service = tower::service_fn({
        let asked = Arc::clone(&asked);
        move |request: Request<Full<Bytes>>| {
            assert_eq!(request.uri().scheme_str(), Some("https"));
            asked.fetch_add(1, Ordering::Relaxed);
            async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::new()))) }
        }
    });
    let client = tower_metrics_exporter::HttpClient::from_service(service);
    let exporter = exporter();
    let sink = RemoteWrite::new("https://host/write").unwrap();
    let error = exporter.sinks().sink(sink.clone()).start().unwrap_err();
    assert!(error.to_string().contains("has no TLS"), "{error}");
    let sinks = start(exporter.sinks().sink(sink.client(client)));
    assert!(sinks.shutdown(DEADLINE).await.is_complete());
    assert!(asked.load(Ordering::Relaxed) >= 1);
}

#[tokio::test]
async fn a_pushgateway_that_cannot_be_told_to_delete_is_told_of() {
    let server = Server::start(&[Act::Answer(200), Act::Answer(500)]).await;
    let exporter = exporter();
    let sink = Pushgateway::new(&server.url(), "job")
        .unwrap()
        .delete_on_exit();
    // Only the last push, and what follows it.
    let sinks = exporter
        .sinks()
        .interval(Duration::from_secs(3600))
        .sink(sink);
    let report = sinks.start().unwrap().shutdown(DEADLINE).await;
    let sink = &report.sinks[0];
    assert_eq!(sink.unsent, 0);
    assert!(
        sink.error
            .as_deref()
            .is_some_and(|error| error.contains("500")),
        "{sink:?}"
    );
    let seen = server.seen();
    let seen: Vec<_> = seen
        .iter()
        .map(|seen| (seen.method.as_str(), &*seen.path))
        .collect();
    assert_eq!(
        seen,
        [("PUT", "/metrics/job/job"), ("DELETE", "/metrics/job/job")]
    );
}

/// A server of gRPC that answers with these statuses, the first in a header, the others in trailers.
async fn grpc_server(
    statuses: &'static [&'static str],
) -> (String, Arc<Mutex<Vec<Seen>>>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::<Mutex<Vec<Seen>>>::default();
    let all = Arc::clone(&seen);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(move |request: Request<Incoming>| {
            let all = Arc::clone(&all);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                let at = {
                    let mut all = all.lock().unwrap();
                    all.push(Seen {
                        method: parts.method,
                        path: parts.uri.path().to_owned(),
                        headers: parts.headers,
                        body,
                    });
                    all.len() - 1
                };
                let status = http::HeaderValue::from_static(statuses[at.min(statuses.len() - 1)]);
                let mut response = Response::builder().header("content-type", "application/grpc");
                if at == 0 {
                    response = response.header("grpc-status", status);
                    return Ok(response
                        .body(Full::new(Bytes::new()).with_trailers(no_trailers()))
                        .unwrap());
                }
                let trailers =
                    HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), status)]);
                // One of the points is rejected: partial_success { rejected_data_points: 1 }.
                let message = Bytes::from_static(&[0, 0, 0, 0, 4, 0x0a, 2, 0x08, 1]);
                let trailers: Trailers = Box::pin(async { Some(Ok(trailers)) });
                Ok::<_, hyper::Error>(
                    response
                        .body(Full::new(message).with_trailers(trailers))
                        .unwrap(),
                )
            }
        });
        let executor = hyper_util::rt::TokioExecutor::new();
        let server = hyper::server::conn::http2::Builder::new(executor);
        drop(server.serve_connection(TokioIo::new(stream), service).await);
    });
    (format!("http://{address}"), seen, tasks)
}

type Trailers =
    std::pin::Pin<Box<dyn Future<Output = Option<Result<HeaderMap, Infallible>>> + Send>>;

fn no_trailers() -> Trailers {
    Box::pin(async { None })
}

#[tokio::test]
async fn a_call_that_may_pass_is_made_again_and_what_is_rejected_of_it_is_counted() {
    let (url, seen, _tasks) = grpc_server(&["14", "4", "0"]).await;
    let exporter = exporter();
    let sinks = start(exporter.sinks().sink(Otlp::grpc(&url).unwrap()));
    while seen.lock().unwrap().len() < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let report = sinks.shutdown(DEADLINE).await;
    // Of the last there is one, too.
    assert!(!report.is_complete(), "{report:?}");
    assert!(report.sinks[0].rejected >= 1, "{report:?}");
    let seen = seen.lock().unwrap().clone();
    assert_eq!(
        seen[0].path,
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
    );
    assert_eq!(seen[0].headers["content-type"], "application/grpc");
    assert_eq!(seen[0].headers["te"], "trailers");
    assert_eq!(
        (&seen[0].body, &seen[1].body),
        (&seen[1].body, &seen[2].body)
    );
    assert_ne!(seen[2].body, seen[3].body);
    let value = |name: &str, reason| {
        exporter
            .value(name, &[("sink", "otlp"), ("reason", reason)])
            .unwrap()
    };
    assert!(value("exporter_sink_failures_total", "server") >= 2.0);
    // One of each that was taken.
    let rejected = value("exporter_sink_lost_points_total", "rejected");
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let taken = (seen.len() - 2) as f64;
    assert!((rejected - taken).abs() < 0.5, "{rejected} of {taken}");
}

/// The sum of what datagrams say of a counter.
fn add(sum: &mut f64, datagram: &[u8]) {
    let text = std::str::from_utf8(datagram).unwrap();
    let deltas = text
        .lines()
        .filter_map(|line| line.strip_prefix("c_total:")?.strip_suffix("|c"));
    *sum += deltas
        .map(|delta| delta.parse::<f64>().unwrap())
        .sum::<f64>();
}

async fn over_udp(any: &str) {
    let receiver = tokio::net::UdpSocket::bind(any).await.unwrap();
    let address = receiver.local_addr().unwrap().to_string();
    let exporter = exporter();
    let sinks = start(exporter.sinks().sink(Statsd::udp(address).unwrap()));
    let (mut sum, mut datagram) = (0.0, vec![0; 65536]);
    for expected in [1.0, 3.0] {
        while sum < expected {
            let length = receiver.recv(&mut datagram).await.unwrap();
            assert!(length <= 1432);
            add(&mut sum, &datagram[..length]);
        }
        metrics::with_local_recorder(&exporter.recorder(), || {
            metrics::counter!("c_total").increment(2);
        });
    }
    assert!((sum - 3.0).abs() < 0.5, "{sum}");
    assert!(sinks.shutdown(DEADLINE).await.is_complete());
}

#[tokio::test]
async fn datagrams_go_over_both_families_of_addresses() {
    over_udp("127.0.0.1:0").await;
    over_udp("[::1]:0").await;
}

#[tokio::test]
async fn what_was_counted_is_told_once_although_sinks_are_started_again() {
    let receiver = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = receiver.local_addr().unwrap().to_string();
    let exporter = exporter();
    let (mut sum, mut datagram) = (0.0, vec![0; 65536]);
    for expected in [1.0, 5.0] {
        let sinks = start(exporter.sinks().sink(Statsd::udp(&*address).unwrap()));
        while sum < expected {
            let length = receiver.recv(&mut datagram).await.unwrap();
            add(&mut sum, &datagram[..length]);
            // Those that were started again have begun.
            if expected > 1.0 && sum <= 1.0 {
                metrics::with_local_recorder(&exporter.recorder(), || {
                    metrics::counter!("c_total").absolute(5);
                });
            }
        }
        assert!(sinks.shutdown(DEADLINE).await.is_complete());
        while let Ok(length) = receiver.try_recv(&mut datagram) {
            add(&mut sum, &datagram[..length]);
        }
        assert!((sum - expected).abs() < 0.5, "{sum}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_is_lost_while_an_agents_socket_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dsd.socket");
    let exporter = exporter();
    let sinks = start(exporter.sinks().sink(Statsd::unix(&path).dogstatsd()));
    let failures = [("sink", "statsd"), ("reason", "network")];
    for round in 1..4 {
        metrics::with_local_recorder(&exporter.recorder(), || {
            metrics::counter!("c_total").increment(round);
        });
        let failed = exporter.value("exporter_sink_failures_total", &failures);
        while exporter.value("exporter_sink_failures_total", &failures) <= failed {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let receiver = tokio::net::UnixDatagram::bind(&path).unwrap();
    let (mut sum, mut datagram) = (0.0, vec![0; 65536]);
    while sum < 7.0 {
        let length = receiver.recv(&mut datagram).await.unwrap();
        add(&mut sum, &datagram[..length]);
    }
    assert!((sum - 7.0).abs() < 0.5, "{sum}");
    // Nobody reads any more: the deadline holds.
    drop(receiver);
    drop(sinks.shutdown(Duration::from_millis(100)).await);
}

#[test]
fn an_address_without_a_port_is_an_error_that_says_so() {
    for address in ["localhost", "localhost:port", "localhost:70000", ""] {
        let error = Statsd::udp(address).unwrap_err().to_string();
        assert!(error.contains("give a host and a port"), "{error}");
    }
}

/// A server that takes everything, over TLS, and a client that trusts it.
#[cfg(feature = "rustls")]
async fn tls_server() -> (String, tower_metrics_exporter::HttpClient, JoinSet<()>) {
    use tokio_rustls::{
        TlsAcceptor,
        rustls::{
            ClientConfig, RootCertStore, ServerConfig, crypto::ring, pki_types::PrivateKeyDer,
        },
    };

    let own = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
    let provider = Arc::new(ring::default_provider());
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let certificate = own.cert.der().clone();
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth();
    let config = config
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            let service = service_fn(|request: Request<Incoming>| async {
                drop(request.into_body().collect().await);
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
            });
            drop(
                http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        }
    });
    let client = tower_metrics_exporter::HttpClient::rustls(config);
    (format!("https://localhost:{port}/"), client, tasks)
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_a_failure_and_one_that_is_trusted_is_not() {
    let (url, trusts, _tasks) = tls_server().await;
    let (_, distrusts, _others) = tls_server().await;
    let exporter = exporter();
    let sink = |client| RemoteWrite::new(&url).unwrap().client(client);
    let sinks = exporter.sinks().sink(sink(trusts));
    let report = sinks.start().unwrap().shutdown(DEADLINE).await;
    assert!(report.is_complete(), "{report:?}");
    let sinks = start(exporter.sinks().sink(sink(distrusts)));
    failed(&exporter, "network", 1.0).await;
    let report = sinks.shutdown(Duration::from_millis(100)).await;
    let error = report.sinks[0].error.as_deref().unwrap();
    assert!(error.contains("certificate"), "{error}");
}
