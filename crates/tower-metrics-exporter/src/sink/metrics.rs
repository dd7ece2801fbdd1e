use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use tower_observe::{Spec, Unit};

use super::failure::Reason;

const EXPORTS: &str = "exporter_sink_exports_total";
const POINTS: &str = "exporter_sink_points_total";
const FAILURES: &str = "exporter_sink_failures_total";
const LOST: &str = "exporter_sink_lost_points_total";
const DURATION: &str = "exporter_sink_duration_seconds";
const QUEUE: &str = "exporter_sink_queue_bytes";
const LAST: &str = "exporter_sink_last_success_timestamp_seconds";

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// What is told of each sink.
pub(crate) fn specs() -> [Spec; 7] {
    [
        Spec::counter(EXPORTS, "Requests or datagrams that a sink has delivered.").labels(["sink"]),
        Spec::counter(POINTS, "Samples that a sink has delivered.").labels(["sink"]),
        Spec::counter(
            FAILURES,
            "Attempts to deliver that failed; what can be tried again is.",
        )
        .labels(["sink", "reason"]),
        Spec::counter(LOST, "Samples that were given up.").labels(["sink", "reason"]),
        Spec::histogram(DURATION, Unit::Seconds, "Time of attempts to deliver.")
            .labels(["sink"])
            .buckets([0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0]),
        Spec::gauge(QUEUE, "Bytes that wait to be delivered.")
            .unit(Unit::Bytes)
            .labels(["sink"]),
        Spec::gauge(
            LAST,
            "When something was delivered the last time, or the sink was started.",
        )
        .unit(Unit::Seconds)
        .labels(["sink"]),
    ]
}

/// Why samples were given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Newer ones needed the room.
    BufferFull,
    /// The server does not take them.
    Rejected,
    /// The time to shut down was over.
    Shutdown,
}

impl Loss {
    const ALL: [Self; 3] = [Self::BufferFull, Self::Rejected, Self::Shutdown];

    const fn as_str(self) -> &'static str {
        match self {
            Self::BufferFull => "buffer_full",
            Self::Rejected => "rejected",
            Self::Shutdown => "shutdown",
        }
    }
}

/// The handles of one sink.
#[derive(Debug)]
pub(super) struct SinkMetrics {
    exports: Counter,
    points: Counter,
    failures: Vec<Counter>,
    lost: Vec<Counter>,
    duration: Histogram,
    queue: Gauge,
    last: Gauge,
}

impl SinkMetrics {
    pub(super) fn new(recorder: &dyn Recorder, sink: &str) -> Self {
        let sink = || Label::new("sink", sink.to_owned());
        let key = |name| Key::from_parts(name, vec![sink()]);
        let counter = |name, reason| {
            let labels = vec![sink(), Label::new("reason", reason)];
            recorder.register_counter(&Key::from_parts(name, labels), &METADATA)
        };
        let failures = Reason::ALL.map(|reason| counter(FAILURES, reason.as_str()));
        let lost = Loss::ALL.map(|loss| counter(LOST, loss.as_str()));
        let this = Self {
            exports: recorder.register_counter(&key(EXPORTS), &METADATA),
            points: recorder.register_counter(&key(POINTS), &METADATA),
            failures: failures.into(),
            lost: lost.into(),
            duration: recorder.register_histogram(&key(DURATION), &METADATA),
            queue: recorder.register_gauge(&key(QUEUE), &METADATA),
            last: recorder.register_gauge(&key(LAST), &METADATA),
        };
        this.queue.set(0.0);
        this.mark();
        this
    }

    /// Keeps the time.
    fn mark(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.last.set(now.unwrap_or_default().as_secs_f64());
    }

    pub(super) fn took(&self, time: Duration) {
        self.duration.record(time);
    }

    pub(super) fn sent(&self, points: u64) {
        self.exports.increment(1);
        self.points.increment(points);
        self.mark();
    }

    pub(super) fn failed(&self, reason: Reason) {
        if let Some(counter) = self.failures.get(reason as usize) {
            counter.increment(1);
        }
    }

    pub(super) fn lost(&self, loss: Loss, points: u64) {
        if let Some(counter) = self.lost.get(loss as usize) {
            counter.increment(points);
        }
    }

    pub(super) fn waiting(&self, bytes: usize) {
        #[expect(clippy::cast_precision_loss, reason = "no queue has 2^53 bytes")]
        self.queue.set(bytes as f64);
    }
}
