//! Which recorder is recorded in, and one that forgets.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use http::{Method, Request};
use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_util::MetricKindMask;
use test_support::drive::{poll_frame, ready};
use tower::{Layer as _, Service as _, service_fn};
use tower_observe::{ManualClock, ResponseFuture};
use tower_request_metrics::{Instrument, Recording, RequestMetrics, RequestMetricsLayer, Route};

use crate::common::{Future, Scene, behave, behave_declared, finish, lines, recorder};

fn request() -> Request<()> {
    Request::builder().uri("/whole").body(()).unwrap()
}

fn requests(handle: &metrics_exporter_prometheus::PrometheusHandle) -> Option<String> {
    let of_requests = |line: &String| line.starts_with("api_requests_total");
    lines(handle).into_iter().find(of_requests)
}

#[test]
fn every_constructor_records() {
    let record = |layer: RequestMetricsLayer, series: &str| {
        let recorder = recorder();
        let handle = recorder.handle();
        with_local_recorder(&recorder, || {
            finish(&mut layer.layer(service_fn(behave)), request());
        });
        let found = lines(&handle).iter().any(|line| line.starts_with(series));
        assert!(found, "{series}: {:?}", lines(&handle));
    };
    record(RequestMetricsLayer::new(), "api_requests_total");
    record(RequestMetricsLayer::default(), "api_requests_total");
    record(RequestMetricsLayer::auto(), "api_requests_total");
    record(RequestMetricsLayer::grpc(), "grpc_server_handled_total");
    record(RequestMetrics::new().into(), "api_requests_total");
}

#[test]
fn a_recorder_that_is_installed_after_the_first_request_records_from_then_on() {
    let mut service = RequestMetricsLayer::new().layer(service_fn(behave));
    finish(&mut service, request());
    let recorder = recorder();
    let handle = recorder.handle();
    with_local_recorder(&recorder, || finish(&mut service, request()));
    let counted = r#"api_requests_total{method="GET",endpoint="_OTHER",status="200"} 1"#;
    assert_eq!(requests(&handle).as_deref(), Some(counted));
}

#[test]
fn each_local_recorder_records_what_happens_under_it() {
    let (one, two) = (Box::new(recorder()), Box::new(recorder()));
    let mut service = RequestMetricsLayer::new().layer(service_fn(behave));
    let mut times = |recorder: &dyn Recorder, times: usize| {
        with_local_recorder(recorder, || {
            (0..times).for_each(|_| finish(&mut service, request()));
        });
    };
    times(&*one, 2);
    times(&*two, 3);
    times(&*one, 4);
    let count = |handle| {
        requests(&handle)
            .unwrap()
            .rsplit(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (count(one.handle()), count(two.handle())),
        ("6".to_owned(), "3".to_owned())
    );
}

#[test]
fn a_request_that_ends_under_another_recorder_leaves_that_one_s_gauge_alone() {
    let (one, two) = (Box::new(recorder()), Box::new(recorder()));
    let mut service = RequestMetricsLayer::new().layer(service_fn(behave));
    let future = with_local_recorder(&*one, || service.call(request()));
    with_local_recorder(&*two, || drop(future));
    let gauge = |handle| {
        lines(&handle)
            .into_iter()
            .find(|line| line.starts_with("api_active_requests"))
    };
    let zero = r#"api_active_requests{method="GET",endpoint="_OTHER"} 0"#;
    assert_eq!(gauge(one.handle()).as_deref(), Some(zero));
    assert_eq!(gauge(two.handle()), None);
}

#[test]
fn two_layers_with_two_prefixes_do_not_meet() {
    let recorder = Arc::new(recorder());
    let layer = |prefix: &'static str| {
        let builder = RequestMetrics::builder().prefix(prefix);
        let metrics = builder.recorder(Arc::clone(&recorder) as _).build();
        RequestMetricsLayer::from(metrics.unwrap())
    };
    let mut service = layer("outer").layer(layer("inner").layer(service_fn(behave)));
    finish(&mut service, request());
    let lines = lines(&recorder.handle());
    let named = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    assert!(named("outer_requests_total") == 1 && named("inner_requests_total") == 1);
    assert_eq!(named("outer_"), named("inner_"));
    assert_eq!(named("api_"), 0);
}

#[test]
fn help_and_specs_are_what_is_rendered() {
    let scene = Scene::with(|builder| {
        builder
            .enable(Instrument::RequestSize)
            .enable(Instrument::TimeToHeaders)
            .max_routes(4)
            .count_request_bodies()
    });
    for path in ["/whole", "/upgrade", "/never", "/404", "/503"] {
        scene.run(Method::GET, path);
    }
    let mut stream = scene.layer.layer(service_fn(|_: Request<()>| {
        let response = http::Response::builder().header("content-type", "text/event-stream");
        let body = test_support::body::ScriptBody::of(["data: 1\n\n"]);
        std::future::ready(Ok::<_, std::convert::Infallible>(
            response.body(body).unwrap(),
        ))
    }));
    finish(&mut stream, Request::new(()));

    let text = scene.handle.render();
    let mut rendered: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in scene.lines() {
        let (name, rest) = line.split_once('{').unwrap();
        let suffixes = ["_bucket", "_sum", "_count"];
        let name = suffixes
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name);
        let labels = rest.split_once('}').unwrap().0;
        let labels = labels
            .split("\",")
            .map(|label| label.split_once('=').unwrap().0.to_owned());
        rendered
            .entry(name.to_owned())
            .or_default()
            .extend(labels.filter(|label| label != "le"));
    }
    let specs = scene.layer.specs();
    let told: BTreeMap<String, BTreeSet<String>> = specs
        .iter()
        .map(|spec| {
            (
                spec.name.to_string(),
                spec.labels.iter().map(ToString::to_string).collect(),
            )
        })
        .collect();
    assert_eq!(rendered, told);
    for spec in specs {
        assert!(
            text.contains(&format!("# HELP {} {}", spec.name, spec.help)),
            "{}",
            spec.name
        );
        assert!(
            text.contains(&format!("# TYPE {} {}", spec.name, spec.kind)),
            "{}",
            spec.name
        );
        assert_eq!(
            spec.buckets.is_empty(),
            spec.kind != tower_observe::Kind::Histogram
        );
    }
}

#[test]
fn what_is_initialised_is_there_at_zero() {
    let scene = Scene::new();
    let statuses = [http::StatusCode::OK, http::StatusCode::NOT_FOUND];
    let made = scene
        .layer
        .metrics()
        .init([(Method::GET, "/whole", statuses)]);
    assert_eq!(made, 2);
    assert_eq!(
        scene.lines(),
        [
            r#"api_requests_total{method="GET",endpoint="/whole",status="200"} 0"#,
            r#"api_requests_total{method="GET",endpoint="/whole",status="404"} 0"#,
        ]
    );
    scene.run(Method::GET, "/whole");
    assert_eq!(
        scene
            .layer
            .metrics()
            .init([(Method::GET, "/whole", statuses)]),
        2
    );
    let counted = r#"api_requests_total{method="GET",endpoint="/whole",status="200"}"#;
    assert_eq!(scene.value(counted), Some(1.0));
}

#[test]
fn an_exporter_that_drops_idle_series_loses_nothing() {
    let exporter = PrometheusBuilder::new()
        .idle_timeout(MetricKindMask::ALL, Some(Duration::from_millis(1)))
        .build_recorder();
    let handle = exporter.handle();
    let builder = RequestMetrics::builder().recorder(Arc::new(exporter));
    let builder = builder.handle_max_idle(Some(Duration::from_millis(1)));
    let clock = ManualClock::new();
    let layer = RequestMetricsLayer::from(builder.build().unwrap()).clock(clock.clock());
    let mut service = layer.layer(service_fn(behave));
    for round in 0..3 {
        for _ in 0..5 {
            finish(&mut service, request());
        }
        let counted = r#"api_requests_total{method="GET",endpoint="_OTHER",status="200"} 5"#;
        assert_eq!(requests(&handle).as_deref(), Some(counted), "round {round}");
        // Its clock cannot be moved by hand, but it forgets at a render: it is asked until it has.
        let forgotten = (0..1_000_000).any(|_| requests(&handle).is_none());
        assert!(forgotten, "round {round}");
        clock.advance(Duration::from_secs(2));
    }
}

/// A recorder that forgets all its series when told to, and what was in them by then.
#[derive(Clone, Default)]
struct Forgetful {
    series: Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>,
    gauges: Arc<Mutex<Vec<Arc<AtomicU64>>>>,
    forgotten: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Forgetful {
    fn cell(&self, key: &Key) -> Arc<AtomicU64> {
        let mut series = self.series.lock().unwrap();
        Arc::clone(series.entry(key.name().to_owned()).or_default())
    }

    fn forget(&self) {
        self.forget_where(|_| true);
    }

    fn forget_where(&self, is_idle: impl Fn(&str) -> bool) {
        let mut forgotten = self.forgotten.lock().unwrap();
        let mut series = self.series.lock().unwrap();
        let (idle, lively) = std::mem::take(&mut *series)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(name, _)| is_idle(name));
        *series = lively;
        for (name, value) in idle {
            let sum: &mut u64 = forgotten.entry(name).or_default();
            // Of a gauge it means nothing.
            *sum = sum.wrapping_add(value.load(Ordering::Relaxed));
        }
    }

    /// All that a scraper who came before each forgetting would know of.
    fn total(&self, name: &str) -> u64 {
        let present = self.series.lock().unwrap();
        let present = present
            .get(name)
            .map_or(0, |value| value.load(Ordering::Relaxed));
        present
            + self
                .forgotten
                .lock()
                .unwrap()
                .get(name)
                .copied()
                .unwrap_or(0)
    }

    fn gauges(&self) -> Vec<f64> {
        let gauges = self.gauges.lock().unwrap();
        let value = |gauge: &Arc<AtomicU64>| f64::from_bits(gauge.load(Ordering::Relaxed));
        gauges.iter().map(value).collect()
    }
}

struct Count(Arc<AtomicU64>);

impl metrics::HistogramFn for Count {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Recorder for Forgetful {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let gauge = self.cell(key);
        self.gauges.lock().unwrap().push(Arc::clone(&gauge));
        Gauge::from_arc(gauge)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Count(self.cell(key))))
    }
}

const IDLE: Duration = Duration::from_secs(30);

fn forgetful() -> (Forgetful, ManualClock, RequestMetricsLayer) {
    let forgetful = Forgetful::default();
    let builder = RequestMetrics::builder().recorder(Arc::new(forgetful.clone()));
    let metrics = builder.handle_max_idle(Some(IDLE)).build().unwrap();
    let clock = ManualClock::new();
    let layer = RequestMetricsLayer::from(metrics).clock(clock.clock());
    (forgetful, clock, layer)
}

#[test]
fn what_is_recorded_after_the_series_was_forgotten_is_not_lost() {
    let (recorder, clock, layer) = forgetful();
    let mut service = layer.layer(service_fn(behave));
    for round in 1..=10 {
        for _ in 0..7 {
            finish(&mut service, request());
        }
        for name in [
            "api_requests_total",
            "api_request_duration_seconds",
            "api_response_size_bytes",
        ] {
            assert_eq!(recorder.total(name), round * 7, "{name}");
        }
        clock.advance(IDLE + Duration::from_secs(2));
        recorder.forget();
    }
}

#[test]
fn a_series_that_is_idle_alone_is_registered_again_and_the_others_go_on() {
    let (recorder, clock, layer) = forgetful();
    let mut service = layer.layer(service_fn(|request: Request<()>| {
        let response = http::Response::builder().header("content-type", &request.uri().path()[1..]);
        let body = test_support::body::ScriptBody::of(["data: 1\n\n"]);
        std::future::ready(Ok::<_, std::convert::Infallible>(
            response.body(body).unwrap(),
        ))
    }));
    let mut send =
        |content_type| finish(&mut service, Request::get(content_type).body(()).unwrap());
    for round in 1..=3 {
        send("/text/html");
        // Has no duration, but all else that a page has.
        for _ in 0..2 {
            clock.advance(IDLE * 2 / 3);
            send("/text/event-stream");
        }
        assert_eq!(recorder.total("api_requests_total"), round * 3);
        assert_eq!(recorder.total("api_response_size_bytes"), round * 3);
        assert_eq!(recorder.total("api_request_duration_seconds"), round);
    }
}

#[test]
fn a_series_that_others_are_registered_again_beside_is_not_used_by_that() {
    const SIZE: &str = "api_request_size_bytes";

    let forgetful = Forgetful::default();
    let builder = RequestMetrics::builder().recorder(Arc::new(forgetful.clone()));
    let builder = builder
        .enable(Instrument::RequestSize)
        .handle_max_idle(Some(IDLE));
    let clock = ManualClock::new();
    let layer = RequestMetricsLayer::from(builder.build().unwrap()).clock(clock.clock());
    let mut service = layer.layer(service_fn(behave));
    let without_size = || {
        let mut request = request();
        *request.method_mut() = http::Method::POST;
        let chunked = http::HeaderValue::from_static("chunked");
        request.headers_mut().insert("transfer-encoding", chunked);
        request
    };
    let with_size = || {
        let mut request = without_size();
        request.headers_mut().remove("transfer-encoding");
        let length = http::HeaderValue::from_static("7");
        request.headers_mut().insert("content-length", length);
        request
    };
    finish(&mut service, with_size());
    // All are idle; this one uses all of them but the size.
    clock.advance(IDLE + Duration::from_secs(2));
    finish(&mut service, without_size());
    assert_eq!(forgetful.total(SIZE), 1);
    forgetful.forget_where(|name| name == SIZE);
    clock.advance(IDLE / 2);
    finish(&mut service, with_size());
    assert_eq!(forgetful.total(SIZE), 2);
    assert_eq!(forgetful.total("api_requests_total"), 3);
}

#[test]
fn a_gauge_that_is_forgotten_while_it_is_up_never_falls_below_zero() {
    gauges_stay_above_zero(drop);
    gauges_stay_above_zero(|mut future| {
        let mut body = ready(&mut future).unwrap().into_body();
        while let Poll::Ready(Some(_)) = poll_frame(&mut body) {}
    });
}

/// Of requests that end so after their series were forgotten.
fn gauges_stay_above_zero(end: impl Fn(ResponseFuture<Future, Recording>)) {
    let (recorder, clock, layer) = forgetful();
    let mut service = layer.layer(service_fn(behave_declared));
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut route = request();
        route.extensions_mut().insert(Route::new("/whole"));
        held.push(service.call(route));
        clock.advance(IDLE + Duration::from_secs(2));
        recorder.forget();
        finish(&mut service, request());
        assert!(recorder.gauges().iter().all(|gauge| *gauge >= 0.0));
    }
    while let Some(future) = held.pop() {
        end(future);
        assert!(recorder.gauges().iter().all(|gauge| *gauge >= 0.0));
    }
    assert!(recorder.gauges().iter().all(|gauge| *gauge == 0.0));
    assert_eq!(recorder.total("api_requests_total"), 10);
}

#[test]
fn a_stream_goes_on_being_counted_after_its_series_was_forgotten() {
    let forgetful = Forgetful::default();
    let builder = RequestMetrics::builder().recorder(Arc::new(forgetful.clone()));
    // The time within an exchange is the system's.
    let metrics = builder
        .handle_max_idle(Some(Duration::ZERO))
        .build()
        .unwrap();
    let mut service = RequestMetricsLayer::from(metrics).layer(service_fn(|_: Request<()>| {
        let response = http::Response::builder().header("content-type", "text/event-stream");
        let body = test_support::body::ScriptBody::of(["data: 1\n\n"; 3]);
        std::future::ready(Ok::<_, std::convert::Infallible>(
            response.body(body).unwrap(),
        ))
    }));
    let mut body = ready(&mut service.call(Request::new(())))
        .unwrap()
        .into_body();
    for frame in 1..=3 {
        assert!(poll_frame(&mut body).is_ready());
        assert_eq!(forgetful.total("api_stream_bytes_total"), frame * 9);
        forgetful.forget();
    }
}
