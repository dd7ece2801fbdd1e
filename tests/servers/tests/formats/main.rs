//! The exporter's three formats, read by real Prometheus servers and by parsers of others.

mod parsers;
mod recorded;

use std::{collections::BTreeMap, thread};

use axum::Router;
use metrics::{counter, gauge, histogram, with_local_recorder};
use server_tests::{Prometheus, Suite};
use tower_metrics_exporter::{Exporter, Format, Matcher, Samples, collector_fn};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Something of everything, with what is hard to write.
fn exporter() -> Exporter {
    let bounds = [0.0, 1e-5, 0.25, 1.0, 100_000.0, 1e6, 1_048_576.0, 1.5e21];
    let exporter = Exporter::builder()
        .buckets(Matcher::suffix("_bytes"), bounds)
        .native_histograms(Matcher::full("demo_wait_seconds"), 1.1)
        .global_label("region", "eu \"west\" \\ 1")
        .exemplars(|| Some([("trace_id", TRACE)]))
        .collector(collector_fn("demo", |samples: &mut Samples| {
            let mut read = samples.counter("demo_read_bytes_total", "Read.");
            read.unit("bytes").value(0.25);
            let mut free = samples.gauge("demo_free_bytes", "Free.");
            free.unit("bytes").sample([("job_", "\n\"")], 1.5);
        }))
        .build();
    let exporter = exporter.expect("the buckets can be used");
    with_local_recorder(&exporter.recorder(), || {
        counter!("demo_requests_total", "path" => "/größe\n\\n\"", "empty" => "").increment(7);
        counter!("demo_requests_total", "le" => "1", "quantile" => "0.5").increment(1 << 60);
        counter!("demo_plain").increment(2);
        // A whole target is down if it sees either of these as others write them.
        counter!("demo_sent_bytes_total", "x.y" => "1", "x-y" => "2").increment(3);
        // Beside a counter that OpenMetrics would call by the same name.
        gauge!("demo_requests").set(3.0);
        for (kind, value) in [
            ("nan", f64::NAN),
            ("inf", f64::NEG_INFINITY),
            ("tiny", 1e-300),
            ("half", -0.5),
        ] {
            gauge!("demo_level", "kind" => kind).set(value);
        }
        for value in [0.0, 1e-7, 0.2, 1.0, 65_536.0, 1e6, 1e20, 1e300] {
            histogram!("demo_size_bytes").record(value);
        }
        for value in 1..=40 {
            histogram!("demo_wait_seconds", "queue" => "a").record(f64::from(value) * 0.025);
        }
    });
    exporter
}

/// Serves it until the process ends, and says where.
fn serve(exporter: &Exporter) -> String {
    let app = Router::new().route_service("/metrics", exporter.service());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
    });
    url
}

/// The series of a job, without what tells the jobs apart, and their values.
fn series(prometheus: &mut Prometheus, job: &str) -> BTreeMap<String, String> {
    // A series that came as a native histogram is asked for by functions.
    let query = format!("{{job=\"{job}\",__name__=~\"demo_.+\",__name__!=\"demo_wait_seconds\"}}");
    let samples = prometheus
        .query(&query)
        .into_iter()
        .map(|(mut labels, value)| {
            labels.as_object_mut().unwrap().remove("job");
            // As text, for NaN is not equal to itself.
            (labels.to_string(), value.to_string())
        });
    samples.collect()
}

fn the_same_in_every_format(suite: Suite) {
    let exporter = exporter();
    let mut prometheus = Prometheus::in_all_formats(suite, &serve(&exporter));
    let text = series(&mut prometheus, "text");
    // Four counters, a gauge, four of one name; 8 + 3 and 15 + 2 lines of histograms; two that are collected.
    assert_eq!(text.len(), 4 + 1 + 4 + 11 + 17 + 2, "{text:#?}");
    for label in [
        r#""le":"1e+06""#,
        r#""le":"1.0""#,
        r#""le":"1.048576e+06""#,
        r#""exported_le":"1""#,
    ] {
        assert!(
            text.keys().any(|labels| labels.contains(label)),
            "{label} in {text:#?}"
        );
    }
    assert!(
        text.keys()
            .all(|labels| labels.contains(r#""region":"eu \"west\" \\ 1""#))
    );
    for other in ["openmetrics", "protobuf"] {
        assert_eq!(series(&mut prometheus, other), text, "{other}");
    }
    for format in Format::ALL {
        let labels = [("format", format.as_str()), ("code", "200")];
        let scrapes = exporter.value("exporter_scrapes_total", &labels);
        assert!(scrapes > Some(0.0), "{format}");
    }
    // Native in protobuf, classic in all.
    let count = prometheus.query("histogram_count(demo_wait_seconds{job=\"protobuf\"})");
    assert_eq!(count[0].1, 40.0);
    let median = prometheus.query("histogram_quantile(0.5, demo_wait_seconds{job=\"protobuf\"})");
    assert!((0.45..0.56).contains(&median[0].1), "{median:?}");
    // It began at zero, when it was created, before anybody scraped.
    for (job, least) in [("text", 2.0), ("protobuf", 0.0)] {
        let first = prometheus.query(&format!("min_over_time(demo_plain{{job=\"{job}\"}}[1h])"));
        assert_eq!(first[0].1, least, "{job}");
    }
    for job in ["openmetrics", "protobuf"] {
        let exemplars = prometheus.exemplars(&format!("demo_wait_seconds_bucket{{job=\"{job}\"}}"));
        assert!(
            exemplars
                .iter()
                .all(|(labels, _)| labels["trace_id"] == TRACE),
            "{exemplars:?}"
        );
    }
}

#[test]
fn prometheus_2_53_sees_the_same_series_in_every_format() {
    the_same_in_every_format(Suite::Trixie);
}

#[test]
fn prometheus_3_sees_the_same_series_in_every_format() {
    the_same_in_every_format(Suite::Forky);
}

#[test]
fn promtool_has_nothing_to_say_but_about_names() {
    let page = exporter().render();
    for suite in Suite::ALL {
        let said = server_tests::promtool_check_metrics(suite, &page);
        let said = String::from_utf8_lossy(&said.stderr).into_owned()
            + &String::from_utf8_lossy(&said.stdout);
        // The names are this test's own: a counter without `_total`, and nothing that describes them.
        let others = said
            .lines()
            .filter(|line| !line.contains("no help text") && !line.contains("demo_plain"));
        assert_eq!(others.collect::<Vec<_>>(), Vec::<&str>::new());
    }
}
