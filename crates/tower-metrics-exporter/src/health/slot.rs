use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use tokio::{sync::Mutex, time::Instant};

use super::{Check, CheckReport, Failure, Probe, check::Stuck, metrics::CheckMetrics};

/// One check, and what it said last.
pub(super) struct Slot {
    name: Arc<str>,
    check: Check,
    metrics: CheckMetrics,
    /// Held while the check is asked: whoever comes meanwhile gets that answer.
    state: Mutex<State>,
    /// For those who do not wait: see [`Said`].
    said: AtomicU8,
}

#[derive(Debug, Default)]
struct State {
    last: Option<(Instant, Result<(), Failure>)>,
    stuck: Option<Stuck>,
}

/// What a check said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Passed,
    Failed,
}

impl Slot {
    pub(super) fn new(name: String, check: Check, metrics: CheckMetrics) -> Self {
        Self {
            name: name.into(),
            check,
            metrics,
            state: Mutex::default(),
            said: AtomicU8::new(Said::Nothing as u8),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn probe(&self) -> Probe {
        self.check.probe
    }

    pub(super) fn said(&self) -> Said {
        match self.said.load(Ordering::Acquire) {
            said if said == Said::Passed as u8 => Said::Passed,
            said if said == Said::Failed as u8 => Said::Failed,
            _ => Said::Nothing,
        }
    }

    /// Asks the check, unless what it said is still good, and calls `changed` if it was asked.
    pub(super) async fn ask(&self, changed: impl Fn()) -> CheckReport {
        let mut state = self.state.lock().await;
        let outcome = match &state.last {
            Some((at, outcome)) if self.is_good(*at, outcome) => outcome.clone(),
            _ => {
                let start = Instant::now();
                let outcome = self.check.ask(&mut state.stuck).await;
                let now = Instant::now();
                let before = state.last.replace((now, outcome.clone()));
                let took = now.saturating_duration_since(start);
                self.metrics.asked(outcome.as_ref().map(drop), took);
                self.log(before.map(|(_, outcome)| outcome), &outcome);
                let said = outcome.as_ref().map_or(Said::Failed, |()| Said::Passed);
                self.said.store(said as u8, Ordering::Release);
                changed();
                outcome
            }
        };
        let name = Arc::clone(&self.name);
        CheckReport { name, outcome }
    }

    fn is_good(&self, at: Instant, outcome: &Result<(), Failure>) -> bool {
        let has_started = self.check.probe == Probe::Startup && outcome.is_ok();
        has_started || Instant::now().saturating_duration_since(at) < self.check.fresh_for
    }

    /// Changes only, of which there may still be many.
    fn log(&self, before: Option<Result<(), Failure>>, now: &Result<(), Failure>) {
        match (before, now) {
            (None | Some(Ok(())), Err(failure)) => {
                let check = &*self.name;
                tracing::warn!(check, error = %failure, "a health check fails");
            }
            (Some(Err(_)), Ok(())) => {
                tracing::info!(check = &*self.name, "a health check passes again");
            }
            (None | Some(Ok(())), Ok(())) | (Some(Err(_)), Err(_)) => {}
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("check", &self.check)
            .field("said", &self.said())
            .finish_non_exhaustive()
    }
}
