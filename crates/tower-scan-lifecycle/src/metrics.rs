use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use metrics::{SharedString, counter, gauge, histogram};
use tower_observe::{Clock, Spec, Unit};

use crate::{ActiveScan, Outcome, ScanMeta, Severity, Status, names};

/// Records scans in the `metrics` facade: a cheap handle, to be cloned where scans start.
#[derive(Clone)]
pub struct ScanMetrics {
    shared: Arc<Shared>,
}

struct Shared {
    types: Vec<SharedString>,
    names: Names,
    clock: Clock,
    // A gauge that is only ever raised and lowered goes wrong for good when the recorder comes late or
    // forgets an idle series. Setting our own count mends it at the next change.
    active: Mutex<u64>,
}

struct Names {
    total: SharedString,
    duration: SharedString,
    active: SharedString,
    findings: SharedString,
}

impl Names {
    fn with_prefix(prefix: &str) -> Self {
        let name = |name: &str| SharedString::from_shared(Arc::from(format!("{prefix}_{name}")));
        Self {
            total: name(names::SCANS_TOTAL),
            duration: name(names::SCAN_DURATION_SECONDS),
            active: name(names::ACTIVE_SCANS),
            findings: name(names::FINDINGS_TOTAL),
        }
    }
}

/// Builds [`ScanMetrics`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct ScanMetricsBuilder {
    types: Vec<Cow<'static, str>>,
    prefix: Cow<'static, str>,
    clock: Clock,
}

impl ScanMetricsBuilder {
    /// The scan types there are; any other is recorded as `other`. Default: none.
    pub fn types<T: Into<Cow<'static, str>>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.types = types.into_iter().map(Into::into).collect();
        self
    }

    /// The first word of each series' name. Default: `sentrascan`.
    pub fn prefix(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Reads time from `clock`. Default: [`Clock::system`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the handle. Nothing is recorded yet.
    pub fn build(self) -> ScanMetrics {
        let types = self
            .types
            .iter()
            .map(|name| SharedString::from_shared(Arc::from(name.as_ref())))
            .chain([SharedString::const_str(names::OTHER)])
            .collect();
        ScanMetrics {
            shared: Arc::new(Shared {
                types,
                names: Names::with_prefix(&self.prefix),
                clock: self.clock,
                active: Mutex::new(0),
            }),
        }
    }
}

impl ScanMetrics {
    /// Starts building a handle.
    pub const fn builder() -> ScanMetricsBuilder {
        ScanMetricsBuilder {
            types: Vec::new(),
            prefix: Cow::Borrowed(names::PREFIX),
            clock: Clock::system(),
        }
    }

    /// What is recorded: names, labels, units, help texts and buckets, for the exporter.
    pub fn specs(&self) -> Vec<Spec> {
        let Names {
            total,
            duration,
            active,
            findings,
        } = &self.shared.names;
        vec![
            Spec::counter(
                total.to_string(),
                "Scans that have ended, by type and status.",
            )
            .labels([names::TYPE, names::STATUS]),
            Spec::histogram(
                duration.to_string(),
                Unit::Seconds,
                "Time from the start of a scan to its end.",
            )
            .labels([names::TYPE])
            .buckets(names::SCAN_DURATION_BUCKETS),
            Spec::gauge(active.to_string(), "Scans that run now, in this process."),
            Spec::counter(
                findings.to_string(),
                "Findings of completed scans, by severity.",
            )
            .labels([names::SEVERITY]),
        ]
    }

    /// Creates every series at zero, so that the first failure is seen as a rise.
    ///
    /// To be called once the recorder is installed; calling it again does no harm.
    pub fn register(&self) {
        let Names {
            total, findings, ..
        } = &self.shared.names;
        for scan_type in &self.shared.types {
            for status in Status::ALL {
                counter!(
                    total.clone(),
                    names::TYPE => scan_type.clone(),
                    names::STATUS => status.as_str(),
                )
                .increment(0);
            }
        }
        for severity in Severity::ALL {
            counter!(findings.clone(), names::SEVERITY => severity.as_str()).increment(0);
        }
        self.change_active(|active| active);
    }

    /// Starts a scan, now. It ends when the value that is returned does.
    pub fn start(&self, meta: &ScanMeta) -> ActiveScan {
        self.change_active(|active| active.saturating_add(1));
        let started = self.shared.clock.now();
        ActiveScan::new(
            self.clone(),
            self.known_type(&meta.scan_type),
            meta,
            started,
        )
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    pub(crate) fn ended(&self, scan_type: &SharedString, outcome: &Outcome, duration: Duration) {
        let Names {
            total,
            duration: duration_name,
            findings,
            ..
        } = &self.shared.names;
        self.change_active(|active| active.saturating_sub(1));
        counter!(
            total.clone(),
            names::TYPE => scan_type.clone(),
            names::STATUS => outcome.status().as_str(),
        )
        .increment(1);
        histogram!(duration_name.clone(), names::TYPE => scan_type.clone()).record(duration);
        if let Outcome::Completed(report) = outcome {
            for severity in Severity::ALL {
                counter!(findings.clone(), names::SEVERITY => severity.as_str())
                    .increment(report.count(severity));
            }
        }
    }

    fn known_type(&self, scan_type: &str) -> SharedString {
        let known = self
            .shared
            .types
            .iter()
            .find(|known| known.as_ref() == scan_type);
        known.map_or(SharedString::const_str(names::OTHER), Clone::clone)
    }

    // The count is set under its lock: else the older of two counts could be set last.
    fn change_active(&self, change: impl FnOnce(u64) -> u64) {
        let mut active = self
            .shared
            .active
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *active = change(*active);
        #[expect(
            clippy::cast_precision_loss,
            reason = "never as many as 2^52 scans at once"
        )]
        gauge!(self.shared.names.active.clone()).set(*active as f64);
    }
}

impl fmt::Debug for ScanMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanMetrics")
            .field("types", &self.shared.types)
            .finish_non_exhaustive()
    }
}
