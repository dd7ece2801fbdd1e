//! One line for each request over real sockets, however it ends, through `tracing` and directly.

mod layers;
mod slow;
mod streams;

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use serde_json::Value;
use test_support::{
    body::ScriptBody,
    drive::bounded,
    ends::Ends,
    serve::{self, Wire},
    shapes::{ShapeError, Shapes},
};
use tokio::net::TcpStream;
use tower::{Layer as _, service_fn};
use tower_json_logging::{JsonLayer, JsonLogging, PathPolicy};
use tower_observe::ObserveService;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _};

/// What was written, line by line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log, and an observer beside the one that writes it, by which a test knows that a request has ended.
struct Scene {
    lines: Lines,
    ends: Ends,
    logging: JsonLogging,
    _subscriber: DefaultGuard,
}

/// How lines are written.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Through,
    /// With this filter.
    Direct(&'static str),
}

const MODES: [Mode; 8] = [
    Mode::Through,
    Mode::Direct("off"),
    Mode::Direct("error"),
    Mode::Direct("warn"),
    Mode::Direct("info"),
    Mode::Direct("info,http.access=off"),
    Mode::Direct("debug"),
    Mode::Direct("trace"),
];

impl Scene {
    fn new(mode: Mode) -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = JsonLayer::new(move || writer.clone());
        let logging = JsonLogging::new().path(PathPolicy::raw());
        let (logging, filter) = match mode {
            Mode::Through => (logging, "info"),
            Mode::Direct(filter) => (logging.direct(&layer), filter),
        };
        let layer = layer.with_filter(EnvFilter::new(filter));
        let subscriber = tracing_subscriber::registry().with(layer);
        Self {
            lines,
            ends: Ends::new(),
            logging,
            _subscriber: tracing::subscriber::set_default(subscriber),
        }
    }

    fn service<S>(&self, inner: S) -> ObserveService<S, (JsonLogging, Ends)> {
        let observers = (self.logging.clone(), self.ends.clone());
        self.ends.layer_with(observers).layer(inner)
    }

    async fn connect(&self) -> Wire<TcpStream> {
        serve::http1(serve::tcp().await, self.service(Shapes))
    }

    /// The lines of all requests, once so many have ended.
    async fn lines(&self, count: usize) -> Vec<Value> {
        self.ends.wait_for(count).await;
        let (lines, text) = self.lines_so_far();
        assert_eq!(lines.len(), count, "{text}");
        lines
    }

    fn lines_so_far(&self) -> (Vec<Value>, String) {
        let text = self.lines.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8(text.clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        // At TRACE the protocol's own library logs, too.
        let is_of_a_request = |line: &Value| line["event"] == "http_request";
        (lines.filter(is_of_a_request).collect(), text)
    }

    async fn line(&self) -> Value {
        self.lines(1).await.remove(0)
    }
}

fn brief(line: &Value) -> (&str, u64, u64, &str) {
    (
        line["outcome"].as_str().unwrap(),
        line["status"].as_u64().unwrap(),
        line["bytes_out"].as_u64().unwrap(),
        line["level"].as_str().unwrap(),
    )
}

/// Bytes of the body, as a client counts them: without the head, and without what chunks are parted by.
fn counted(response: &str) -> u64 {
    let (head, mut body) = response.split_once("\r\n\r\n").unwrap();
    if !head.contains("transfer-encoding: chunked") {
        return body.len() as u64;
    }
    let mut bytes = 0;
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = u64::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        bytes += size;
        body = &rest[size as usize + 2..];
    }
    bytes
}

#[tokio::test]
async fn what_is_sent_whole_is_one_line_with_the_bytes_that_the_client_counts() {
    bounded(async {
        for mode in MODES {
            for (method, path, last, status) in [
                (Method::GET, "/sized", "hello", 200),
                (Method::GET, "/sized-silent", "hello", 200),
                (Method::GET, "/streamed", "0\r\n\r\n", 200),
                (Method::GET, "/hinted", "0\r\n\r\n", 200),
                (Method::GET, "/pausing", "0\r\n\r\n", 200),
                (Method::GET, "/declared", "onetwo", 200),
                (Method::GET, "/declared-stall", "onetwo", 200),
                (Method::GET, "/declared-zero", "", 200),
                (Method::GET, "/empty", "", 200),
                (Method::GET, "/silent", "0\r\n\r\n", 200),
                (Method::GET, "/204", "", 204),
                (Method::GET, "/304", "", 304),
                (Method::GET, "/unknown", "hello", 404),
                (Method::POST, "/streamed", "0\r\n\r\n", 200),
                (Method::HEAD, "/sized", "", 200),
                (Method::HEAD, "/streamed", "", 200),
                (Method::HEAD, "/stall", "", 200),
                (Method::GET, "/trailers", "x-sum: 3\r\n\r\n", 200),
            ] {
                let scene = Scene::new(mode);
                let mut wire = scene.connect().await;
                wire.request(method.clone(), path).await;
                let mut response = wire.head().await;
                if !last.is_empty() {
                    response += &wire.until(last).await;
                }
                let line = scene.line().await;
                let expected = ("complete", status, counted(&response), "INFO");
                assert_eq!(
                    brief(&line),
                    expected,
                    "{mode:?} {method} {path}: {response}"
                );
                assert_eq!(line["path"], path);
                assert_eq!(line["method"], method.as_str());
                let id = line["request_id"].as_str().unwrap();
                assert!(
                    response.contains(&format!("x-request-id: {id}\r\n")),
                    "{response}"
                );
                wire.close().await.unwrap().unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_goes_wrong_is_one_line_that_says_how() {
    bounded(async {
        for mode in MODES {
            for (path, outcome, status, bytes, level) in [
                ("/error", "body_error", 500, 3, "ERROR"),
                ("/fails", "service_error", 500, 0, "ERROR"),
                ("/panic-in-call", "panic", 500, 0, "ERROR"),
                ("/panic-in-poll", "panic", 500, 0, "ERROR"),
                ("/panic-in-body", "panic", 500, 3, "ERROR"),
            ] {
                let scene = Scene::new(mode);
                let mut wire = scene.connect().await;
                wire.get(path).await;
                let response = wire.rest().await;
                let line = scene.line().await;
                assert_eq!(
                    brief(&line),
                    (outcome, status, bytes, level),
                    "{mode:?} {path}"
                );
                if bytes > 0 {
                    assert!(response.ends_with("3\r\none\r\n"), "{response}");
                }
                drop(wire.served().await);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_goes_away_is_one_line() {
    bounded(async {
        for mode in MODES {
            for reset in [false, true] {
                let scene = Scene::new(mode);
                let mut wire = scene.connect().await;
                wire.get("/stall-before-head").await;
                scene.ends.wait_for_start(1).await;
                drop(if reset {
                    wire.reset().await
                } else {
                    wire.close().await
                });
                let line = scene.line().await;
                assert_eq!(brief(&line), ("client_gone_before_head", 499, 0, "INFO"));
                assert_eq!(line.get("ttfb_ms"), None);

                let scene = Scene::new(mode);
                let mut wire = scene.connect().await;
                wire.get("/stall").await;
                wire.until("one\r\n").await;
                drop(if reset {
                    wire.reset().await
                } else {
                    wire.close().await
                });
                let line = scene.line().await;
                assert_eq!(brief(&line), ("client_gone_in_body", 499, 3, "INFO"));
                assert!(line["ttfb_ms"].is_number());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_switch_of_protocols_is_one_line() {
    bounded(async {
        for mode in MODES {
            let scene = Scene::new(mode);
            let mut wire = scene.connect().await;
            wire.send("GET /upgrade HTTP/1.1\r\nhost: loopback\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
                .await;
            wire.head().await;
            assert_eq!(brief(&scene.line().await), ("upgraded", 101, 0, "INFO"));
        }
    })
    .await;
}

#[tokio::test]
async fn requests_on_one_connection_are_a_line_each() {
    bounded(async {
        let scene = Scene::new(Mode::Through);
        let mut wire = scene.connect().await;
        for _ in 0..10 {
            wire.get("/sized").await;
            wire.until("hello").await;
        }
        let lines = scene.lines(10).await;
        let mut ids: Vec<_> = lines
            .iter()
            .map(|line| line["request_id"].as_str())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 10);
    })
    .await;
}

#[tokio::test]
async fn streams_of_http_2_are_a_line_each_also_when_they_are_reset() {
    bounded(async {
        for mode in MODES {
            let scene = Scene::new(mode);
            let mut client = serve::http2(serve::tcp().await, scene.service(Shapes)).await;
            let whole = client.get("/streamed").await.unwrap();
            let body = whole.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "onetwo");
            scene.ends.wait_for(1).await;

            let early = client.get("/stall-before-head");
            scene.ends.wait_for_start(2).await;
            drop(early);
            scene.ends.wait_for(2).await;

            let mut late = client.get("/stall").await.unwrap();
            let first = late.body_mut().frame().await.unwrap().unwrap();
            assert_eq!(first.into_data().unwrap(), "one");
            drop(late);
            let lines = scene.lines(3).await;
            assert_eq!(brief(&lines[0]), ("complete", 200, 6, "INFO"));
            assert_eq!(
                brief(&lines[1]),
                ("client_gone_before_head", 499, 0, "INFO")
            );
            assert_eq!(brief(&lines[2]), ("client_gone_in_body", 499, 3, "INFO"));
            assert_eq!(lines[0]["protocol"], "HTTP/2.0");
            drop(client.cut().await);
        }
    })
    .await;
}

#[tokio::test]
async fn the_code_of_a_grpc_call_decides() {
    bounded(async {
        for mode in MODES {
            for (code, level, in_head) in [
                ("0", "INFO", false),
                ("5", "INFO", false),
                ("13", "ERROR", false),
                ("14", "ERROR", true),
            ] {
                let scene = Scene::new(mode);
                let service = service_fn(move |_: Request<Incoming>| {
                    let body = ScriptBody::of(["message"]);
                    let response = if in_head {
                        let head = Response::builder().header("grpc-status", code);
                        head.body(ScriptBody::new().hinting_the_end()).unwrap()
                    } else {
                        Response::new(body.trailers("grpc-status", code))
                    };
                    std::future::ready(Ok::<_, ShapeError>(response))
                });
                let mut client = serve::http2(serve::tcp().await, scene.service(service)).await;
                let request = Request::post("http://loopback/scans.Scans/Scan")
                    .header("content-type", "application/grpc")
                    .body(Empty::<Bytes>::new())
                    .unwrap();
                let response = client.send(request).await.unwrap();
                let bytes = response.into_body().collect().await.unwrap().to_bytes();
                let line = scene.line().await;
                let expected = ("complete", 200, bytes.len() as u64, level);
                assert_eq!(brief(&line), expected, "{mode:?} {code}");
                assert_eq!(line["grpc_status"].to_string(), code);
                drop(client.cut().await);
            }
        }
    })
    .await;
}
