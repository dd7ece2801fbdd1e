#![expect(clippy::float_cmp, reason = "counts, which floats hold exactly")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;

use super::*;
use crate::sink::{Frame, Keeps, SendFuture, failure::Reason};

/// A server that does as it is told.
#[derive(Clone, Debug, Default)]
struct Server {
    taken: Arc<Mutex<Vec<u64>>>,
    attempts: Arc<AtomicUsize>,
    is_down: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
    refuses: Arc<AtomicBool>,
    /// Takes payloads, but for this many of their points.
    rejects: Arc<AtomicUsize>,
    panics: Arc<AtomicBool>,
    hangs_at_end: Arc<AtomicBool>,
    asks_for: Arc<Mutex<Option<Duration>>>,
    closed: Arc<AtomicBool>,
}

/// Each payload is one point, and its number.
struct Numbered {
    next: u64,
    length: usize,
}

impl Encoder for Numbered {
    fn encode(&mut self, _: &Arc<Frame>) -> Vec<Payload> {
        self.next += 1;
        let mut body = self.next.to_le_bytes().to_vec();
        body.resize(self.length.max(8), 0);
        vec![Payload {
            body: Bytes::from(body),
            points: 1,
        }]
    }
}

impl Sender for Server {
    fn send<'a>(&'a mut self, payload: &'a Payload) -> SendFuture<'a> {
        Box::pin(async {
            self.attempts.fetch_add(1, Ordering::Relaxed);
            assert!(!self.panics.load(Ordering::Relaxed), "it panics");
            if self.hangs.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            let asked = self.asks_for.lock().unwrap().take();
            if let Some(after) = asked {
                return Err(Failure {
                    reason: Reason::Throttled,
                    retry: Retry::After(after),
                    text: String::from("later"),
                });
            }
            let (retry, reason) = if self.is_down.load(Ordering::Relaxed) {
                (Retry::Later, Reason::Network)
            } else if self.refuses.load(Ordering::Relaxed) {
                (Retry::Never, Reason::Refused)
            } else {
                let number = u64::from_le_bytes(payload.body[..8].try_into().unwrap());
                self.taken.lock().unwrap().push(number);
                return Ok(Sent {
                    rejected: self.rejects.load(Ordering::Relaxed) as u64,
                    why: Some(String::from("too old")),
                });
            };
            Err(Failure {
                reason,
                retry,
                text: String::from("no"),
            })
        })
    }

    fn close(&mut self) -> SendFuture<'_> {
        self.closed.store(true, Ordering::Relaxed);
        Box::pin(async {
            if self.hangs_at_end.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            Ok(Sent::default())
        })
    }
}

impl Server {
    fn sink(&self, keeps: Keeps, length: usize, buffer: usize) -> Sink {
        Sink {
            name: "fake",
            keeps,
            buffer,
            timeout: Duration::from_secs(10),
            encoder: Box::new(Numbered { next: 0, length }),
            sender: Box::new(self.clone()),
        }
    }

    fn all(&self) -> Sink {
        self.sink(Keeps::All, 8, 1 << 20)
    }

    fn taken(&self) -> Vec<u64> {
        self.taken.lock().unwrap().clone()
    }

    /// Waits for it, in the time of the test.
    async fn has_taken(&self, count: usize) {
        while self.taken().len() < count {
            sleep(Duration::from_millis(50)).await;
        }
    }
}

const INTERVAL: Duration = Duration::from_secs(10);

fn exporter() -> Exporter {
    Exporter::builder().build().unwrap()
}

fn start(exporter: &Exporter, sinks: impl IntoIterator<Item = Sink>) -> SinksHandle {
    let all = exporter.sinks().interval(INTERVAL);
    let all = sinks.into_iter().fold(all, Sinks::sink);
    all.start().unwrap()
}

fn lost(exporter: &Exporter, reason: &str) -> f64 {
    let labels = [("sink", "fake"), ("reason", reason)];
    exporter
        .value("exporter_sink_lost_points_total", &labels)
        .unwrap()
}

fn failures(exporter: &Exporter, reason: &str) -> f64 {
    let labels = [("sink", "fake"), ("reason", reason)];
    exporter
        .value("exporter_sink_failures_total", &labels)
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn everything_is_sent_at_intervals_and_once_more_at_the_end() {
    let (exporter, server) = (exporter(), Server::default());
    let sinks = start(&exporter, [server.all()]);
    server.has_taken(3).await;
    let report = sinks.shutdown(Duration::from_secs(1)).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(server.taken(), [1, 2, 3, 4]);
    assert!(server.closed.load(Ordering::Relaxed));
    let points = exporter.value("exporter_sink_points_total", &[("sink", "fake")]);
    assert_eq!(points, Some(4.0));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_sent_is_sent_later_in_order_and_once() {
    let (exporter, server) = (exporter(), Server::default());
    server.is_down.store(true, Ordering::Relaxed);
    let sinks = start(&exporter, [server.all()]);
    sleep(INTERVAL * 5).await;
    assert_eq!(server.taken(), [0; 0]);
    server.is_down.store(false, Ordering::Relaxed);
    server.has_taken(5).await;
    let report = sinks.shutdown(Duration::from_secs(1)).await;
    assert!(report.is_complete(), "{report:?}");
    let taken = server.taken();
    assert!(
        taken.iter().copied().eq(1..=taken.len() as u64),
        "{taken:?}"
    );
    assert_eq!(lost(&exporter, "buffer_full"), 0.0);
    assert!(failures(&exporter, "network") > 2.0);
}

#[tokio::test(start_paused = true)]
async fn a_long_outage_costs_the_oldest_and_they_are_counted() {
    let (exporter, server) = (exporter(), Server::default());
    server.is_down.store(true, Ordering::Relaxed);
    // Room for four.
    let sinks = start(&exporter, [server.sink(Keeps::All, 100, 400)]);
    sleep(INTERVAL * 20).await;
    let bytes = exporter.value("exporter_sink_queue_bytes", &[("sink", "fake")]);
    assert_eq!(bytes, Some(400.0));
    server.is_down.store(false, Ordering::Relaxed);
    server.has_taken(5).await;
    let report = sinks.shutdown(Duration::from_secs(1)).await;
    assert!(report.is_complete(), "{report:?}");
    let taken = server.taken();
    let last = *taken.last().unwrap();
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let missing = last as f64 - taken.len() as f64;
    assert!(missing > 10.0, "{taken:?}");
    assert_eq!(lost(&exporter, "buffer_full"), missing);
}

#[tokio::test(start_paused = true)]
async fn where_the_latest_counts_nothing_older_is_sent_and_nothing_is_lost() {
    let (exporter, server) = (exporter(), Server::default());
    server.is_down.store(true, Ordering::Relaxed);
    let sinks = start(&exporter, [server.sink(Keeps::Latest, 8, 1 << 20)]);
    sleep(INTERVAL * 10).await;
    server.is_down.store(false, Ordering::Relaxed);
    server.has_taken(1).await;
    assert!(server.taken()[0] >= 9, "{:?}", server.taken());
    assert!(sinks.shutdown(Duration::from_secs(1)).await.is_complete());
    for reason in ["buffer_full", "rejected", "shutdown"] {
        assert_eq!(lost(&exporter, reason), 0.0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_given_up_and_counted_and_the_next_is_sent() {
    let (exporter, server) = (exporter(), Server::default());
    server.refuses.store(true, Ordering::Relaxed);
    let sinks = start(&exporter, [server.all()]);
    while server.attempts.load(Ordering::Relaxed) < 3 {
        sleep(Duration::from_secs(1)).await;
    }
    server.refuses.store(false, Ordering::Relaxed);
    server.has_taken(1).await;
    assert_eq!(server.taken(), [4]);
    assert_eq!(lost(&exporter, "rejected"), 3.0);
    // What was lost before is not of the end.
    let report = sinks.shutdown(Duration::from_secs(1)).await;
    assert!(report.is_complete(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_at_the_end_is_told_of_although_it_is_in_time() {
    let (exporter, server) = (exporter(), Server::default());
    let sinks = start(&exporter, [server.all()]);
    server.has_taken(2).await;
    server.refuses.store(true, Ordering::Relaxed);
    let report = sinks.shutdown(Duration::from_secs(1)).await;
    assert!(!report.is_complete(), "{report:?}");
    let sink = &report.sinks[0];
    let lost = (sink.unsent, sink.rejected, sink.buffer_full, sink.is_late);
    assert_eq!(lost, (0, 1, 0, false));
    assert_eq!(sink.to_string(), "fake: 1 samples were rejected: no");
}

#[tokio::test(start_paused = true)]
async fn what_is_rejected_of_the_last_that_is_taken_is_told_of() {
    let (exporter, server) = (exporter(), Server::default());
    server.rejects.store(1, Ordering::Relaxed);
    let sinks = start(&exporter, [server.all()]);
    server.has_taken(2).await;
    let report = sinks.shutdown(Duration::from_secs(1)).await;
    assert!(!report.is_complete(), "{report:?}");
    // Not those of before.
    assert_eq!(report.sinks[0].rejected, 1);
    assert_eq!(lost(&exporter, "rejected"), 3.0);
    let error = report.into_result().unwrap_err().to_string();
    assert!(error.ends_with(" rejected 1 samples: too old"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_no_buffer_has_room_for_is_told_of_at_the_end() {
    let (exporter, server) = (exporter(), Server::default());
    let sinks = start(&exporter, [server.sink(Keeps::All, 100, 99)]);
    let report = sinks.shutdown(Duration::from_secs(1)).await;
    assert_eq!(server.taken(), [0; 0]);
    let sink = &report.sinks[0];
    assert_eq!((sink.buffer_full, sink.is_complete()), (1, false));
    let text = "fake: 1 samples had no room in the buffer";
    assert_eq!(sink.to_string(), text);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_comes_late_is_late_although_everything_was_sent() {
    let (exporter, server) = (exporter(), Server::default());
    server.hangs_at_end.store(true, Ordering::Relaxed);
    let sinks = start(&exporter, [server.all()]);
    let report = sinks.shutdown(Duration::from_secs(1)).await;
    assert_eq!(server.taken(), [1]);
    let sink = &report.sinks[0];
    assert!(sink.is_late && !sink.is_complete(), "{sink:?}");
    let text = "fake: not everything was done: the deadline came first";
    assert_eq!(sink.to_string(), text);
}

/// Reads nothing.
struct Panics;

impl Encoder for Panics {
    fn encode(&mut self, _: &Arc<Frame>) -> Vec<Payload> {
        panic!("nothing can be read")
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_told_of_wherever_it_was() {
    let (exporter, server) = (exporter(), Server::default());
    server.panics.store(true, Ordering::Relaxed);
    let sinks = start(&exporter, [server.all()]);
    let report = sinks.shutdown(Duration::from_secs(1)).await;
    let text = "fake: 1 samples were not sent: what sends to it panicked";
    assert_eq!(report.sinks[0].to_string(), text);

    let mut sink = Server::default().all();
    sink.encoder = Box::new(Panics);
    let report = start(&exporter, [sink])
        .shutdown(Duration::from_secs(1))
        .await;
    assert!(!report.is_complete(), "{report:?}");
    let error = report.into_result().unwrap_err().to_string();
    assert!(error.contains("could not be read"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_time_gets_it() {
    let (exporter, server) = (exporter(), Server::default());
    *server.asks_for.lock().unwrap() = Some(Duration::from_secs(120));
    let sinks = start(&exporter, [server.all()]);
    while server.attempts.load(Ordering::Relaxed) < 1 {
        sleep(Duration::from_millis(10)).await;
    }
    let asked = Instant::now();
    server.has_taken(1).await;
    assert!(Instant::now() - asked >= Duration::from_secs(119));
    assert_eq!(failures(&exporter, "throttled"), 1.0);
    drop(sinks);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_holds_up_no_other() {
    let (exporter, hangs, works) = (exporter(), Server::default(), Server::default());
    hangs.hangs.store(true, Ordering::Relaxed);
    let sinks = start(&exporter, [hangs.all(), works.all()]);
    works.has_taken(5).await;
    let before = Instant::now();
    let report = sinks.shutdown(Duration::from_secs(3)).await;
    assert!(Instant::now() - before <= Duration::from_secs(4));
    let [hung, fine] = &*report.sinks else {
        panic!("{report:?}")
    };
    assert!(hung.is_late && hung.unsent >= 5, "{hung:?}");
    assert_eq!(hung.name, "fake");
    assert_eq!(fine.name, "fake_2");
    assert!(fine.is_complete(), "{fine:?}");
    assert!(failures(&exporter, "timeout") >= 1.0);
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let unsent = hung.unsent as f64;
    assert_eq!(lost(&exporter, "shutdown"), unsent);
}

#[tokio::test(start_paused = true)]
async fn as_long_as_it_takes_is_a_deadline_and_an_interval() {
    let (exporter, server) = (exporter(), Server::default());
    let sinks = exporter
        .sinks()
        .interval(Duration::MAX)
        .sink(server.all())
        .start()
        .unwrap();
    let report = sinks.shutdown(Duration::MAX).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(server.taken().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_the_next_attempt() {
    let (exporter, server) = (exporter(), Server::default());
    server.is_down.store(true, Ordering::Relaxed);
    let sinks = start(&exporter, [server.all()]);
    // Pauses are long by now.
    sleep(INTERVAL * 30).await;
    server.is_down.store(false, Ordering::Relaxed);
    let report = sinks.shutdown(Duration::from_secs(1)).await;
    assert!(report.is_complete(), "{report:?}");
    assert!(server.taken().len() >= 30);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_away_at_the_end_is_told_of_and_the_deadline_holds() {
    let (exporter, server) = (exporter(), Server::default());
    server.is_down.store(true, Ordering::Relaxed);
    let sinks = start(&exporter, [server.all()]);
    sleep(INTERVAL * 3).await;
    let before = Instant::now();
    let report = sinks.shutdown(Duration::from_secs(2)).await;
    assert!(Instant::now() - before <= Duration::from_secs(3));
    let sink = &report.sinks[0];
    assert!(sink.unsent >= 3 && sink.is_late, "{sink:?}");
    assert_eq!(sink.error.as_deref(), Some("no"));
    let expected = format!("fake: {} samples were not sent: no", sink.unsent);
    assert_eq!(report.into_result().unwrap_err().to_string(), expected);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_handle_ends_everything() {
    let (exporter, server) = (exporter(), Server::default());
    let sinks = start(&exporter, [server.all()]);
    server.has_taken(1).await;
    drop(sinks);
    sleep(INTERVAL * 5).await;
    assert!(server.taken().len() <= 2);
    // The sender went with its task.
    assert_eq!(Arc::strong_count(&server.taken), 1);
}

#[test]
fn what_cannot_work_does_not_start() {
    let error = exporter().sinks().start().unwrap_err().to_string();
    assert!(error.contains("no tokio runtime"), "{error}");
}

#[test]
fn the_interval_is_as_the_environment_says() {
    let sinks = |value: &str| {
        let variable = |name: &str| {
            assert_eq!(name, "OTEL_METRIC_EXPORT_INTERVAL");
            Some(value.to_owned())
        };
        exporter()
            .sinks()
            .interval(INTERVAL)
            .interval_from_env(variable)
    };
    assert_eq!(sinks("60000").unwrap().interval, Duration::from_secs(60));
    assert_eq!(sinks("").unwrap().interval, INTERVAL);
    let error = sinks("1m").unwrap_err().to_string();
    assert!(
        error.starts_with("OTEL_METRIC_EXPORT_INTERVAL is `1m`: give "),
        "{error}"
    );
}

/// A thousand times, at whatever moment.
#[tokio::test(start_paused = true)]
async fn a_healthy_sink_never_loses_the_last_interval() {
    for round in 0..1000u64 {
        let exporter = exporter();
        let memory = crate::MemorySink::new();
        let sinks = exporter
            .sinks()
            .interval(Duration::from_millis(7))
            .sink(&memory);
        let sinks = sinks.start().unwrap();
        sleep(Duration::from_micros(round * 37 % 20_000)).await;
        metrics::with_local_recorder(&exporter.recorder(), || {
            metrics::counter!("c_total").increment(round + 1);
        });
        let report = sinks.shutdown(Duration::from_secs(5)).await;
        assert!(report.is_complete(), "{report:?}");
        let last = memory.last().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        let expected = crate::Value::Counter((round + 1) as f64);
        assert_eq!(last.get("c_total", &[]), Some(&expected));
    }
}
