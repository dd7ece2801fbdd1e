mod report;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, sleep, timeout, timeout_at},
};

pub use self::report::{SinkReport, SinksReport};
use super::{
    Encoder, Frame, Payload, Sender, Sent, Sink, SinkError,
    backoff::Backoff,
    failure::{Failure, Retry},
    metrics::{Loss, SinkMetrics},
    queue::Queue,
};
use crate::{Exporter, format::UnixMillis, unique::unique};

/// Sends all series to any number of [`Sink`]s, again and again: see [`Exporter::sinks`].
///
/// Every interval the series are read once, collectors included, and each sink gets the same: the numbers
/// agree with each other, and with a page of that moment. A sink that is slow or gone holds up neither the
/// others nor the service. What it cannot send waits, as far as there is room, and is tried again with
/// growing pauses; what is lost is counted by `exporter_sink_lost_points_total{sink,reason}`.
#[must_use = "sinks do nothing until `start`"]
#[derive(Debug)]
pub struct Sinks {
    exporter: Exporter,
    interval: Duration,
    all: Vec<Sink>,
}

const DEFAULT_INTERVAL: Duration = Duration::from_secs(15);

impl Sinks {
    pub(crate) const fn new(exporter: Exporter) -> Self {
        Self {
            exporter,
            interval: DEFAULT_INTERVAL,
            all: Vec::new(),
        }
    }

    /// Sets how often series are sent: every 15 seconds unless set. The first time is somewhere in the first
    /// interval, so that instances that start together do not send together.
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Adds a sink. Of several of one kind, all but the first have a number in the label `sink`.
    pub fn sink(mut self, sink: impl Into<Sink>) -> Self {
        self.all.push(sink.into());
        self
    }

    /// Starts sending, on the present tokio runtime, until the handle is [shut down](SinksHandle::shutdown)
    /// or dropped.
    ///
    /// # Errors
    ///
    /// Outside of a runtime, if the interval is zero, or if a sink can never work as it is.
    pub fn start(self) -> Result<SinksHandle, SinkError> {
        let Self {
            exporter,
            interval,
            all,
        } = self;
        let runtime = Handle::try_current().map_err(|_| {
            SinkError::new("there is no tokio runtime: start the sinks inside of one")
        })?;
        if interval.is_zero() {
            return Err(SinkError::new(
                "the interval of the sinks is zero: give one of a second or more",
            ));
        }
        for sink in &all {
            sink.sender.check()?;
        }
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let mut lanes = Vec::new();
        let mut encoders = Vec::new();
        let mut names = HashSet::new();
        for sink in all {
            let name = unique(&names, sink.name);
            names.insert(name.clone());
            let lane = Arc::new(Lane {
                metrics: SinkMetrics::new(&exporter.recorder(), &name),
                name,
                queue: Queue::new(sink.keeps, sink.buffer),
                lost: Mutex::default(),
                error: Mutex::default(),
                is_unread: AtomicBool::new(false),
                is_closed: AtomicBool::new(false),
            });
            encoders.push((Arc::clone(&lane), sink.encoder));
            let worker = Worker {
                lane: Arc::clone(&lane),
                sender: sink.sender,
                timeout: sink.timeout,
                stopping: stopping.clone(),
            };
            tasks.spawn_on(worker.run(), &runtime);
            lanes.push(lane);
        }
        let mut encoded = encoders.iter().map(|(_, encoder)| encoder);
        let tells_changes = encoded.any(|encoder| encoder.tells_changes());
        let reader = Reader {
            begins: tells_changes.then(|| exporter.is_told_first()),
            exporter,
            encoders,
            last: UnixMillis(0),
        };
        tasks.spawn_on(read_on(reader, lanes.clone(), interval, stopping), &runtime);
        Ok(SinksHandle { stop, tasks, lanes })
    }
}

/// A year: as good as the longest time there is, and still one that can be added to a moment.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Sinks at work. Dropping it ends them at once.
#[must_use = "dropping it ends the sinks"]
pub struct SinksHandle {
    stop: watch::Sender<bool>,
    /// They end with it.
    tasks: JoinSet<()>,
    lanes: Vec<Arc<Lane>>,
}

impl SinksHandle {
    /// Sends everything once more, and what waits, ends all tasks within the deadline, and tells what of it did
    /// not make it. What was lost before is told by `exporter_sink_lost_points_total` alone.
    pub async fn shutdown(mut self, deadline: Duration) -> SinksReport {
        let deadline = Instant::now() + deadline.min(FOREVER);
        let before: Vec<_> = self.lanes.iter().map(|lane| *lane.losses()).collect();
        self.stop.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let in_time = timeout_at(deadline, all).await.is_ok();
        self.tasks.shutdown().await;
        let sinks = self.lanes.iter().zip(before);
        let sinks = sinks.map(|(lane, before)| lane.report(in_time, before));
        SinksReport {
            sinks: sinks.collect(),
        }
    }
}

impl fmt::Debug for SinksHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.lanes.iter().map(|lane| &lane.name);
        f.debug_list().entries(names).finish()
    }
}

/// What those have in common that read series, and those that send them.
#[derive(Debug)]
struct Lane {
    name: String,
    queue: Queue,
    metrics: SinkMetrics,
    lost: Mutex<Losses>,
    /// The last failure, if nothing was sent since.
    error: Mutex<Option<String>>,
    /// Whether what was recorded last could not be read.
    is_unread: AtomicBool,
    /// Whether nothing is left to do.
    is_closed: AtomicBool,
}

/// Samples that were lost since the start.
#[derive(Clone, Copy, Debug, Default)]
struct Losses {
    rejected: u64,
    buffer_full: u64,
}

impl Lane {
    fn fill(&self, payloads: Vec<Payload>) {
        let lost = self.queue.push(payloads);
        self.metrics.lost(Loss::BufferFull, lost);
        self.losses().buffer_full += lost;
        self.metrics.waiting(self.queue.bytes());
    }

    /// After everything ended. `before` is what was lost before it was told to.
    fn report(&self, in_time: bool, before: Losses) -> SinkReport {
        let unsent = self.queue.left();
        self.metrics.lost(Loss::Shutdown, unsent);
        let lost = *self.losses();
        let is_closed = self.is_closed.load(Ordering::Acquire);
        let error = if self.is_unread.load(Ordering::Acquire) {
            Some("what was recorded last could not be read: a panic")
        } else if in_time && !is_closed {
            Some("what sends to it panicked")
        } else {
            None
        };
        SinkReport {
            name: self.name.clone(),
            unsent,
            rejected: lost.rejected - before.rejected,
            buffer_full: lost.buffer_full - before.buffer_full,
            is_late: !in_time && !is_closed,
            error: error.map(str::to_owned).or_else(|| self.error().take()),
        }
    }

    fn losses(&self) -> MutexGuard<'_, Losses> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self) -> MutexGuard<'_, Option<String>> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rejected(&self, points: u64) {
        self.metrics.lost(Loss::Rejected, points);
        self.losses().rejected += points;
    }

    fn sent(&self, payload: &Payload, sent: Sent) {
        let rejected = sent.rejected.min(payload.points);
        self.metrics.sent(payload.points - rejected);
        if rejected > 0 {
            self.rejected(rejected);
            let why = sent.why.unwrap_or_default();
            let error =
                format!("the server took the others and rejected {rejected} samples: {why}");
            self.complain(&error, false);
        } else if self.error().take().is_some() {
            tracing::info!(sink = self.name, "metrics are delivered again");
        }
    }

    fn failed(&self, failure: &Failure) {
        self.metrics.failed(failure.reason);
        self.complain(&failure.text, failure.retry != Retry::Never);
    }

    /// Once until it is over, or becomes another.
    fn complain(&self, error: &str, will_retry: bool) {
        let before = self.error().replace(error.to_owned());
        if before.as_deref() != Some(error) {
            tracing::warn!(
                sink = self.name,
                error,
                will_retry,
                "metrics are not delivered"
            );
        }
    }
}

/// Reads series for all sinks.
struct Reader {
    exporter: Exporter,
    encoders: Vec<(Arc<Lane>, Box<dyn Encoder>)>,
    /// Whether they are to be told what there is at the beginning, and whether they are the first.
    begins: Option<bool>,
    last: UnixMillis,
}

impl Reader {
    fn frame(&mut self) -> Arc<Frame> {
        // Even if the system's clock went back: samples of one series are in order.
        let now = UnixMillis::now().0.max(self.last.0.saturating_add(1));
        self.last = UnixMillis(now);
        Arc::new(self.exporter.frame(self.last))
    }

    fn begin(&mut self) {
        if let Some(is_first) = self.begins {
            let frame = self.frame();
            for (_, encoder) in &mut self.encoders {
                encoder.begin(&frame, is_first);
            }
        }
    }

    fn read(&mut self) {
        let frame = self.frame();
        for (lane, encoder) in &mut self.encoders {
            lane.fill(encoder.encode(&frame));
            lane.is_unread.store(false, Ordering::Release);
        }
    }
}

async fn read_on(
    reader: Reader,
    lanes: Vec<Arc<Lane>>,
    interval: Duration,
    mut stopping: watch::Receiver<bool>,
) {
    let begins = reader.begins.is_some();
    let reader = Arc::new(Mutex::new(reader));
    let interval = interval.min(FOREVER);
    let mut due = Instant::now() + Backoff::new().splay(interval);
    if begins && on_thread(&reader, Reader::begin).await.is_err() {
        tracing::error!("series could not be read for the sinks: a panic");
    }
    loop {
        // An error says that the handle is gone, and this task with it.
        let stops = timeout_at(due, stopping.wait_for(|stops| *stops))
            .await
            .is_ok();
        for lane in &lanes {
            lane.is_unread.store(true, Ordering::Release);
        }
        if on_thread(&reader, Reader::read).await.is_err() {
            tracing::error!("series could not be read for the sinks: a panic");
        }
        if stops {
            break;
        }
        // What was missed is not made up for.
        let now = Instant::now();
        while due <= now {
            due += interval;
        }
    }
    for lane in lanes {
        lane.queue.close();
    }
}

/// Collectors may wait, and many series take their time.
async fn on_thread(reader: &Arc<Mutex<Reader>>, call: fn(&mut Reader)) -> Result<(), JoinError> {
    let reader = Arc::clone(reader);
    let called = tokio::task::spawn_blocking(move || {
        call(&mut reader.lock().unwrap_or_else(PoisonError::into_inner));
    });
    called.await
}

/// Sends what is read for one sink.
struct Worker {
    lane: Arc<Lane>,
    sender: Box<dyn Sender>,
    timeout: Duration,
    stopping: watch::Receiver<bool>,
}

impl Worker {
    async fn run(mut self) {
        let mut backoff = Backoff::new();
        while let Some(payload) = self.lane.queue.next().await {
            self.lane.metrics.waiting(self.lane.queue.bytes());
            while let Err(retry) = self.attempt(&payload).await {
                let asked = match retry {
                    Retry::Never => {
                        self.lane.rejected(payload.points);
                        break;
                    }
                    Retry::Later => None,
                    Retry::After(asked) => Some(asked),
                };
                let pause = backoff.next(asked);
                self.pause(pause, asked.is_some()).await;
                if self.lane.queue.is_superseded() {
                    break;
                }
            }
            backoff.reset();
            self.lane.queue.done();
        }
        self.close().await;
    }

    async fn attempt(&mut self, payload: &Payload) -> Result<(), Retry> {
        let start = Instant::now();
        let sent = timeout(self.timeout, self.sender.send(payload)).await;
        let took = Instant::now().saturating_duration_since(start);
        self.lane.metrics.took(took);
        match sent.unwrap_or_else(|_| Err(Failure::timeout(self.timeout))) {
            Ok(sent) => {
                self.lane.sent(payload, sent);
                Ok(())
            }
            Err(failure) => {
                let retry = failure.retry;
                self.lane.failed(&failure);
                Err(retry)
            }
        }
    }

    /// Waits, but not when it is time to stop, unless the server asked for it.
    async fn pause(&mut self, pause: Duration, is_asked: bool) {
        /// Between attempts when it is time to stop.
        const SHORTEST: Duration = Duration::from_millis(100);
        if is_asked || *self.stopping.borrow() {
            let pause = if is_asked { pause } else { pause.min(SHORTEST) };
            return sleep(pause).await;
        }
        // Whether the time is over or it is time to stop, the next attempt is due.
        let stops = self.stopping.wait_for(|stops| *stops);
        drop(timeout(pause, stops).await);
    }

    async fn close(&mut self) {
        let closed = timeout(self.timeout, self.sender.close()).await;
        if let Err(failure) = closed.unwrap_or_else(|_| Err(Failure::timeout(self.timeout))) {
            self.lane.failed(&failure);
        }
        self.lane.is_closed.store(true, Ordering::Release);
    }
}
