use std::time::Duration;

use metrics::{Counter, Gauge, IntoF64 as _, Key, Label, Level, Metadata, Recorder};

use super::{Failure, Probe, names};

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

const OUTCOMES: [&str; 4] = ["passed", "failed", "timed_out", "panicked"];

/// The handles of one check.
#[derive(Debug)]
pub(super) struct CheckMetrics {
    up: Gauge,
    duration: Gauge,
    outcomes: [(&'static str, Counter); OUTCOMES.len()],
}

impl CheckMetrics {
    pub(super) fn new(recorder: &dyn Recorder, name: &str, probe: Probe) -> Self {
        let check = || Label::new("check", name.to_owned());
        let probe = Label::new("probe", probe.as_str());
        let up = Key::from_parts(names::CHECK_UP, vec![check(), probe]);
        let duration = Key::from_parts(names::DURATION, vec![check()]);
        let outcomes = OUTCOMES.map(|outcome| {
            let labels = vec![check(), Label::new("outcome", outcome)];
            let key = Key::from_parts(names::CHECKS, labels);
            let counter = recorder.register_counter(&key, &METADATA);
            counter.increment(0);
            (outcome, counter)
        });
        let metrics = Self {
            up: recorder.register_gauge(&up, &METADATA),
            duration: recorder.register_gauge(&duration, &METADATA),
            outcomes,
        };
        metrics.up.set(0.0);
        metrics
    }

    pub(super) fn asked(&self, outcome: Result<(), &Failure>, took: Duration) {
        self.up.set(one_if(outcome.is_ok()));
        self.duration.set(took.into_f64());
        let outcome = outcome.err().map_or("passed", Failure::outcome);
        if let Some((_, counter)) = self.outcomes.iter().find(|(name, _)| *name == outcome) {
            counter.increment(1);
        }
    }
}

/// The handles of the probes.
#[derive(Debug)]
pub(super) struct ProbeMetrics {
    up: [(Probe, Gauge); Probe::ALL.len()],
}

impl ProbeMetrics {
    pub(super) fn new(recorder: &dyn Recorder) -> Self {
        let up = Probe::ALL.map(|probe| {
            let label = Label::new("probe", probe.as_str());
            let key = Key::from_parts(names::PROBE_UP, vec![label]);
            (probe, recorder.register_gauge(&key, &METADATA))
        });
        Self { up }
    }

    pub(super) fn set(&self, is_passing: impl Fn(Probe) -> bool) {
        for (probe, up) in &self.up {
            up.set(one_if(is_passing(*probe)));
        }
    }
}

const fn one_if(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}
