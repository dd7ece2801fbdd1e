use std::{
    error::Error,
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
    task::Poll,
    time::Duration,
};

use tokio::{runtime::Handle, task::JoinHandle};

use super::{Failure, Probe};
use crate::{panic::panic_text, service::runtime::Deadline};

type BoxError = Box<dyn Error + Send + Sync>;
type Checked = Result<(), BoxError>;
type CheckFuture = Pin<Box<dyn Future<Output = Checked> + Send>>;

/// A question whose answer tells whether the process works: see [`HealthHandle`](crate::HealthHandle).
///
/// ```
/// use std::time::Duration;
///
/// use tower_metrics_exporter::Check;
///
/// # async fn ping() -> Result<(), std::io::Error> { Ok(()) }
/// let database = Check::new("database", || async { ping().await }).timeout(Duration::from_millis(200));
/// let disk = Check::blocking("disk", || std::fs::metadata("/var/lib/app").map(drop)).live();
/// # drop((database, disk));
/// ```
#[must_use = "a check is asked once a `HealthHandle` has it"]
pub struct Check {
    pub(super) name: String,
    pub(super) probe: Probe,
    pub(super) timeout: Duration,
    pub(super) fresh_for: Duration,
    question: Question,
    no_timers: AtomicBool,
}

enum Question {
    Async(Box<dyn Fn() -> CheckFuture + Send + Sync>),
    Blocking(Arc<dyn Fn() -> Checked + Send + Sync>),
}

/// A blocking question that was given up: it is not asked again before it has come to its end.
pub(super) type Stuck = JoinHandle<Result<(), Failure>>;

impl Check {
    /// An asynchronous check. It is dropped at its timeout, so it must be one that can be, and must not hold
    /// up the thread that polls it: that is what [`blocking`](Self::blocking) is for.
    ///
    /// An error's text goes to the log, and to those who may see it.
    pub fn new<F, T, E>(name: impl Into<String>, check: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let ask = move || -> CheckFuture {
            let asked = check();
            Box::pin(async move { asked.await.map_err(Into::into) })
        };
        Self::of(name.into(), Question::Async(Box::new(ask)))
    }

    /// A check that blocks: it is called on a thread that may. While it is stuck it is not called again.
    pub fn blocking<F, E>(name: impl Into<String>, check: F) -> Self
    where
        F: Fn() -> Result<(), E> + Send + Sync + 'static,
        E: Into<BoxError>,
    {
        let ask = move || check().map_err(Into::into);
        Self::of(name.into(), Question::Blocking(Arc::new(ask)))
    }

    fn of(name: String, question: Question) -> Self {
        Self {
            name,
            probe: Probe::Ready,
            timeout: Duration::from_millis(900),
            fresh_for: Duration::from_secs(1),
            question,
            no_timers: AtomicBool::new(false),
        }
    }

    /// Makes it a check of liveness: one that no time heals, but a restart does. Of readiness unless said.
    pub fn live(mut self) -> Self {
        self.probe = Probe::Live;
        self
    }

    /// Makes it a check of startup: once it has passed it is not asked again. Of readiness unless said.
    pub fn startup(mut self) -> Self {
        self.probe = Probe::Startup;
        self
    }

    /// How long it may take, after which it has failed. Default: 900 ms, a little less than the second that
    /// Kubernetes gives a probe.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long its outcome is good for: probes that come within that time get it, and do not ask anew.
    /// Default: 1 s.
    pub fn fresh_for(mut self, time: Duration) -> Self {
        self.fresh_for = time;
        self
    }

    /// Asks, and is back by the timeout, whatever the check does but hold up this thread.
    ///
    /// May be dropped: what blocks stays in `stuck`, and is waited for the next time.
    pub(super) async fn ask(&self, stuck: &mut Option<Stuck>) -> Result<(), Failure> {
        let mut deadline = Deadline::after(self.timeout, &self.no_timers);
        match &self.question {
            Question::Async(ask) => {
                let mut asked = isolated(ask)?;
                let outcome = poll_fn(|cx| {
                    let polled = isolated(|| {
                        asked
                            .as_mut()
                            .poll(cx)
                            .map_err(|error| Failure::error(&*error))
                    })?;
                    if polled.is_ready() {
                        return polled;
                    }
                    deadline.poll(cx).map(|()| Err(self.late()))
                })
                .await;
                isolated(|| drop(asked))?;
                outcome
            }
            Question::Blocking(ask) => {
                if stuck.is_none() {
                    *stuck = Some(spawn(Arc::clone(ask))?);
                }
                let ended = poll_fn(
                    |cx| match stuck.as_mut().map(|run| Pin::new(run).poll(cx)) {
                        Some(Poll::Ready(ended)) => Poll::Ready(Some(ended)),
                        _ => deadline.poll(cx).map(|()| None),
                    },
                );
                let Some(ended) = ended.await else {
                    return Err(self.late());
                };
                *stuck = None;
                ended.map_err(|lost| Failure::error(&lost))?
            }
        }
    }

    const fn late(&self) -> Failure {
        Failure::TimedOut(self.timeout)
    }
}

fn spawn(ask: Arc<dyn Fn() -> Checked + Send + Sync>) -> Result<Stuck, Failure> {
    let runtime = Handle::try_current().map_err(|error| Failure::error(&error))?;
    let run = move || isolated(|| ask().map_err(|error| Failure::error(&*error)))?;
    // It panics if the system has no thread to give.
    isolated(|| runtime.spawn_blocking(run))
}

fn isolated<T>(run: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(run))
        .map_err(|payload| Failure::Panicked(panic_text(&*payload).into()))
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("name", &self.name)
            .field("probe", &self.probe)
            .field("timeout", &self.timeout)
            .field("fresh_for", &self.fresh_for)
            .finish_non_exhaustive()
    }
}
