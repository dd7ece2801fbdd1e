//! The presets `OpenTelemetry` beside the conventions' own model, in their names and in real traffic.

mod model;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Empty;
use hyper::body::Incoming;
use metrics_util::{
    MetricKind,
    debugging::{DebugValue, DebuggingRecorder, Snapshotter},
};
use test_support::{
    body::ScriptBody,
    drive::bounded,
    ends::Ends,
    serve,
    shapes::{ShapeError, Shapes},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{Layer as _, Service as _, service_fn};
use tower_observe::{Kind, ObserveLayer, Spec, Unit};
use tower_request_metrics::{
    GrpcNames, Instrument, Names, Protocol, RequestMetrics, RequestMetricsBuilder, RouteTable,
};

use model::{Level, Metric, Model};

const HTTP_DURATION: &str = "http.server.request.duration";
const HTTP_ACTIVE: &str = "http.server.active_requests";
const RPC_DURATION: &str = "rpc.server.call.duration";

const STATUS: &str = "http.response.status_code";
const ROUTE: &str = "http.route";
const ERROR: &str = "error.type";
const CODE: &str = "rpc.response.status_code";
const METHOD: &str = "rpc.method";

/// To be there if it is not `http`, which it always is.
const PROTOCOL: &str = "network.protocol.name";

fn http_names() -> RequestMetricsBuilder {
    RequestMetrics::builder().names(Names::OpenTelemetry)
}

fn rpc_names() -> RequestMetricsBuilder {
    RequestMetrics::builder()
        .grpc_names(GrpcNames::OpenTelemetry)
        .protocol(Protocol::Grpc)
}

/// The specs, without the one series of which the conventions know nothing.
fn specs(builder: RequestMetricsBuilder) -> Vec<Spec> {
    let mut specs = builder.build().unwrap().specs();
    specs.retain(|spec| !spec.name.ends_with(".label_overflow"));
    specs
}

#[test]
fn every_instrument_has_the_kind_unit_attributes_and_buckets_of_its_metric() {
    let model = Model::read();
    let all = http_names()
        .enable(Instrument::RequestSize)
        .enable(Instrument::ResponseSize);
    let mut specs = [specs(all), specs(rpc_names())].concat();
    specs.sort_by(|a, b| a.name.cmp(&b.name));
    let names = specs.iter().map(|spec| &*spec.name).collect::<Vec<_>>();
    let sizes = [
        "http.server.request.body.size",
        "http.server.response.body.size",
    ];
    assert_eq!(
        names,
        [HTTP_ACTIVE, sizes[0], HTTP_DURATION, sizes[1], RPC_DURATION]
    );
    for spec in specs {
        let metric = model.metric(&spec.name);
        let kind = match metric.instrument.as_str() {
            "histogram" => Kind::Histogram,
            // The facade's gauges go up and down.
            "updowncounter" => Kind::Gauge,
            other => panic!("an unknown instrument: {other}"),
        };
        assert_eq!(spec.kind, kind, "{}", spec.name);
        let unit = match metric.unit.as_str() {
            "s" => Some(Unit::Seconds),
            "By" => Some(Unit::Bytes),
            // In braces stands what is counted: to UCUM a remark, and no unit.
            "{request}" => None,
            other => panic!("an unknown unit: {other}"),
        };
        assert_eq!(spec.unit, unit, "{}", spec.name);
        let labels = spec.labels.iter().map(|label| &**label);
        let attributes = metric.attributes.iter();
        let attributes = attributes
            .filter(|(name, level)| **level != Level::OptIn && *name != PROTOCOL)
            .map(|(name, _)| name.as_str());
        assert_eq!(
            labels.collect::<BTreeSet<_>>(),
            attributes.collect::<BTreeSet<_>>()
        );
        let buckets = model.buckets(&spec.name);
        if !buckets.is_empty() {
            assert_eq!(spec.buckets, buckets, "{}", spec.name);
        }
    }
    assert_eq!(model.buckets(HTTP_DURATION).len(), 14);
    assert_eq!(model.buckets(RPC_DURATION).len(), 14);
}

#[test]
fn nothing_opt_in_is_recorded_unasked_but_the_active_requests() {
    let model = Model::read();
    let opt_in = |specs: Vec<Spec>| {
        let names = specs.into_iter().map(|spec| spec.name);
        names
            .filter(|name| model.is_opt_in(name))
            .collect::<Vec<_>>()
    };
    assert_eq!(opt_in(specs(http_names())), [HTTP_ACTIVE]);
    assert_eq!(opt_in(specs(rpc_names())), [""; 0]);
}

type Attributes = BTreeMap<String, String>;

/// A layer whose recorder takes names as they are.
struct Scene {
    metrics: RequestMetrics,
    ends: Ends,
    snapshotter: Snapshotter,
}

impl Scene {
    fn new(builder: RequestMetricsBuilder) -> Self {
        let recorder = DebuggingRecorder::new();
        Self {
            ends: Ends::new(),
            snapshotter: recorder.snapshotter(),
            metrics: builder.recorder(Arc::new(recorder)).build().unwrap(),
        }
    }

    fn layer(&self) -> ObserveLayer<(RequestMetrics, Ends)> {
        let ends = self.ends.clone();
        self.ends.layer_with((self.metrics.clone(), ends))
    }

    /// The attributes of each series of a metric, of which all has come to an end. To be asked once: the
    /// recorder forgets.
    fn recorded(&self, metric: &str, unit: Option<metrics::Unit>) -> Vec<Attributes> {
        let series = self.snapshotter.snapshot().into_vec().into_iter();
        let series = series.filter(|(key, ..)| key.key().name() == metric);
        let attributes = series.map(|(key, said, _, value)| {
            assert_eq!(said, unit);
            match value {
                DebugValue::Histogram(values) => assert!(!values.is_empty()),
                value => assert_eq!(value, DebugValue::Gauge(0.0.into())),
            }
            assert_ne!(key.kind(), MetricKind::Counter);
            let labels = key.key().labels();
            let labels = labels.map(|label| (label.key().to_owned(), label.value().to_owned()));
            labels.collect()
        });
        attributes.collect()
    }

    fn durations(&self, metric: &str) -> Vec<Attributes> {
        self.recorded(metric, Some(metrics::Unit::Seconds))
    }
}

/// These attributes are there and no others, and they are those that the metric should have. Whether a
/// condition is met is for the caller to know.
#[track_caller]
fn check(metric: &Metric, found: &Attributes, expected: &[(&str, &str)]) {
    let texts = found.iter();
    let texts = texts.map(|(name, value)| (name.as_str(), value.as_str()));
    let expected = expected.iter().copied().collect::<BTreeMap<_, _>>();
    assert_eq!(texts.collect::<BTreeMap<_, _>>(), expected);
    for (name, level) in &metric.attributes {
        let there = found.contains_key(name);
        match level {
            Level::Required | Level::Recommended => assert!(there, "{name}"),
            Level::OptIn => assert!(!there, "{name}"),
            Level::ConditionallyRequired => assert!(!there || name != PROTOCOL),
        }
    }
    let unknown = found
        .keys()
        .find(|name| !metric.attributes.contains_key(*name));
    assert_eq!(unknown, None);
}

/// Answers as the path says, with any status as `/status/{code}`.
async fn answer(request: Request<Incoming>) -> Result<Response<ScriptBody>, ShapeError> {
    let path = request.uri().path().to_owned();
    let mut response = Shapes.call(request).await?;
    if let Some(code) = path.strip_prefix("/status/") {
        *response.status_mut() = code.parse::<StatusCode>().unwrap();
    }
    Ok(response)
}

fn routed() -> RequestMetricsBuilder {
    http_names().routes(RouteTable::new(["/status/{code}", "/sized", "/fails"]).unwrap())
}

#[tokio::test]
async fn http_requests_have_the_attributes_whose_conditions_they_meet() {
    // The path, what the client reads of the response before it goes, and the attributes.
    let (ok, template) = (Some("200"), Some("/status/{code}"));
    let cases = [
        ("/sized", "hello", ok, Some("/sized"), None),
        ("/nowhere", "hello", Some("404"), None, None),
        ("/status/404", "hello", Some("404"), template, None),
        ("/status/499", "hello", Some("499"), template, None),
        ("/status/500", "hello", Some("500"), template, Some("500")),
        ("/status/503", "hello", Some("503"), template, Some("503")),
        ("/204", "\r\n\r\n", Some("204"), None, None),
        ("/error", "one", ok, None, Some("body_error")),
        ("/stall", "one", ok, None, Some("client_gone_in_body")),
        (
            "/stall-before-head",
            "",
            None,
            None,
            Some("client_gone_before_head"),
        ),
        ("/fails", "", None, Some("/fails"), Some("service_error")),
        ("/panic-in-poll", "", None, None, Some("panic")),
    ];
    let metric = Model::read().metric(HTTP_DURATION);
    let conditional = metric.of(Level::ConditionallyRequired);
    let judged = [ERROR, STATUS, ROUTE, PROTOCOL];
    assert_eq!(conditional.collect::<Vec<_>>(), judged);
    bounded(async {
        for (path, reads, status, route, error) in cases {
            let scene = Scene::new(routed());
            let service = scene.layer().layer(service_fn(answer));
            let mut wire = serve::http1(serve::tcp().await, service);
            wire.get(path).await;
            if !reads.is_empty() {
                wire.until(reads).await;
            }
            scene.ends.wait_for_start(1).await;
            drop(wire.close().await);
            scene.ends.wait().await;
            let conditional = [(STATUS, status), (ROUTE, route), (ERROR, error)];
            let met = conditional.into_iter();
            let mut expected = Vec::from_iter(met.filter_map(|(name, value)| Some((name, value?))));
            expected.extend([
                ("http.request.method", "GET"),
                ("url.scheme", "http"),
                ("network.protocol.version", "1.1"),
            ]);
            let found = scene.durations(HTTP_DURATION);
            assert_eq!(found.len(), 1, "{path}");
            check(&metric, &found[0], &expected);
        }
    })
    .await;
}

#[tokio::test]
async fn the_version_is_that_of_the_connection() {
    bounded(async {
        let scene = Scene::new(routed());
        let service = scene.layer().layer(service_fn(answer));
        let mut wire = serve::http1(serve::tcp().await, service.clone());
        wire.send("GET /sized HTTP/1.0\r\n\r\n").await;
        assert!(wire.rest().await.ends_with("hello"));
        let mut wire = serve::http1(serve::tcp().await, service.clone());
        wire.get("/sized").await;
        wire.until("hello").await;
        let mut client = serve::http2(serve::tcp().await, service).await;
        client.get("/sized").await.unwrap();
        scene.ends.wait_for(3).await;
        let found = scene.durations(HTTP_DURATION);
        let versions = found
            .iter()
            .map(|attributes| attributes["network.protocol.version"].as_str());
        let versions = versions.collect::<Vec<_>>();
        assert_eq!(versions, ["1.0", "1.1", "2"]);
    })
    .await;
}

#[tokio::test]
async fn methods_are_the_members_of_the_enumeration_and_any_other_is_one() {
    bounded(async {
        let model = Model::read();
        let members = model.members("http.request.method");
        assert_eq!(members.len(), 11, "{members:?}");
        for invented in ["get", "Get", "PROPFIND", "_OTHER"].map(str::to_owned) {
            let scene = Scene::new(routed());
            let service = scene.layer().layer(service_fn(answer));
            let known = members.iter().filter(|member| *member != "_OTHER");
            let methods = known.chain([&invented]).collect::<Vec<_>>();
            for method in &methods {
                let mut wire = serve::http1(serve::tcp().await, service.clone());
                let target = match method.as_str() {
                    "CONNECT" => "loopback:80",
                    _ => "/sized",
                };
                wire.send(&format!("{method} {target} HTTP/1.1\r\nhost: x\r\n\r\n"))
                    .await;
                wire.head().await;
                drop(wire.close().await);
            }
            scene.ends.wait_for(methods.len()).await;
            let found = scene.durations(HTTP_DURATION);
            let said = found.iter().map(|found| &found["http.request.method"]);
            assert_eq!(said.collect::<BTreeSet<_>>(), members.iter().collect());
            assert_eq!(found.len(), members.len());
        }
    })
    .await;
}

#[tokio::test]
async fn active_requests_have_a_method_and_a_scheme_and_nothing_else() {
    bounded(async {
        let scene = Scene::new(routed().scheme("https"));
        let service = scene.layer().layer(service_fn(answer));
        let mut wire = serve::http1(serve::tcp().await, service);
        wire.get("/status/503").await;
        wire.until("hello").await;
        drop(wire.close().await);
        scene.ends.wait().await;
        let metric = Model::read().metric(HTTP_ACTIVE);
        let found = scene.recorded(HTTP_ACTIVE, None);
        assert_eq!(found.len(), 1);
        let values = [("http.request.method", "GET"), ("url.scheme", "https")];
        check(&metric, &found[0], &values);
    })
    .await;
}

const SYSTEM: (&str, &str) = ("rpc.system.name", "grpc");

/// What gRPC's part of the conventions, `docs/rpc/grpc.md`, takes for errors of a server.
const RPC_ERRORS: [&str; 6] = [
    "UNKNOWN",
    "DEADLINE_EXCEEDED",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
];

/// gRPC's `statuscodes.md`.
const RPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Answers a gRPC call with the code that its header asks for, or as the header says.
async fn answer_call(request: Request<Incoming>) -> Result<Response<ScriptBody>, ShapeError> {
    let wish = request.headers()["x-answer"].to_str().unwrap().to_owned();
    let mut response = Response::new(ScriptBody::new().hinting_the_end());
    let content = "application/grpc".parse().unwrap();
    response.headers_mut().insert(CONTENT_TYPE, content);
    match wish.as_str() {
        "never" => std::future::pending().await,
        "stall" => *response.body_mut() = ScriptBody::of(["\0\0\0\0\0"]).stall(),
        "break" => *response.body_mut() = ScriptBody::of(["\0\0\0\0\0"]).error(),
        "fail" => return Err(ShapeError),
        "panic" => panic!("as asked"),
        code => drop(
            response
                .headers_mut()
                .insert("grpc-status", code.parse().unwrap()),
        ),
    }
    Ok(response)
}

fn call(method: &str, wish: &str) -> Request<Empty<Bytes>> {
    let request = Request::post(format!("http://loopback{method}"));
    let request = request.header(CONTENT_TYPE, "application/grpc");
    let request = request.header("x-answer", wish);
    request.body(Empty::new()).unwrap()
}

#[tokio::test]
async fn rpcs_have_the_code_they_were_answered_with_and_an_error_type_where_that_is_one() {
    bounded(async {
        let model = Model::read();
        let metric = model.metric(RPC_DURATION);
        let scene = Scene::new(rpc_names());
        let service = scene.layer().layer(service_fn(answer_call));
        let mut client = serve::http2(serve::tcp().await, service).await;
        for code in 0..RPC_CODES.len() {
            let request = call("/test.Codes/Get", &code.to_string());
            client.send(request).await.unwrap();
        }
        scene.ends.wait_for(RPC_CODES.len()).await;
        let found = scene.durations(RPC_DURATION);
        let codes = found.iter().map(|attributes| attributes[CODE].as_str());
        let codes = codes.collect::<BTreeSet<_>>();
        assert_eq!(codes, BTreeSet::from(RPC_CODES));
        for found in &found {
            let code = found[CODE].as_str();
            let mut expected = vec![SYSTEM, (METHOD, "test.Codes/Get"), (CODE, code)];
            if RPC_ERRORS.contains(&code) {
                expected.push((ERROR, code));
            }
            check(&metric, found, &expected);
        }
        assert!(model.members(SYSTEM.0).contains(&SYSTEM.1.to_owned()));
        assert_eq!(found.len(), RPC_CODES.len());
    })
    .await;
}

#[tokio::test]
async fn rpcs_of_unknown_methods_are_other() {
    bounded(async {
        let metric = Model::read().metric(RPC_DURATION);
        let scene = Scene::new(rpc_names());
        let service = scene.layer().layer(service_fn(answer_call));
        let mut client = serve::http2(serve::tcp().await, service).await;
        for path in ["/test.Codes/None", "/test.None/Get", "/", "/a/b/c"] {
            client.send(call(path, "12")).await.unwrap();
        }
        scene.ends.wait_for(4).await;
        let found = scene.durations(RPC_DURATION);
        assert_eq!(found.len(), 1, "{found:?}");
        let code = "UNIMPLEMENTED";
        let expected = [SYSTEM, (METHOD, "_OTHER"), (CODE, code), (ERROR, code)];
        check(&metric, &found[0], &expected);
    })
    .await;
}

/// What is recorded of one call that breaks off as `wish` says.
async fn broken(wish: &'static str) -> Attributes {
    let scene = Scene::new(rpc_names());
    let service = scene.layer().layer(service_fn(answer_call));
    let mut client = serve::http2(serve::tcp().await, service).await;
    let response = client.send(call("/test.Codes/Get", wish));
    scene.ends.wait_for_start(1).await;
    match wish {
        "never" => drop(response),
        "stall" => drop(response.await.unwrap()),
        _ => drop(response.await.map(http_body_util::BodyExt::collect)),
    }
    scene.ends.wait().await;
    let found = scene.durations(RPC_DURATION);
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

#[tokio::test]
async fn an_rpc_that_the_server_breaks_off_has_an_error_type_of_its_own() {
    bounded(async {
        let metric = Model::read().metric(RPC_DURATION);
        for (wish, method, code, error) in [
            ("break", "test.Codes/Get", "INTERNAL", "body_error"),
            ("fail", "_OTHER", "UNKNOWN", "service_error"),
            ("panic", "_OTHER", "UNKNOWN", "panic"),
        ] {
            let expected = [SYSTEM, (METHOD, method), (CODE, code), (ERROR, error)];
            check(&metric, &broken(wish).await, &expected);
        }
    })
    .await;
}

/// An `error.type` is there if and only if the call failed. Either `CANCELLED` is its code, which is no
/// error of a server's, or it has none, as none was sent, and an `error.type` may tell why.
#[tokio::test]
async fn an_rpc_that_its_client_breaks_off_has_no_error_type_beside_a_code_that_is_no_error() {
    bounded(async {
        for wish in ["never", "stall"] {
            let found = broken(wish).await;
            let code = found.get(CODE).map(String::as_str);
            let is_error = code.is_none_or(|code| RPC_ERRORS.contains(&code));
            assert_eq!(found.contains_key(ERROR), is_error, "{found:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_calls_of_a_tonic_client_are_named_by_service_and_method() {
    bounded(async {
        let metric = Model::read().metric(RPC_DURATION);
        let scene = Scene::new(rpc_names());
        let (_, health) = tonic_health::server::health_reporter();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder().layer(scene.layer()).add_service(health);
        let served = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let mut client = HealthClient::new(endpoint.connect().await.unwrap());
        for (service, found) in [("", true), ("unknown", false)] {
            let service = service.to_owned();
            let response = client.check(HealthCheckRequest { service }).await;
            assert_eq!(response.is_ok(), found);
        }
        scene.ends.wait_for(2).await;
        served.abort();
        let found = scene.durations(RPC_DURATION);
        let codes = ["OK", "NOT_FOUND"];
        assert_eq!(found.len(), codes.len());
        for (found, code) in found.iter().zip(codes) {
            let method = (METHOD, "grpc.health.v1.Health/Check");
            check(&metric, found, &[SYSTEM, method, (CODE, code)]);
        }
    })
    .await;
}
