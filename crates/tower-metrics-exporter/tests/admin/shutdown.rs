use std::{
    future::pending,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Handle,
    task::JoinSet,
    time::{Instant, timeout},
};
use tower_metrics_exporter::{
    AdminServer, AdminService, Exporter, HealthHandle, MetricsService, Operations,
    OperationsBuilder, Samples, collector_fn,
};

use crate::common::{LONG, Slow, exchange, exporter, listen, request, rest, send};

const SECOND: Duration = Duration::from_secs(1);

fn operations(
    server: AdminServer,
    exporter: &Exporter,
    health: &HealthHandle,
) -> OperationsBuilder {
    let admin = AdminService::new(exporter).health(health.service());
    Operations::builder(health)
        .exporter(exporter)
        .admin(server, admin)
}

async fn status(address: SocketAddr, path: &str) -> Option<String> {
    let answer = exchange(address, &request(path, "")).await;
    Some(answer.get(9..12)?.to_owned())
}

#[tokio::test]
async fn readiness_is_off_before_the_listener_closes_and_a_last_scrape_is_waited_for() {
    let (exporter, health) = exporter();
    let server = listen().await;
    let address = server.local_addr();
    let operations = operations(server, &exporter, &health)
        .linger(LONG)
        .start(&Handle::current());
    assert_eq!(status(address, "/readyz").await.as_deref(), Some("200"));
    // One from before is not the last.
    assert_eq!(status(address, "/metrics").await.as_deref(), Some("200"));
    let shutdown = tokio::spawn(operations.shutdown(10 * LONG));
    while status(address, "/readyz").await.as_deref() != Some("503") {}
    assert_eq!(status(address, "/livez").await.as_deref(), Some("200"));
    assert!(!shutdown.is_finished());
    let page = exchange(address, &request("/metrics", "")).await;
    assert!(
        page.contains("health_probe_up{probe=\"ready\"} 0\n"),
        "{page}"
    );
    let report = timeout(LONG, shutdown).await.unwrap().unwrap();
    assert!(report.is_clean(), "{report}");
    assert!(report.was_scraped());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn grace_and_linger_take_no_more_than_half_of_the_time() {
    let (exporter, health) = exporter();
    for (grace, linger, expected) in [
        (2 * SECOND, Duration::ZERO, 2 * SECOND),
        (Duration::ZERO, 3 * SECOND, 3 * SECOND),
        (SECOND, 2 * SECOND, 2 * SECOND),
        (20 * SECOND, Duration::MAX, 5 * SECOND),
        (Duration::ZERO, Duration::ZERO, Duration::ZERO),
    ] {
        let operations = operations(listen().await, &exporter, &health)
            .grace(grace)
            .linger(linger)
            .start(&Handle::current());
        let report = operations.shutdown(10 * SECOND).await;
        assert!(report.is_clean() && !report.was_scraped(), "{report}");
        assert_eq!(report.took().as_secs(), expected.as_secs());
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_listens_no_scrape_is_waited_for() {
    let (exporter, health) = exporter();
    let operations = Operations::builder(&health)
        .exporter(&exporter)
        .linger(LONG)
        .start(&Handle::current());
    let report = operations.shutdown(10 * LONG).await;
    assert!(report.is_clean() && !report.was_scraped(), "{report}");
    assert_eq!(report.took().as_secs(), 0);
}

#[tokio::test]
async fn what_is_being_answered_is_finished_and_who_asks_nothing_is_not_waited_for() {
    let (exporter, health) = exporter();
    let slow = Arc::new(Slow::default());
    let admin = AdminService::new(&exporter)
        .health(health.service())
        .metrics(MetricsService::new(Arc::clone(&slow)).timeout(LONG));
    let server = listen().await.header_timeout(60 * LONG);
    let address = server.local_addr();
    let operations = Operations::builder(&health)
        .admin(server, admin)
        .start(&Handle::current());
    // One that says nothing, one that has begun, one that was served before.
    let mut silent = vec![
        send(address, "").await,
        send(address, "GET /readyz HTTP/1.1\r\nhost: local").await,
        send(address, "GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").await,
    ];
    silent[2].read_exact(&mut [0; 15]).await.unwrap();
    let mut scrape = send(address, &request("/metrics", "")).await;
    slow.is_asked().await;
    let shutdown = tokio::spawn(operations.shutdown(60 * LONG));
    for silent in &mut silent {
        drop(rest(silent).await);
    }
    assert!(!shutdown.is_finished());
    slow.release();
    let page = rest(&mut scrape).await;
    assert!(page.ends_with("\r\n\r\nslow 1\n"), "{page}");
    let report = timeout(LONG, shutdown).await.unwrap().unwrap();
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn what_is_not_done_by_the_deadline_is_broken_off_and_told() {
    let slow = Arc::new(Slow::default());
    let stuck = Arc::clone(&slow);
    let collector = collector_fn("disk", move |_: &mut Samples| {
        tower_metrics_exporter::Source::encode(
            &stuck,
            tower_metrics_exporter::Format::Text,
            &tower_metrics_exporter::Filter::default(),
            &mut Vec::new(),
        );
    });
    let exporter = Exporter::builder()
        .collector(collector.blocking().budget(60 * LONG))
        .build()
        .unwrap();
    let health = HealthHandle::builder()
        .recorder(exporter.recorder())
        .build();
    let server = listen().await;
    let address = server.local_addr();
    let operations = operations(server, &exporter, &health)
        .flush("log", |_| async { Ok::<_, String>(()) })
        .flush("otlp", |_| pending::<Result<(), String>>())
        .flush("statsd", |_| async { Err("the socket is gone") })
        .flush("queue", |_| async {
            panic!("as it should") as Result<(), String>
        })
        .flush("early", |left| -> std::future::Ready<Result<(), String>> {
            panic!("{}", left > LONG)
        })
        .start(&Handle::current());
    let mut scrape = send(address, &request("/metrics", "")).await;
    slow.is_asked().await;
    let report = operations.shutdown(Duration::from_millis(50)).await;
    assert!(!report.is_clean());
    assert_eq!(report.broken_off(), 1);
    assert_eq!(report.stuck_collectors(), ["disk"]);
    let flushes: Vec<_> = report
        .flushes()
        .iter()
        .map(|flush| (flush.name(), flush.failure()))
        .collect();
    assert_eq!(
        flushes,
        [
            ("log", None),
            ("otlp", Some("it was not done in time")),
            ("statsd", Some("the socket is gone")),
            ("queue", Some("it panicked: as it should")),
            ("early", Some("it panicked: false")),
        ]
    );
    let line = report.to_string();
    assert!(
        line.ends_with(
            ": admin connections broken off: 1; `otlp` was not flushed: it was not done in time; \
             `statsd` was not flushed: the socket is gone; `queue` was not flushed: it panicked: as \
             it should; `early` was not flushed: it panicked: false; the collector `disk` is stuck"
        ),
        "{line}"
    );
    // Nothing of it goes on.
    assert_eq!(rest(&mut scrape).await, "");
    assert!(TcpStream::connect(address).await.is_err());
    slow.release();
}

#[tokio::test(start_paused = true)]
async fn what_is_flushed_has_time_to_say_what_it_did_not_do() {
    let (_, health) = exporter();
    for within in [Duration::from_millis(50), SECOND, 100 * SECOND] {
        let operations = Operations::builder(&health)
            .flush("sink", |left| async move {
                tokio::time::sleep(left).await;
                Err::<(), _>("one of three batches is lost")
            })
            .start(&Handle::current());
        let report = operations.shutdown(within).await;
        let failure = report.flushes()[0].failure();
        assert_eq!(failure, Some("one of three batches is lost"));
        assert!(report.took() < within);
    }
}

#[tokio::test]
async fn dropped_it_breaks_off_what_it_runs() {
    let (exporter, health) = exporter();
    let flushed = Arc::new(AtomicUsize::new(0));
    let server = listen().await;
    let address = server.local_addr();
    let operations = operations(server, &exporter, &health)
        .flush("log", {
            let flushed = Arc::clone(&flushed);
            move |_| async move {
                flushed.fetch_add(1, Ordering::SeqCst);
                Ok::<_, String>(())
            }
        })
        .start(&Handle::current());
    let mut open = send(address, "GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    open.read_exact(&mut [0; 15]).await.unwrap();
    drop(operations);
    drop(rest(&mut open).await);
    assert!(TcpStream::connect(address).await.is_err());
    // What was to be flushed is given up, and let go.
    assert_eq!(Arc::strong_count(&flushed), 1);
    assert_eq!(flushed.load(Ordering::SeqCst), 0);
}

/// Asks again and again until there is nobody to ask, and gives how many pages there were.
async fn load(address: SocketAddr, is_over: Arc<AtomicBool>) -> usize {
    let mut pages = 0;
    // Another's listener may have the port once it is free.
    while !is_over.load(Ordering::SeqCst) {
        let Ok(mut connection) = TcpStream::connect(address).await else {
            break;
        };
        let text = request("/metrics", "");
        if connection.write_all(text.as_bytes()).await.is_err() {
            continue;
        }
        let answer = rest(&mut connection).await;
        // One that was not taken has no answer, and one that has an answer has a whole one.
        if !answer.is_empty() {
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            let length = answer.split("content-length: ").nth(1).unwrap();
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            let body = answer.split("\r\n\r\n").nth(1).unwrap();
            assert_eq!(body.len(), length);
            pages += 1;
        }
    }
    pages
}

/// A sink among what is flushed.
#[cfg(feature = "sinks")]
fn with_sinks(
    operations: OperationsBuilder,
    exporter: &Exporter,
) -> (OperationsBuilder, tower_metrics_exporter::MemorySink) {
    let memory = tower_metrics_exporter::MemorySink::new();
    let sinks = exporter.sinks().sink(&memory).start().unwrap();
    let flush = |left| async move { sinks.shutdown(left).await.into_result() };
    (operations.flush("memory", flush), memory)
}

/// What it was given last.
#[cfg(feature = "sinks")]
fn jobs(memory: &tower_metrics_exporter::MemorySink) -> Option<u64> {
    use tower_metrics_exporter::Value;
    let last = memory.last()?;
    let Some(Value::Counter(jobs)) = last.get("jobs_total", &[]) else {
        return None;
    };
    // As the display of a whole float is that of the number.
    jobs.to_string().parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_a_thousand_times_it_ends_by_its_deadline() {
    const CLIENTS: usize = 4;

    let mut pages = 0;
    for round in 0..1_000 {
        let (exporter, health) = exporter();
        let server = listen().await;
        let address = server.local_addr();
        let flushed = Arc::new(AtomicUsize::new(0));
        let operations = operations(server, &exporter, &health).flush("sink", {
            let flushed = Arc::clone(&flushed);
            move |_| async move {
                tokio::task::yield_now().await;
                flushed.fetch_add(1, Ordering::SeqCst);
                Ok::<_, String>(())
            }
        });
        #[cfg(feature = "sinks")]
        let (operations, memory) = with_sinks(operations, &exporter);
        // Every tenth has a sink that hangs, and one that blocks a worker for a while.
        let is_sick = round % 10 == 0;
        let operations = if is_sick {
            operations
                .flush("hangs", |_| pending::<Result<(), String>>())
                .flush("blocks", |_| async {
                    std::thread::sleep(Duration::from_millis(30));
                    pending::<Result<(), String>>().await
                })
        } else {
            operations
        };
        let operations = operations.start(&Handle::current());
        let is_over = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(load(address, Arc::clone(&is_over)));
        }
        // At another moment each time.
        for _ in 0..round % 50 {
            tokio::task::yield_now().await;
        }
        metrics::with_local_recorder(&exporter.recorder(), || {
            metrics::counter!("jobs_total").increment(round);
        });
        let within = if is_sick {
            Duration::from_millis(20)
        } else {
            LONG
        };
        let start = Instant::now();
        // What hangs would do so for ever: that it ends at all is what is to be shown.
        let report = timeout(2 * LONG, operations.shutdown(within))
            .await
            .unwrap();
        is_over.store(true, Ordering::SeqCst);
        if is_sick {
            let late = Some("it was not done in time");
            let sick = report.flushes().iter();
            let mut sick = sick.filter(|flush| matches!(flush.name(), "hangs" | "blocks"));
            assert!(sick.all(|flush| flush.failure() == late), "{report}");
            assert!(start.elapsed() >= within);
        } else {
            // Nothing of the last interval is lost.
            assert!(report.is_clean(), "{report}");
            assert_eq!(flushed.load(Ordering::SeqCst), 1);
            #[cfg(feature = "sinks")]
            assert_eq!(jobs(&memory), Some(3 + round));
        }
        pages += clients.join_all().await.into_iter().sum::<usize>();
    }
    assert!(pages > 0);
}
