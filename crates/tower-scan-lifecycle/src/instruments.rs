use metrics::{Label, SharedString};
use tower_observe::Spec;

use crate::{
    BlockReason, EngineStatus, FailureReason, KeyUse, Names, RejectReason, Severity, Status,
    StatusNames,
    names::{self, cicd},
    recorder::Target,
    series::{Axis, Series},
};

/// What the builder decided about the series.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) prefix: String,
    pub(crate) names: Names,
    pub(crate) status_names: StatusNames,
    /// Each of these with `other` as its last, if it has any.
    pub(crate) types: Vec<SharedString>,
    pub(crate) stages: Vec<SharedString>,
    pub(crate) engines: Vec<SharedString>,
    pub(crate) roles: Vec<SharedString>,
    pub(crate) type_labels: bool,
    pub(crate) status_on_duration: bool,
    pub(crate) reason_on_blocked: bool,
    pub(crate) duration_buckets: Vec<f64>,
    pub(crate) queue_buckets: Vec<f64>,
    pub(crate) stage_buckets: Vec<f64>,
}

/// How a scan that ran has ended: a status, and what stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Completed,
    Blocked,
    Failed(FailureReason),
}

impl Ended {
    fn all() -> impl Iterator<Item = Self> {
        [Self::Completed, Self::Blocked]
            .into_iter()
            .chain(FailureReason::ALL.into_iter().map(Self::Failed))
    }

    /// Its place in [`all`](Self::all).
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Completed => 0,
            Self::Blocked => 1,
            Self::Failed(reason) => 2 + reason.index(),
        }
    }

    pub(crate) const fn status(self) -> Status {
        match self {
            Self::Completed | Self::Blocked => Status::Completed,
            Self::Failed(reason) => reason.status(),
        }
    }

    /// Why it is no success: for the line.
    pub(crate) const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Completed => None,
            Self::Blocked => Some("blocked"),
            Self::Failed(reason) => Some(reason.as_str()),
        }
    }

    /// `cicd.pipeline.result`, and `error.type` where there is one.
    const fn as_run(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Completed => ("success", None),
            Self::Blocked => ("failure", Some("blocked")),
            Self::Failed(FailureReason::Cancelled) => ("cancellation", None),
            Self::Failed(reason @ FailureReason::Timeout) => ("timeout", Some(reason.as_str())),
            Self::Failed(reason) => ("error", Some(reason.as_str())),
        }
    }
}

impl From<FailureReason> for Ended {
    fn from(reason: FailureReason) -> Self {
        Self::Failed(reason)
    }
}

/// Every family that is recorded. Rows are types, where a family has any.
#[derive(Clone, Debug)]
pub(crate) struct Instruments {
    pub(crate) scans: Series,
    pub(crate) duration: Series,
    pub(crate) active: Series,
    pub(crate) findings: Series,
    pub(crate) started: Series,
    pub(crate) failures: Series,
    pub(crate) rejected: Series,
    pub(crate) retries: Series,
    pub(crate) blocked: Series,
    pub(crate) drift: Series,
    pub(crate) queued: Series,
    pub(crate) queue_depth: Series,
    pub(crate) queue_duration: Series,
    pub(crate) oldest_active: Series,
    pub(crate) oldest_queued: Series,
    pub(crate) last_success: Series,
    pub(crate) api_keys: Series,
    pub(crate) stages: Option<Series>,
    pub(crate) engines: Option<Engines>,
    /// Whether the gauges of active and queued scans tell types apart.
    pub(crate) type_on_gauges: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Engines {
    pub(crate) runs: Series,
    pub(crate) up: Series,
}

impl Instruments {
    pub(crate) fn new(options: &Options) -> Self {
        let name = |name: &str| format!("{}_{name}", options.prefix);
        let types = || Axis::new(names::TYPE, options.types.iter().cloned());
        let maybe_types = || {
            if options.type_labels {
                types()
            } else {
                Axis::none()
            }
        };
        let words = |label, words: &[&'static str]| Axis::new(label, words.iter().copied());
        let engines = || Axis::new(names::ENGINE, options.engines.iter().cloned());
        let runs = Runs::new(options);
        Self {
            scans: Series::counter(
                name(names::SCANS_TOTAL),
                "Scans that have ended, by type and status.",
                types(),
                Axis::new(names::STATUS, statuses(options)),
            ),
            duration: Series::histogram(
                runs.name(cicd::RUN_DURATION, names::SCAN_DURATION_SECONDS),
                "Time from the start of a scan to its end.",
                &options.duration_buckets,
                runs.types(),
                runs.ended(),
            ),
            active: Series::gauge(
                runs.name(cicd::RUN_ACTIVE, names::ACTIVE_SCANS),
                "Scans that run now, in this process.",
                runs.gauge(maybe_types(), "executing"),
            ),
            findings: Series::counter(
                name(names::FINDINGS_TOTAL),
                "Findings of completed scans, by severity.",
                maybe_types(),
                words(names::SEVERITY, &Severity::ALL.map(Severity::as_str)),
            ),
            started: Series::counter(
                name(names::SCANS_STARTED_TOTAL),
                "Runs of scans that have begun, and scans that were rejected before.",
                types(),
                Axis::none(),
            ),
            failures: Series::counter(
                runs.name(cicd::RUN_ERRORS, names::SCAN_FAILURES_TOTAL),
                "Scans that ended in another way than completed, by reason.",
                runs.types(),
                words(
                    runs.label(cicd::ERROR_TYPE, names::REASON),
                    &FailureReason::ALL.map(FailureReason::as_str),
                ),
            ),
            rejected: Series::counter(
                name(names::SCANS_REJECTED_TOTAL),
                "What was asked for and never became a scan, by reason.",
                types(),
                words(names::REASON, &RejectReason::ALL.map(RejectReason::as_str)),
            ),
            retries: Series::counter(
                name(names::SCAN_RETRIES_TOTAL),
                "Attempts that were given back to be tried again.",
                types(),
                Axis::none(),
            ),
            blocked: Series::counter(
                name(names::SCANS_BLOCKED_TOTAL),
                "Completed scans whose verdict is to block.",
                types(),
                if options.reason_on_blocked {
                    words(names::REASON, &BlockReason::ALL.map(BlockReason::as_str))
                } else {
                    Axis::none()
                },
            ),
            drift: Series::counter(
                name(names::BASELINE_DRIFT_TOTAL),
                "Completed scans that saw a drift from their baseline.",
                types(),
                Axis::none(),
            ),
            queued: Series::gauge(
                runs.name(cicd::RUN_ACTIVE, names::QUEUED_SCANS),
                "Scans that wait now, in this process.",
                runs.gauge(maybe_types(), "pending"),
            ),
            queue_depth: Series::gauge(
                name(names::QUEUE_DEPTH),
                "Scans that wait in the shared queue: the same for all instances.",
                types(),
            ),
            queue_duration: Series::histogram(
                runs.name(cicd::RUN_DURATION, names::SCAN_QUEUE_DURATION_SECONDS),
                "Time that scans waited before they started.",
                &options.queue_buckets,
                runs.types(),
                runs.pending(),
            ),
            oldest_active: Series::seconds(
                name(names::OLDEST_ACTIVE_SCAN_AGE_SECONDS),
                "Time since the oldest scan that still runs has started.",
                types(),
            ),
            oldest_queued: Series::seconds(
                name(names::OLDEST_QUEUED_SCAN_AGE_SECONDS),
                "Time that the oldest scan that still waits has waited.",
                types(),
            ),
            last_success: Series::seconds(
                name(names::SCAN_LAST_SUCCESS_TIMESTAMP_SECONDS),
                "Unix time of the last completed scan; 0 before the first.",
                types(),
            ),
            api_keys: Series::counter(
                name(names::API_KEY_USES_TOTAL),
                "Requests, by what became of their API key.",
                words(names::OUTCOME, &KeyUse::ALL.map(KeyUse::as_str)),
                if options.roles.is_empty() {
                    Axis::none()
                } else {
                    Axis::new(names::ROLE, options.roles.iter().cloned())
                },
            ),
            stages: (!options.stages.is_empty()).then(|| {
                Series::histogram(
                    name(names::SCAN_STAGE_DURATION_SECONDS),
                    "Time that a part of a scan took.",
                    &options.stage_buckets,
                    types(),
                    Axis::new(names::STAGE, options.stages.iter().cloned()),
                )
            }),
            engines: (!options.engines.is_empty()).then(|| Engines {
                runs: Series::counter(
                    name(names::SCAN_ENGINE_RUNS_TOTAL),
                    "Runs of engines within scans, by how they ended.",
                    engines(),
                    words(names::STATUS, &EngineStatus::ALL.map(EngineStatus::as_str)),
                ),
                up: Series::gauge(
                    name(names::ENGINE_UP),
                    "Whether the engine's last probe found it working.",
                    engines(),
                ),
            }),
            type_on_gauges: options.type_labels || options.names == Names::OpenTelemetryCicd,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Series> {
        let engines = self.engines.as_ref();
        [
            &self.scans,
            &self.duration,
            &self.active,
            &self.findings,
            &self.started,
            &self.failures,
            &self.rejected,
            &self.retries,
            &self.blocked,
            &self.drift,
            &self.queued,
            &self.queue_depth,
            &self.queue_duration,
            &self.oldest_active,
            &self.oldest_queued,
            &self.last_success,
            &self.api_keys,
        ]
        .into_iter()
        .chain(&self.stages)
        .chain(engines.map(|engines| &engines.runs))
        .chain(engines.map(|engines| &engines.up))
    }

    pub(crate) fn register(&self, target: &Target) {
        for series in self.all() {
            series.register(target);
        }
    }

    /// One for each name: two instruments may share a family.
    pub(crate) fn specs(&self) -> Vec<Spec> {
        let mut specs: Vec<Spec> = Vec::new();
        for spec in self.all().map(Series::spec) {
            match specs.iter_mut().find(|known| known.name == spec.name) {
                None => specs.push(spec.clone()),
                Some(known) => {
                    let labels = spec.labels.iter().cloned();
                    let new: Vec<_> = labels
                        .filter(|label| !known.labels.contains(label))
                        .collect();
                    known.labels.extend(new);
                }
            }
        }
        specs
    }
}

fn statuses(options: &Options) -> impl Iterator<Item = &'static str> + use<> {
    let names = options.status_names;
    Ended::all().map(move |ended| names.name(ended.status()))
}

/// The families that the conventions for CI/CD have names for.
struct Runs<'a> {
    options: &'a Options,
    cicd: bool,
}

impl<'a> Runs<'a> {
    fn new(options: &'a Options) -> Self {
        Self {
            options,
            cicd: options.names == Names::OpenTelemetryCicd,
        }
    }

    fn name(&self, cicd: &str, own: &str) -> String {
        if self.cicd {
            cicd.to_owned()
        } else {
            format!("{}_{own}", self.options.prefix)
        }
    }

    const fn label(&self, cicd: &'static str, own: &'static str) -> &'static str {
        if self.cicd { cicd } else { own }
    }

    fn types(&self) -> Axis {
        let types = self.options.types.iter().cloned();
        Axis::new(self.label(cicd::PIPELINE_NAME, names::TYPE), types)
    }

    fn gauge(&self, own: Axis, state: &'static str) -> Axis {
        if !self.cicd {
            return own;
        }
        Axis::of(self.options.types.iter().map(|name| {
            vec![
                Label::new(cicd::PIPELINE_NAME, name.clone()),
                Label::new(cicd::RUN_STATE, state),
            ]
        }))
    }

    fn ended(&self) -> Axis {
        if self.cicd {
            return Axis::of(Ended::all().map(|ended| {
                let (result, error) = ended.as_run();
                let error = error.map(|error| Label::new(cicd::ERROR_TYPE, error));
                [
                    Label::new(cicd::RUN_STATE, "executing"),
                    Label::new(cicd::RESULT, result),
                ]
                .into_iter()
                .chain(error)
                .collect()
            }));
        }
        if self.options.status_on_duration {
            Axis::new(names::STATUS, statuses(self.options))
        } else {
            Axis::none()
        }
    }

    fn pending(&self) -> Axis {
        if self.cicd {
            Axis::new(cicd::RUN_STATE, ["pending"])
        } else {
            Axis::none()
        }
    }
}
