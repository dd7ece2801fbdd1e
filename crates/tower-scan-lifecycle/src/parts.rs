//! Parts of a scan that are measured by themselves.

use std::fmt;

use tower_observe::Moment;

use crate::{EngineStatus, ScanContext};

/// A part of a scan, from [`ScanContext::stage`] until this value is dropped: however that comes, it took
/// so long.
#[must_use = "a stage ends when this value is dropped"]
pub struct Stage {
    context: ScanContext,
    place: usize,
    started: Moment,
}

impl Stage {
    pub(crate) fn new(context: ScanContext, stage: &str) -> Self {
        let core = &context.running().core;
        Self {
            place: core.stage(stage),
            started: core.clock.now(),
            context,
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let running = self.context.running();
        let core = &running.core;
        if let Some(series) = &core.instruments.stages {
            let took = core.since(self.started).as_secs_f64();
            let span = self.context.span();
            span.in_scope(|| series.record(&core.target, running.row, self.place, took));
        }
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").finish_non_exhaustive()
    }
}

/// The run of one engine within a scan, from [`ScanContext::engine`] on.
///
/// It counts when it ends, whatever becomes of the scan: so an engine that dies inside a scan that completes
/// is seen. Dropped without a word it has failed.
#[must_use = "an engine's run that is dropped has failed"]
pub struct EngineRun {
    context: ScanContext,
    place: usize,
    status: EngineStatus,
}

impl EngineRun {
    pub(crate) fn new(context: ScanContext, engine: &str) -> Self {
        Self {
            place: context.running().core.engine(engine),
            context,
            status: EngineStatus::Failed,
        }
    }

    /// It ran to its end.
    pub fn complete(self) {
        self.end(EngineStatus::Completed);
    }

    /// It gave an error.
    pub fn fail(self) {
        self.end(EngineStatus::Failed);
    }

    /// It took too long.
    pub fn time_out(self) {
        self.end(EngineStatus::TimedOut);
    }

    /// It was not run.
    pub fn skip(self) {
        self.end(EngineStatus::Skipped);
    }

    /// Ends the run.
    pub fn end(mut self, status: EngineStatus) {
        self.status = status;
    }
}

impl Drop for EngineRun {
    fn drop(&mut self) {
        let core = &self.context.running().core;
        if let Some(engines) = &core.instruments.engines {
            engines
                .runs
                .add(&core.target, self.place, self.status.index(), 1);
        }
    }
}

impl fmt::Debug for EngineRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineRun")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
