//! Everything that runs beside a service so that it can be operated, and its end.

mod report;

use std::{collections::HashMap, error::Error, fmt, future::Future, pin::Pin, time::Duration};
#[cfg(feature = "admin")]
use std::{future::poll_fn, task::Poll};

#[cfg(feature = "admin")]
use http::{Request, Response};
#[cfg(feature = "admin")]
use http_body::Body;
#[cfg(feature = "admin")]
use hyper::body::Incoming;
use tokio::{
    runtime::Handle,
    sync::watch,
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep_until, timeout_at},
};
#[cfg(feature = "admin")]
use tower_service::Service;

pub use self::report::{FlushReport, ShutdownReport};
#[cfg(feature = "admin")]
use crate::{AdminServer, AdminService, admin::Connections};
use crate::{Exporter, HealthHandle, panic::panic_text, text::chain};

type BoxError = Box<dyn Error + Send + Sync>;
type Flushing = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;
type Flush = Box<dyn FnOnce(Duration) -> Flushing + Send>;
type Serving =
    Box<dyn FnOnce(watch::Receiver<bool>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What runs beside a service so that it can be operated: its admin listeners, its health checks, and the end of
/// both, and of all that is to be flushed before the process may go.
///
/// It owns its tasks. Dropped, it breaks all of them off; nothing outlives it but a check that blocks.
///
/// ```
/// use std::time::Duration;
///
/// use tower_metrics_exporter::{
///     AdminServer, AdminService, Check, Exporter, HealthHandle, Operations,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # async fn ping() -> Result<(), std::io::Error> { Ok(()) }
/// # async fn send_the_rest() -> Result<(), std::io::Error> { Ok(()) }
/// let exporter = Exporter::builder().build()?;
/// let health = HealthHandle::builder()
///     .check(Check::new("database", || async { ping().await }))
///     .recorder(exporter.recorder())
///     .build();
/// let admin = AdminService::new(&exporter).health(health.service());
/// let operations = Operations::builder(&health)
///     .exporter(&exporter)
///     .admin(AdminServer::loopback(0).await?, admin)
///     .flush("queue", |_left| async { send_the_rest().await })
///     .start(&tokio::runtime::Handle::current());
///
/// // … the service runs, is told to stop, turns readiness off, and finishes its requests …
/// health.shut_down();
///
/// let report = operations.shutdown(Duration::from_secs(5)).await;
/// assert!(report.is_clean(), "{report}");
/// # Ok(())
/// # }
/// ```
#[must_use = "dropped, it breaks off what it runs"]
pub struct Operations {
    health: HealthHandle,
    exporter: Option<Exporter>,
    stop: watch::Sender<bool>,
    servers: JoinSet<()>,
    /// Aborted on drop.
    _asking: JoinSet<()>,
    #[cfg(feature = "admin")]
    admins: Vec<Admin>,
    flushes: Vec<(String, Flush)>,
    grace: Duration,
    linger: Duration,
    runtime: Handle,
}

/// What is known of an admin listener.
#[cfg(feature = "admin")]
#[derive(Debug)]
struct Admin {
    connections: Connections,
    scraped: watch::Receiver<Option<Instant>>,
}

#[cfg(feature = "admin")]
impl Admin {
    async fn scraped_since(&mut self, start: Instant) {
        let is_since = |begun: &Option<Instant>| begun.is_some_and(|begun| begun >= start);
        if self.scraped.wait_for(is_since).await.is_err() {
            // The listener is gone, and with it whoever could scrape.
            std::future::pending::<()>().await;
        }
    }
}

/// Chooses what [`Operations`] run.
#[must_use = "a builder does nothing until `start`"]
pub struct OperationsBuilder {
    health: HealthHandle,
    exporter: Option<Exporter>,
    servers: Vec<Serving>,
    #[cfg(feature = "admin")]
    admins: Vec<Admin>,
    flushes: Vec<(String, Flush)>,
    grace: Duration,
    linger: Duration,
}

impl Operations {
    /// Starts building them, for a process of this health, whose checks they [keep
    /// asking](HealthHandle::keep_asking).
    pub fn builder(health: &HealthHandle) -> OperationsBuilder {
        OperationsBuilder {
            health: health.clone(),
            exporter: None,
            servers: Vec::new(),
            #[cfg(feature = "admin")]
            admins: Vec::new(),
            flushes: Vec::new(),
            grace: Duration::ZERO,
            linger: Duration::ZERO,
        }
    }

    /// The health of the process.
    pub const fn health(&self) -> &HealthHandle {
        &self.health
    }

    /// Ends everything, within this time, and tells what did not make it.
    ///
    /// 1. Readiness is turned off, if it was not before.
    /// 2. The admin listeners stay for [`grace`](OperationsBuilder::grace), and until there was one more scrape, for
    ///    [`linger`](OperationsBuilder::linger) at most, but for no more than half of the time.
    /// 3. They accept no more, and finish what they were asked. Meanwhile everything is flushed, all at once.
    /// 4. Collectors are stopped, and what is not done by then is broken off.
    ///
    /// Dropped, it breaks off everything at once.
    pub async fn shutdown(mut self, within: Duration) -> ShutdownReport {
        let start = Instant::now();
        let deadline = after(start, within);
        self.health.shut_down();
        let was_scraped = self.stay(start, within / 2).await;
        self.stop.send_replace(true);

        let flushing = self.flush(deadline);
        let finished = async { while self.servers.join_next().await.is_some() {} };
        let finished = timeout_at(deadline, finished).await;
        let broken_off = finished.map_or_else(|_| self.broken_off(), |()| 0);
        let flushes = flushing.ended(deadline).await;
        let stuck_collectors = self.exporter.as_ref().map(Exporter::stop_collectors);
        ShutdownReport {
            took: Instant::now().saturating_duration_since(start),
            was_scraped,
            broken_off,
            flushes,
            stuck_collectors: stuck_collectors.unwrap_or_default(),
        }
    }

    /// Lets the admin listeners stay, and tells whether there was a scrape that was waited for.
    async fn stay(&mut self, start: Instant, at_most: Duration) -> bool {
        let linger = if self.listens() {
            self.linger.min(at_most)
        } else {
            Duration::ZERO
        };
        let grace = after(start, self.grace.min(at_most));
        let scraped = timeout_at(after(start, linger), self.scraped_since(start));
        let was_scraped = !linger.is_zero() && scraped.await.is_ok();
        sleep_until(grace).await;
        was_scraped
    }

    /// Starts to flush everything.
    fn flush(&mut self, deadline: Instant) -> Flushes {
        let mut flushes = Flushes::default();
        for (name, flush) in self.flushes.drain(..) {
            // Within the task, so that a panic is only its own.
            let task = async move {
                let left = deadline.saturating_duration_since(Instant::now());
                flush(left.saturating_sub(LAST_WORDS.min(left / 10))).await
            };
            let id = flushes.tasks.spawn_on(task, &self.runtime).id();
            flushes.names.push((id, name));
        }
        flushes
    }

    /// Whether there is anything that could be scraped.
    #[cfg(feature = "admin")]
    fn listens(&self) -> bool {
        !self.admins.is_empty()
    }

    #[cfg(feature = "admin")]
    async fn scraped_since(&mut self, start: Instant) {
        let wait = |admin| Box::pin(Admin::scraped_since(admin, start));
        let mut waits: Vec<_> = self.admins.iter_mut().map(wait).collect();
        poll_fn(|cx| {
            let mut waits = waits.iter_mut();
            if waits.any(|wait| wait.as_mut().poll(cx).is_ready()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    #[cfg(not(feature = "admin"))]
    #[expect(clippy::unused_self, reason = "with the feature it is asked")]
    const fn listens(&self) -> bool {
        false
    }

    #[cfg(not(feature = "admin"))]
    async fn scraped_since(&mut self, _: Instant) {
        std::future::pending::<()>().await;
    }

    #[cfg(feature = "admin")]
    fn broken_off(&self) -> usize {
        let connections = self.admins.iter().map(|admin| admin.connections.count());
        connections.sum()
    }

    #[cfg(not(feature = "admin"))]
    #[expect(clippy::unused_self, reason = "as with admin listeners")]
    const fn broken_off(&self) -> usize {
        0
    }
}

impl OperationsBuilder {
    /// Stops the collectors of this exporter at the end.
    pub fn exporter(mut self, exporter: &Exporter) -> Self {
        self.exporter = Some(exporter.clone());
        self
    }

    /// Serves this on that listener. May be called for each listener.
    #[cfg(feature = "admin")]
    pub fn admin<S, B>(mut self, server: AdminServer, service: AdminService<S>) -> Self
    where
        AdminService<S>: Service<Request<Incoming>, Response = Response<B>>,
        <AdminService<S> as Service<Request<Incoming>>>::Future: Send,
        <AdminService<S> as Service<Request<Incoming>>>::Error: Into<BoxError>,
        S: Clone + Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let admin = Admin {
            connections: Connections::default(),
            scraped: service.scraped(),
        };
        let connections = admin.connections.clone();
        self.admins.push(admin);
        self.servers.push(Box::new(move |stop| {
            Box::pin(server.run(service, stop, connections))
        }));
        self
    }

    /// Has this flushed before the process may go: a queue, a log, sinks, as by
    /// `.flush("sinks", |left| async move { sinks.shutdown(left).await.into_result() })`. It is told how much time it
    /// has, which is a little less than is left, so that it can say itself what it did not do. What does not end by
    /// the deadline is given up.
    ///
    /// Everything is flushed at the same time. What blocks its thread, and the only one of the runtime, cannot be
    /// given up.
    pub fn flush<F, T, E>(mut self, name: impl Into<String>, flush: F) -> Self
    where
        F: FnOnce(Duration) -> T + Send + 'static,
        T: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let flush = move |left| -> Flushing {
            let flushed = flush(left);
            Box::pin(async move { flushed.await.map_err(Into::into) })
        };
        self.flushes.push((name.into(), Box::new(flush)));
        self
    }

    /// How long the admin listeners stay once readiness is off, so that whoever sends work hears of it. Default: not
    /// at all, which is right for who turns readiness off before requests are finished, and shuts down after.
    pub fn grace(mut self, time: Duration) -> Self {
        self.grace = time;
        self
    }

    /// How long to wait for one last scrape, so that what was recorded last is not lost: a little more than the
    /// interval of scrapes. Default: not at all.
    pub fn linger(mut self, time: Duration) -> Self {
        self.linger = time;
        self
    }

    /// Starts all of it, on this runtime, which needs timers.
    pub fn start(self, runtime: &Handle) -> Operations {
        let stop = watch::Sender::new(false);
        let mut servers = JoinSet::new();
        for serve in self.servers {
            servers.spawn_on(serve(stop.subscribe()), runtime);
        }
        let mut asking = JoinSet::new();
        asking.spawn_on(self.health.keep_asking(), runtime);
        Operations {
            health: self.health,
            exporter: self.exporter,
            stop,
            servers,
            _asking: asking,
            #[cfg(feature = "admin")]
            admins: self.admins,
            flushes: self.flushes,
            grace: self.grace,
            linger: self.linger,
            runtime: runtime.clone(),
        }
    }
}

/// What is kept back for those that are flushed to say what they did not do, at most.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What is being flushed.
#[derive(Debug, Default)]
struct Flushes {
    names: Vec<(Id, String)>,
    tasks: JoinSet<Result<(), BoxError>>,
}

impl Flushes {
    /// Waits for all of them, but no longer than this, and breaks off the others.
    async fn ended(mut self, deadline: Instant) -> Vec<FlushReport> {
        let mut failures: HashMap<Id, Option<String>> = HashMap::new();
        let all = async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                match ended {
                    Ok((id, flushed)) => {
                        failures.insert(id, flushed.err().map(|error| chain(&*error)));
                    }
                    Err(error) => {
                        failures.insert(error.id(), Some(lost(error)));
                    }
                }
            }
        };
        // What is late is missing below.
        timeout_at(deadline, all).await.unwrap_or_default();
        let late = || Some(String::from("it was not done in time"));
        let names = self.names.into_iter();
        names
            .map(|(id, name)| FlushReport {
                name,
                failure: failures.remove(&id).unwrap_or_else(late),
            })
            .collect()
    }
}

fn lost(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => format!("it panicked: {}", panic_text(&*payload)),
        Err(error) => error.to_string(),
    }
}

/// A moment that is far away if it is too far to be known.
fn after(start: Instant, time: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    start.checked_add(time.min(FAR)).unwrap_or(start)
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flushes = self.flushes.iter().map(|(name, _)| name);
        f.debug_struct("Operations")
            .field("health", &self.health)
            .field("flushes", &flushes.collect::<Vec<_>>())
            .field("grace", &self.grace)
            .field("linger", &self.linger)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OperationsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flushes = self.flushes.iter().map(|(name, _)| name);
        f.debug_struct("OperationsBuilder")
            .field("health", &self.health)
            .field("flushes", &flushes.collect::<Vec<_>>())
            .field("grace", &self.grace)
            .field("linger", &self.linger)
            .finish_non_exhaustive()
    }
}
