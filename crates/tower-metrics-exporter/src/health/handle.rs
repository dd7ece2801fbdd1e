use std::{
    collections::HashSet,
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use metrics::Recorder;
use tokio::{sync::watch, time};

use super::{
    Check, HealthReport, HealthService, Probe,
    join::join_all,
    metrics::{CheckMetrics, ProbeMetrics},
    slot::{Said, Slot},
};
use crate::unique::unique;

/// The health of a process: named checks of startup, liveness and readiness, for everybody who asks in
/// whatever way. Clones are of the same checks.
///
/// ```
/// use http::{Request, StatusCode};
/// use tower::ServiceExt as _;
/// use tower_metrics_exporter::{Check, Exporter, HealthHandle, Probe};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # async fn ping() -> Result<(), std::io::Error> { Ok(()) }
/// let exporter = Exporter::builder().build()?;
/// let health = HealthHandle::builder()
///     .check(Check::new("database", || async { ping().await }))
///     .recorder(exporter.recorder())
///     .build();
///
/// let readyz = Request::builder().uri("/readyz").body(())?;
/// let Ok(response) = health.service().oneshot(readyz).await;
/// assert_eq!(response.status(), StatusCode::OK);
/// assert_eq!(exporter.value("health_probe_up", &[("probe", "ready")]), Some(1.0));
///
/// // From now on the process is to get no more work; it is still alive.
/// health.shut_down();
/// assert!(!health.report(Probe::Ready).await.is_passing());
/// assert!(health.report(Probe::Live).await.is_passing());
/// # Ok(())
/// # }
/// ```
///
/// # Checks
///
/// A probe asks all its checks at once, so that it takes no longer than the slowest of them, and that no longer than
/// its [timeout](Check::timeout). Probes that come at the same time, or shortly after
/// ([`fresh_for`](Check::fresh_for)), share one answer, so that nobody can ask a database to death by asking
/// for its health. A check that panics has failed.
///
/// | probe | asks | before its checks were asked |
/// |---|---|---|
/// | startup | checks of startup, each until it has passed once | not passing |
/// | live | checks of liveness | passing |
/// | ready | all of them, and whether the process is [shutting down](Self::shut_down) | not passing |
///
/// # What is recorded
///
/// | series | kind | |
/// |---|---|---|
/// | `health_probe_up{probe}` | gauge | 1 if the probe would pass by what its checks said last |
/// | `health_check_up{check,probe}` | gauge | 1 if the check passed the last time |
/// | `health_checks_total{check,outcome}` | counter | `passed`, `failed`, `timed_out`, `panicked` |
/// | `health_check_duration_seconds{check}` | gauge | how long the last run took |
///
/// They, and gRPC clients that watch, hear of what a check said when it is asked:
/// [`keep_asking`](Self::keep_asking) does that where no probe comes.
///
/// # Runtime
///
/// Checks need a tokio runtime, and their timeouts one with timers. Nothing is spawned, except for what
/// blocks.
#[derive(Clone)]
pub struct HealthHandle {
    shared: Arc<Shared>,
}

struct Shared {
    slots: Vec<Slot>,
    every: Duration,
    is_shutting_down: AtomicBool,
    metrics: ProbeMetrics,
    status: watch::Sender<Status>,
}

/// What is known without asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// By probe.
    passing: [bool; Probe::ALL.len()],
    pub(super) is_shutting_down: bool,
}

impl Status {
    pub(super) fn is_passing(self, probe: Probe) -> bool {
        self.passing.get(probe as usize).is_some_and(|is| *is)
    }
}

/// Makes a [`HealthHandle`].
#[must_use = "a builder does nothing until `build`"]
pub struct HealthBuilder {
    checks: Vec<Check>,
    every: Duration,
    recorder: Option<Box<dyn Recorder + Send + Sync>>,
}

impl HealthBuilder {
    /// Adds a check. A second one of the same name is told apart by a number.
    pub fn check(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    /// How often [`keep_asking`](HealthHandle::keep_asking) asks. Default: every 5 s.
    pub fn every(mut self, period: Duration) -> Self {
        self.every = period;
        self
    }

    /// Records with this recorder. Default: that of the process at the time of [`build`](Self::build).
    pub fn recorder(mut self, recorder: impl Recorder + Send + Sync + 'static) -> Self {
        self.recorder = Some(Box::new(recorder));
        self
    }

    /// Builds the handle. Nothing is asked yet.
    pub fn build(self) -> HealthHandle {
        let Self {
            checks,
            every,
            recorder,
        } = self;
        let shared = match recorder {
            Some(recorder) => Shared::new(checks, every, &*recorder),
            None => metrics::with_recorder(|recorder| Shared::new(checks, every, recorder)),
        };
        shared.update();
        HealthHandle {
            shared: Arc::new(shared),
        }
    }
}

impl fmt::Debug for HealthBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthBuilder")
            .field("checks", &self.checks)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

impl HealthHandle {
    /// Starts building one.
    pub fn builder() -> HealthBuilder {
        HealthBuilder {
            checks: Vec::new(),
            every: Duration::from_secs(5),
            recorder: None,
        }
    }

    /// Asks the checks of a probe, those that have no fresh answer.
    pub async fn report(&self, probe: Probe) -> HealthReport {
        self.report_without(probe, |_| false).await
    }

    /// As [`report`](Self::report), without some of the checks.
    pub(super) async fn report_without(
        &self,
        probe: Probe,
        is_excluded: impl Fn(&str) -> bool,
    ) -> HealthReport {
        let shared = &*self.shared;
        let asked = shared
            .slots
            .iter()
            .filter(|slot| probe.asks(slot.probe()) && !is_excluded(slot.name()));
        let checks = join_all(asked.map(|slot| slot.ask(|| shared.update()))).await;
        HealthReport {
            probe,
            checks,
            // Asked last, so that no answer is older than the shutdown.
            is_shutting_down: self.is_shutting_down(),
        }
    }

    /// Asks all checks, again and again, so that gauges and gRPC clients hear of changes without a probe.
    /// Never ends by itself: spawn it, and abort it at the end.
    pub fn keep_asking(&self) -> impl Future<Output = ()> + Send + 'static {
        let health = self.clone();
        async move {
            loop {
                drop(health.report(Probe::Ready).await);
                time::sleep(health.shared.every).await;
            }
        }
    }

    /// Turns readiness off, for good. Who watches is told, and liveness stays as it is.
    pub fn shut_down(&self) {
        self.shared.is_shutting_down.store(true, Ordering::SeqCst);
        self.shared.update();
    }

    /// Whether [`shut_down`](Self::shut_down) was called.
    pub fn is_shutting_down(&self) -> bool {
        self.shared.is_shutting_down.load(Ordering::SeqCst)
    }

    /// Whether a probe would pass by what its checks said last, which are not asked.
    pub fn last(&self, probe: Probe) -> bool {
        self.shared.status.borrow().is_passing(probe)
    }

    /// A service that answers `/livez`, `/readyz`, `/startupz` and `/healthz`.
    pub fn service(&self) -> HealthService {
        HealthService::new(self.clone())
    }

    pub(super) fn has_check(&self, name: &str) -> bool {
        self.shared.slots.iter().any(|slot| slot.name() == name)
    }

    #[cfg(feature = "tonic")]
    pub(super) fn watch(&self) -> watch::Receiver<Status> {
        self.shared.status.subscribe()
    }
}

impl Shared {
    fn new(checks: Vec<Check>, every: Duration, recorder: &dyn Recorder) -> Self {
        let mut names = HashSet::new();
        let slots = checks.into_iter().map(|check| {
            let name = unique(&names, &check.name);
            names.insert(name.clone());
            let metrics = CheckMetrics::new(recorder, &name, check.probe);
            Slot::new(name, check, metrics)
        });
        Self {
            slots: slots.collect(),
            every,
            is_shutting_down: AtomicBool::new(false),
            metrics: ProbeMetrics::new(recorder),
            status: watch::Sender::default(),
        }
    }

    /// Puts together what the checks said last. One at a time, so that the last word is the newest.
    fn update(&self) {
        self.status.send_if_modified(|status| {
            let now = self.status();
            self.metrics.set(|probe| now.is_passing(probe));
            std::mem::replace(status, now) != now
        });
    }

    fn status(&self) -> Status {
        let is_shutting_down = self.is_shutting_down.load(Ordering::SeqCst);
        let passing = Probe::ALL.map(|probe| {
            let mut asked = self.slots.iter().filter(|slot| probe.asks(slot.probe()));
            match probe {
                Probe::Startup => asked.all(|slot| slot.said() == Said::Passed),
                Probe::Live => asked.all(|slot| slot.said() != Said::Failed),
                Probe::Ready => !is_shutting_down && asked.all(|slot| slot.said() == Said::Passed),
            }
        });
        Status {
            passing,
            is_shutting_down,
        }
    }
}

impl fmt::Debug for HealthHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthHandle")
            .field("checks", &self.shared.slots)
            .field("every", &self.shared.every)
            .field("status", &*self.shared.status.borrow())
            .finish_non_exhaustive()
    }
}
