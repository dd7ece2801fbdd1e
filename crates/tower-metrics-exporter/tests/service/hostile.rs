//! Scrapers, collectors and labels at their worst, over real connections: the service stays up, its memory is
//! bounded, and the good families arrive.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use http::StatusCode;
use metrics::{counter, histogram, with_local_recorder};
use tokio::{io::AsyncReadExt as _, net::TcpStream};
use tower_metrics_exporter::{
    Collector, Exporter, ExporterBuilder, Format, MetricsService, Samples, collector_fn,
};

use crate::common::{Series, ask, exchange, request, scrape, send, serve, whole};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

fn get(path: &str) -> String {
    GET.replace(" / ", &format!(" {path} "))
}

/// Reads the first byte of its answer, and then nothing.
async fn stalled(address: std::net::SocketAddr) -> TcpStream {
    let mut reader = send(address, GET).await;
    reader.read_exact(&mut [0]).await.unwrap();
    reader
}

/// More than the sockets' buffers take.
const LARGE: usize = 1_000_000;

#[tokio::test]
async fn who_stops_reading_holds_up_nobody_and_gets_the_rest_later() {
    let address = serve(MetricsService::new(Series(LARGE)).max_in_flight(1)).await;
    let mut slow = stalled(address).await;
    for name in ["a", "b"] {
        let other = exchange(address, &get(&format!("/?name[]={name}"))).await;
        assert!(other.starts_with("HTTP/1.1 200 OK\r\n"), "{other}");
    }
    // A byte at a time is a byte at a time.
    for _ in 0..1000 {
        slow.read_exact(&mut [0]).await.unwrap();
    }
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).await.unwrap();
    let end = format!("series{{i=\"{}\"}} 1\n", LARGE - 1);
    assert!(rest.ends_with(end.as_bytes()));
}

#[tokio::test]
async fn pages_that_nobody_reads_to_their_end_are_bounded_and_their_places_come_back() {
    let service = MetricsService::new(Series(LARGE)).max_pages(2);
    let address = serve(service.clone()).await;
    let first = stalled(address).await;
    let second = stalled(address).await;
    let refused = exchange(address, GET).await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    assert!(refused.ends_with("2 other pages are still being read; try again later\n"));
    // The server gives a connection up, here because its client does.
    drop(first);
    let mut answer = refused;
    for _ in 0..10_000 {
        answer = exchange(address, &get("/?name[]=a")).await;
        if answer.starts_with("HTTP/1.1 200 ") {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    drop(second);
}

// ===== Collectors =====

/// Hangs until it is let go.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn pass(&self) {
        let (is_open, opened) = &*self.0;
        let is_open = is_open.lock().unwrap_or_else(PoisonError::into_inner);
        drop(opened.wait_while(is_open, |is_open| !*is_open));
    }

    fn open(&self) {
        let (is_open, opened) = &*self.0;
        *is_open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        opened.notify_all();
    }
}

/// So that what hangs comes to its end with the test.
impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

/// One that hangs, one that panics, one that is good; and what is recorded.
fn exporter(hangs: impl Collector) -> Exporter {
    let builder: ExporterBuilder = Exporter::builder()
        .collector(hangs)
        .collector(collector_fn("panics", |samples: &mut Samples| {
            samples.gauge("half", "").value(1.0);
            assert_eq!(samples.get("half", &[]), None, "as it should");
        }))
        .collector(collector_fn("good", |samples: &mut Samples| {
            samples.gauge("collected", "").value(1.0);
        }));
    let exporter = builder.build().unwrap();
    with_local_recorder(&exporter.recorder(), || {
        counter!("recorded_total").increment(1);
    });
    exporter
}

#[tokio::test]
async fn a_collector_that_hangs_and_one_that_panics_cost_the_others_nothing() {
    let gate = Gate::default();
    let hung = gate.clone();
    let hangs = collector_fn("hangs", move |samples: &mut Samples| {
        hung.pass();
        samples.gauge("late", "").value(1.0);
    });
    // Nobody waits for it at all.
    let exporter = exporter(hangs.blocking().budget(std::time::Duration::ZERO));
    let address = serve(exporter.service()).await;
    for round in 1..=3 {
        let answer = exchange(address, &get("/metrics")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        for line in [
            "recorded_total 1\n",
            "collected 1\n",
            "exporter_collector_stale_seconds{collector=\"good\"} 0\n",
            &format!(
                "exporter_collector_errors_total{{collector=\"hangs\",reason=\"timeout\"}} {round}\n"
            ),
            &format!(
                "exporter_collector_errors_total{{collector=\"panics\",reason=\"panic\"}} {round}\n"
            ),
        ] {
            assert!(answer.contains(line), "no {line} in {answer}");
        }
        assert!(!answer.contains("\nhalf ") && !answer.contains("\nlate "));
    }
    assert_eq!(exporter.stop_collectors(), ["hangs"]);
    gate.open();
    for _ in 0..1_000_000 {
        if exporter.stop_collectors().is_empty() {
            break;
        }
        std::thread::yield_now();
    }
    assert!(exporter.stop_collectors().is_empty());
    // What it gave at last is shown.
    let answer = exchange(address, &get("/metrics")).await;
    assert!(answer.contains("\nlate 1\n"), "{answer}");
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn one_that_hangs_without_having_said_so_costs_its_scrape_and_no_more() {
    let gate = Gate::default();
    let hung = gate.clone();
    let exporter = exporter(collector_fn("hangs", move |_: &mut Samples| hung.pass()));
    let service = exporter.service();
    for _ in 0..20 {
        let late = scrape(&service, &[("x-prometheus-scrape-timeout-seconds", "0.01")]).await;
        assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    // What is recorded is recorded, and can be read.
    with_local_recorder(&exporter.recorder(), || {
        counter!("recorded_total").increment(1);
    });
    assert_eq!(exporter.value("recorded_total", &[]), Some(2.0));
    gate.open();
    let page = scrape(&service, &[]).await;
    assert_eq!(page.status(), StatusCode::OK);
    let page = String::from_utf8(page.into_body().into()).unwrap();
    assert!(page.contains("recorded_total 2\n"), "{page}");
    let late = "exporter_scrapes_total{code=\"503\",format=\"text\"} 20\n";
    assert!(page.contains(late), "{page}");
    // They all waited for the one that hung; the last may have come a moment later.
    let renders = exporter.value("exporter_scrape_duration_seconds_count", &[]);
    assert!(renders <= Some(2.0), "{renders:?}");
}

// ===== Labels =====

#[tokio::test]
async fn labels_at_their_worst_are_on_a_small_page_with_the_good_families() {
    let exporter = Exporter::builder()
        .collector(collector_fn("c", |samples: &mut Samples| {
            let mut family = samples.gauge("collected", "");
            family.sample([("v", &*"x".repeat(10_000_000))], 1.0);
            family.sample([("v", "good")], 1.0);
        }))
        .build()
        .unwrap();
    with_local_recorder(&exporter.recorder(), || {
        counter!("recorded_total", "v" => "x".repeat(10_000_000)).increment(1);
        for value in 0..20_000 {
            histogram!("many_seconds", "v" => value.to_string()).record(1.0);
        }
        counter!("recorded_total", "v" => "good").increment(1);
    });
    let service = exporter.service();
    for format in Format::ALL {
        let page = scrape(&service, &[("accept", format.content_type())]).await;
        assert_eq!(page.status(), StatusCode::OK);
        // Ten thousand histograms of fifteen buckets, whatever the labels.
        assert!(page.body().len() < 15_000_000, "{}", page.body().len());
    }
    let request = request(
        http::Method::GET,
        "/?name[]=recorded_total&name[]=collected",
        &[],
    );
    let page = whole(ask(&service, request).await).await;
    let expected = "# TYPE collected gauge\ncollected{v=\"good\"} 1\n\
                    # TYPE recorded_total counter\nrecorded_total{v=\"good\"} 1\n\
                    recorded_total{otel_metric_overflow=\"true\"} 1\n";
    assert_eq!(page.body(), expected);
    let errors = scrape(&service, &[]).await;
    let errors = String::from_utf8(errors.into_body().into()).unwrap();
    for line in [
        "exporter_collector_errors_total{collector=\"c\",reason=\"label_too_long\"} ",
        "exporter_series_rejected_total{reason=\"label_too_long\"} 1\n",
        "exporter_series_overflow_total{family=\"many_seconds\"} 10000\n",
    ] {
        assert!(errors.contains(line), "no {line}");
    }
}
