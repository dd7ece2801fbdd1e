//! Sinks, and the servers that they are made for: what was recorded is what a query gives.

use std::{collections::HashMap, time::Duration};

use metrics::with_local_recorder;
use platform_tests::get;
use serde_json::{Value as Json, json};
use server_tests::{Prometheus, Pushgateway, Rotel, Suite, VictoriaMetrics, free_port};
use tower_metrics_exporter as exporter;
use tower_metrics_exporter::{
    Exporter, Matcher, MemorySink, Otlp, RemoteWrite, Sinks, SinksHandle, Statsd, Value,
};

const INTERVAL: Duration = Duration::from_millis(200);
const DEADLINE: Duration = Duration::from_secs(30);

fn exporter() -> Exporter {
    Exporter::builder()
        .buckets(Matcher::full("t_seconds"), [0.5, 1.0])
        .exemplars(|| Some([("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")]))
        .build()
        .expect("it can be built")
}

fn record(exporter: &Exporter, count: u64) {
    with_local_recorder(&exporter.recorder(), || {
        metrics::counter!("c_total", "route" => "/\"ü").increment(count);
        metrics::gauge!("g").set(-2.5);
        metrics::histogram!("t_seconds").record(0.75);
    });
}

/// What must be there after one [`record`] of 3.
const EXPECTED: [(&str, f64); 7] = [
    ("c_total{route=\"/\\\"ü\",job=\"orders\"}", 3.0),
    ("g{job=\"orders\"}", -2.5),
    ("t_seconds_bucket{le=\"0.5\"}", 0.0),
    ("t_seconds_bucket{le=\"1.0\"}", 1.0),
    ("t_seconds_bucket{le=\"+Inf\"}", 1.0),
    ("t_seconds_sum", 0.75),
    ("t_seconds_count", 1.0),
];

fn remote_write(url: &str) -> RemoteWrite {
    let sink = RemoteWrite::new(&format!("{url}/api/v1/write")).expect("it is a URL");
    sink.label("job", "orders").label("instance", "one")
}

fn start(sinks: Sinks) -> SinksHandle {
    sinks.interval(INTERVAL).start().expect("they start")
}

/// Each value of a series, in the order of time, as the server keeps them.
fn history(url: &str, series: &str) -> Vec<f64> {
    let answer: Json = get(&format!("{url}/api/v1/query?query={series}[1h]")).json();
    let values = answer["data"]["result"][0]["values"].as_array();
    let values = values.unwrap_or_else(|| panic!("no {series}: {answer}"));
    let number = |value: &Json| value[1].as_str().and_then(|value| value.parse().ok());
    values
        .iter()
        .map(|value| number(value).expect("a number"))
        .collect()
}

/// The same, as the memory sink was given it.
fn remembered(memory: &MemorySink, series: &str) -> Vec<f64> {
    let snapshots = memory.snapshots();
    let values = snapshots
        .iter()
        .filter_map(|snapshot| match snapshot.get(series, &[])? {
            Value::Counter(value) | Value::Gauge(value) => Some(*value),
            _ => None,
        });
    values.collect()
}

async fn written_to_prometheus(suite: Suite) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut prometheus = Prometheus::written_to(suite, folder, free_port());
    let exporter = exporter();
    record(&exporter, 3);
    let sinks = start(exporter.sinks().sink(remote_write(prometheus.url())));
    for (series, value) in EXPECTED {
        let samples = prometheus.query(series);
        assert_eq!(
            (samples.len(), samples[0].1),
            (1, value),
            "{series}: {samples:?}"
        );
    }
    let exemplars = prometheus.exemplars("t_seconds_bucket");
    let [(labels, value)] = &*exemplars else {
        panic!("{exemplars:?}")
    };
    assert_eq!(
        labels["trace_id"],
        json!("4bf92f3577b34da6a3ce929d0e0e4736")
    );
    assert_eq!(value, "0.75");
    // What is gone is gone at once, and not after the five minutes that a value stands for.
    assert!(exporter.remove("g", &[]));
    prometheus.query("absent(g)");
    let report = sinks.shutdown(DEADLINE).await;
    assert!(report.is_complete(), "{report:?}");
}

async fn written_natively(suite: Suite) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut prometheus = Prometheus::written_to(suite, folder, free_port());
    let exporter = Exporter::builder()
        .native_histograms(Matcher::full("n_seconds"), 1.1)
        .exemplars(|| Some([("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")]))
        .build()
        .expect("it can be built");
    let record = || {
        with_local_recorder(&exporter.recorder(), || {
            for value in [0.1, 0.2, 0.3, 0.4, 2.0, -1.0, 0.0] {
                metrics::histogram!("n_seconds", "route" => "a").record(value);
            }
            metrics::histogram!("t_seconds").record(0.75);
        });
    };
    record();
    let sink = remote_write(prometheus.url()).native_histograms();
    let sinks = start(exporter.sinks().sink(sink));
    for (query, value) in [
        (
            "histogram_count(n_seconds{route=\"a\",job=\"orders\"}) == 7",
            7.0,
        ),
        ("histogram_sum(n_seconds) == 2.0", 2.0),
        // One of seven is below zero, and one far above it.
        ("histogram_fraction(-Inf, -0.5, n_seconds) * 7 > 0.99", 1.0),
        ("histogram_fraction(0.5, +Inf, n_seconds) * 7 > 0.99", 1.0),
        // There are classic series only of what is not recorded natively.
        ("t_seconds_count", 1.0),
        ("absent(n_seconds_count)", 1.0),
        ("absent(n_seconds_bucket)", 1.0),
    ] {
        let samples = prometheus.query(query);
        let [(_, found)] = &*samples else {
            panic!("{query}: {samples:?}")
        };
        assert!((found - value).abs() < 0.01, "{query}: {found}");
    }
    // Within a bucket's width of what it is.
    let median = prometheus.query("histogram_quantile(0.5, n_seconds)")[0].1;
    assert!((0.18..=0.22).contains(&median), "{median}");
    assert!(!prometheus.exemplars("n_seconds").is_empty());
    record();
    prometheus.query("histogram_count(n_seconds) == 14");
    assert!(exporter.remove("n_seconds", &[("route", "a")]));
    prometheus.query("absent(n_seconds)");
    let report = sinks.shutdown(DEADLINE).await;
    assert!(report.is_complete(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_2_53_takes_native_histograms() {
    written_natively(Suite::Trixie).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_3_takes_native_histograms() {
    written_natively(Suite::Forky).await;
}

async fn restarted_in_the_middle(suite: Suite) {
    let port = free_port();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut prometheus = Prometheus::written_to(suite, folder, port);
    let exporter = exporter();
    let memory = MemorySink::new();
    let sinks = exporter.sinks().sink(remote_write(prometheus.url()));
    let sinks = start(sinks.sink(&memory));
    let count = |by: u64| {
        with_local_recorder(&exporter.recorder(), || {
            metrics::counter!("n_total").increment(by)
        });
    };
    count(1);
    prometheus.query("n_total == 1");
    let folder = prometheus.kill();
    // Meanwhile some intervals pass, each with a value of its own.
    for _ in 0..5 {
        count(1);
        let before = memory.snapshots().len();
        while memory.snapshots().len() < before + 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let mut prometheus = Prometheus::written_to(suite, folder, port);
    prometheus.query("n_total == 6");
    count(1);
    let report = sinks.shutdown(DEADLINE).await;
    assert!(report.is_complete(), "{report:?}");
    let expected = remembered(&memory, "n_total");
    assert_eq!(history(prometheus.url(), "n_total"), expected);
    assert_eq!(expected.last(), Some(&7.0));
    let lost = |reason| {
        let labels = [("sink", "remote_write"), ("reason", reason)];
        exporter.value("exporter_sink_lost_points_total", &labels)
    };
    assert_eq!([lost("buffer_full"), lost("rejected")], [Some(0.0); 2]);
    let failures = [("sink", "remote_write"), ("reason", "network")];
    assert!(exporter.value("exporter_sink_failures_total", &failures) > Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_2_53_is_written_to() {
    written_to_prometheus(Suite::Trixie).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_3_is_written_to() {
    written_to_prometheus(Suite::Forky).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_2_53_that_dies_and_comes_back_has_every_sample_once() {
    restarted_in_the_middle(Suite::Trixie).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_3_that_dies_and_comes_back_has_every_sample_once() {
    restarted_in_the_middle(Suite::Forky).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn victoria_metrics_is_written_to() {
    let mut victoria = VictoriaMetrics::start();
    let exporter = exporter();
    record(&exporter, 3);
    let sinks = start(exporter.sinks().sink(remote_write(victoria.url())));
    for (series, value) in EXPECTED {
        let samples = victoria.query(series);
        assert_eq!(
            (samples.len(), samples[0].1),
            (1, value),
            "{series}: {samples:?}"
        );
    }
    let report = sinks.shutdown(DEADLINE).await;
    assert!(report.is_complete(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushgateway_has_the_last_push_in_the_group_and_loses_it_on_exit() {
    let mut gateway = Pushgateway::start();
    let exporter = exporter();
    record(&exporter, 3);
    let sink = |job: &str| {
        let sink = exporter::Pushgateway::new(gateway.url(), job).expect("it is a URL");
        sink.group("path", "/var/tmp").expect("it is a label")
    };
    let [stays, goes, empty] = ["stays", "a/b", "empty"].map(sink);
    let empty = empty.group("none", "").expect("it is a label");
    let sinks = exporter
        .sinks()
        .sink(stays)
        .sink(goes.delete_on_exit())
        .sink(empty.add());
    let sinks = start(sinks);
    let group = |job: &str| format!("job=\"{job}\",path=\"/var/tmp\"");
    for job in ["stays", "a/b"] {
        let counter = format!("c_total{{instance=\"\",{},route=\"/\\\"ü\"}}", group(job));
        assert_eq!(gateway.wait_for(&counter), "3");
        let bucket = format!("t_seconds_bucket{{instance=\"\",{},le=\"1\"}}", group(job));
        assert_eq!(gateway.wait_for(&bucket), "1");
    }
    let empty = "g{instance=\"\",job=\"empty\",none=\"\",path=\"/var/tmp\"}";
    assert_eq!(gateway.wait_for(empty), "-2.5");
    record(&exporter, 4);
    let report = sinks.shutdown(DEADLINE).await;
    assert!(report.is_complete(), "{report:?}");
    let page = gateway.page();
    let of = |job: &str| {
        let line = format!("c_total{{instance=\"\",{}", group(job));
        page.lines()
            .find_map(|one| one.strip_prefix(&*line)?.rsplit(' ').next())
    };
    assert_eq!((of("stays"), of("a/b")), (Some("7"), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushgateway_that_is_not_there_yet_gets_the_last_push_once_it_is() {
    let port = free_port();
    let exporter = exporter();
    let url = format!("http://127.0.0.1:{port}");
    let sink = exporter::Pushgateway::new(&url, "late").expect("it is a URL");
    let sinks = start(exporter.sinks().sink(sink));
    record(&exporter, 1);
    let failures = [("sink", "pushgateway"), ("reason", "network")];
    while exporter.value("exporter_sink_failures_total", &failures) < Some(2.0) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut gateway = Pushgateway::at(port);
    record(&exporter, 1);
    assert_eq!(
        gateway.wait_for("c_total{instance=\"\",job=\"late\",route=\"/\\\"ü\"}"),
        "2"
    );
    let report = sinks.shutdown(DEADLINE).await;
    assert!(report.is_complete(), "{report:?}");
}

/// What must be in `VictoriaMetrics` after one [`record`] of 3 that came by OTLP.
fn came_by_otlp(victoria: &mut VictoriaMetrics) {
    for (series, value) in [
        ("c_total{route=\"/\\\"ü\",\"service.name\"=\"orders\"}", 3.0),
        ("g", -2.5),
        ("t_seconds_bucket{le=\"0.5\"}", 0.0),
        ("t_seconds_bucket{le=\"1\"}", 1.0),
        ("t_seconds_bucket{le=\"+Inf\"}", 1.0),
        ("t_seconds_sum", 0.75),
        ("t_seconds_count", 1.0),
        // An exponential histogram is one with ranges there.
        ("n_seconds_count", 1.0),
        ("n_seconds_bucket{vmrange!=\"\"}", 1.0),
    ] {
        let samples = victoria.query(series);
        assert_eq!(
            (samples.len(), samples[0].1),
            (1, value),
            "{series}: {samples:?}"
        );
    }
}

async fn sent_by_otlp(sink: Otlp, victoria: &mut VictoriaMetrics) {
    let exporter = Exporter::builder()
        .buckets(Matcher::full("t_seconds"), [0.5, 1.0])
        .native_histograms(Matcher::full("n_seconds"), 2.0)
        .build()
        .expect("it can be built");
    record(&exporter, 3);
    with_local_recorder(&exporter.recorder(), || {
        metrics::histogram!("n_seconds").record(3.0);
    });
    let sinks = start(exporter.sinks().sink(sink.service_name("orders")));
    came_by_otlp(victoria);
    let report = sinks.shutdown(DEADLINE).await;
    assert!(report.is_complete(), "{report:?}");
    let lost = [("sink", "otlp"), ("reason", "rejected")];
    let lost = exporter.value("exporter_sink_lost_points_total", &lost);
    assert_eq!(lost, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn victoria_metrics_takes_otlp_over_http() {
    let mut victoria = VictoriaMetrics::start();
    let url = format!("{}/opentelemetry", victoria.url());
    let sink = Otlp::http(&url).expect("it is a URL").gzip();
    sent_by_otlp(sink, &mut victoria).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_takes_otlp_over_http() {
    let mut victoria = VictoriaMetrics::start();
    let rotel = Rotel::start(&format!("{}/opentelemetry", victoria.url()));
    let sink = Otlp::http(rotel.http()).expect("it is a URL");
    sent_by_otlp(sink, &mut victoria).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_takes_otlp_over_grpc() {
    let mut victoria = VictoriaMetrics::start();
    let rotel = Rotel::start(&format!("{}/opentelemetry", victoria.url()));
    let sink = Otlp::grpc(rotel.grpc()).expect("it is a URL").gzip();
    sent_by_otlp(sink, &mut victoria).await;
}

/// The sums of what datagrams say of counters, and the last of what they say of gauges, until nobody sends.
fn heard(receiver: &std::net::UdpSocket) -> HashMap<String, f64> {
    receiver
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("it can wait");
    let (mut heard, mut datagram) = (HashMap::new(), vec![0; 65536]);
    while let Ok(length) = receiver.recv(&mut datagram) {
        let text = std::str::from_utf8(&datagram[..length]).expect("it is text");
        for line in text.lines() {
            let (name, rest) = line.split_once(':').expect("it has a value");
            let mut parts = rest.split('|');
            let value: f64 = parts
                .next()
                .and_then(|value| value.parse().ok())
                .expect("a number");
            let kind = parts.next();
            let series = format!("{name}{}", parts.next().unwrap_or_default());
            let entry: &mut f64 = heard.entry(series).or_default();
            *entry = if kind == Some("c") {
                *entry + value
            } else {
                value
            };
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_traffic_through_all_sinks_gives_the_same_numbers_everywhere() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut prometheus = Prometheus::written_to(Suite::Forky, folder, free_port());
    let mut victoria = VictoriaMetrics::start();
    let gateway = Pushgateway::start();
    let agent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = agent.local_addr().expect("an address").to_string();
    let heard = tokio::task::spawn_blocking(move || heard(&agent));

    let exporter = exporter();
    let memory = MemorySink::new();
    let push = exporter::Pushgateway::new(gateway.url(), "all").expect("it is a URL");
    let otlp = format!("{}/opentelemetry", victoria.url());
    let sinks = exporter
        .sinks()
        .sink(&memory)
        .sink(remote_write(prometheus.url()))
        .sink(Otlp::http(&otlp).expect("it is a URL"))
        .sink(push)
        .sink(Statsd::udp(address).expect("it is an address").dogstatsd());
    let sinks = start(sinks);
    for round in 1..=200_u32 {
        with_local_recorder(&exporter.recorder(), || {
            for route in ["a", "b", "c"] {
                metrics::counter!("n_total", "route" => route).increment(round.into());
            }
            metrics::gauge!("g").set(f64::from(round) / 4.0);
            // Sums that floats hold exactly.
            metrics::histogram!("t_seconds").record(f64::from(round % 8) / 4.0);
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let report = sinks.shutdown(DEADLINE).await;
    assert!(report.is_complete(), "{report:?}");

    let heard = heard.await.expect("it is heard");
    let page = gateway.page();
    let last = memory.last().expect("something was sent");
    let Some(Value::Histogram {
        buckets,
        sum,
        count,
    }) = last.get("t_seconds", &[])
    else {
        panic!("{last:?}")
    };
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let mut expected = vec![
        ("n_total", "{route=\"a\"}", "#route:a", 20_100.0),
        ("n_total", "{route=\"b\"}", "#route:b", 20_100.0),
        ("n_total", "{route=\"c\"}", "#route:c", 20_100.0),
        ("g", "", "", 50.0),
        ("t_seconds_sum", "", "", *sum),
        ("t_seconds_count", "", "", *count as f64),
    ];
    for (labels, tag, (_, count)) in [
        ("{le=~\"0.5\"}", "#le:0.5", buckets[0]),
        ("{le=~\"1|1.0\"}", "#le:1.0", buckets[1]),
        ("{le=\"+Inf\"}", "#le:+Inf", buckets[2]),
    ] {
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        expected.push(("t_seconds_bucket", labels, tag, count as f64));
    }
    assert_eq!((*sum, *count), (175.0, 200));
    assert_eq!(
        last.get("n_total", &[("route", "a")]),
        Some(&Value::Counter(20_100.0))
    );
    for (name, labels, tag, value) in expected {
        let series = format!("{name}{labels}");
        // It may take a moment until what was taken is what a query finds.
        let query = format!("{series} == {value}");
        assert_eq!(prometheus.query(&query).len(), 1, "{query}");
        assert_eq!(victoria.query(&query).len(), 1, "{query}");
        assert_eq!(heard.get(&format!("{name}{tag}")), Some(&value), "{series}");
        // The gateway writes bounds in its own way, and labels with its own.
        let label = labels
            .trim_matches(['{', '}'])
            .replace("=~", "=")
            .replace("1|1.0", "1");
        let pushed = page.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('{'))
                && line.contains(&*label)
        });
        let pushed: Vec<f64> = pushed
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        assert_eq!(pushed, [value], "{series}");
    }
}
