//! Scans with a recorder and clocks of their own, and what is true of them whatever happens.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio::runtime::{Builder, Runtime};
use tower_observe::ManualClock;
use tower_scan_lifecycle::{ScanMeta, ScanMetrics, ScanMetricsBuilder, names};

/// Scans of the types `mcp` and `model`, and what is recorded of them.
#[derive(Clone)]
pub struct Scene {
    pub scans: ScanMetrics,
    pub clock: ManualClock,
    pub wall: Arc<Mutex<SystemTime>>,
    pub handle: PrometheusHandle,
}

pub fn recorder() -> PrometheusRecorder {
    PrometheusBuilder::new()
        .set_buckets(&names::SCAN_DURATION_BUCKETS)
        .expect("buckets")
        .build_recorder()
}

impl Scene {
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub fn with(build: impl FnOnce(ScanMetricsBuilder) -> ScanMetricsBuilder) -> Self {
        let clock = ManualClock::new();
        let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let wall = Arc::new(Mutex::new(start));
        let recorder = recorder();
        let handle = recorder.handle();
        let now = Arc::clone(&wall);
        let builder = ScanMetrics::builder()
            .types(["mcp", "model"])
            .clock(clock.clock())
            .wall_clock(move || *now.lock().unwrap())
            .recorder(Arc::new(recorder));
        let scans = build(builder).build().unwrap();
        scans.register();
        Self {
            scans,
            clock,
            wall,
            handle,
        }
    }

    pub fn mcp(&self) -> ScanMeta {
        ScanMeta::new("mcp").id("7")
    }

    /// Every sample.
    pub fn samples(&self) -> BTreeMap<String, f64> {
        let page = self.handle.render();
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| {
                let (series, value) = line.rsplit_once(' ')?;
                Some((series.to_owned(), value.parse().ok()?))
            })
            .collect()
    }

    /// The value of one series, without the prefix; 0 if it is not there.
    pub fn value(&self, series: &str) -> f64 {
        let series = format!("sentrascan_{series}");
        self.samples().get(&series).copied().unwrap_or(0.0)
    }

    /// How many scans of type `mcp` ended in each status: completed, failed, timed out, cancelled.
    pub fn ends(&self) -> [f64; 4] {
        ["completed", "failed", "timed_out", "cancelled"]
            .map(|status| self.value(&format!("scans_total{{type=\"mcp\",status=\"{status}\"}}")))
    }

    /// How many scans of type `mcp` did not complete for this reason.
    pub fn failures(&self, reason: &str) -> f64 {
        self.value(&format!(
            "scan_failures_total{{type=\"mcp\",reason=\"{reason}\"}}"
        ))
    }

    /// How many of type `mcp` were rejected for this reason.
    pub fn rejected(&self, reason: &str) -> f64 {
        self.value(&format!(
            "scans_rejected_total{{type=\"mcp\",reason=\"{reason}\"}}"
        ))
    }

    pub fn active(&self) -> f64 {
        self.value("active_scans")
    }

    pub fn findings(&self, severity: &str) -> f64 {
        self.value(&format!("findings_total{{severity=\"{severity}\"}}"))
    }

    /// R1 to R3, and R11: true at any time. `unknown` is how many abandoned scans had no known start.
    #[track_caller]
    pub fn check(&self, unknown: u64) {
        let samples = self.samples();
        let sum = |name: &str, label: &str| -> f64 {
            samples
                .iter()
                .filter(|(series, _)| {
                    series.strip_prefix("sentrascan_").is_some_and(|series| {
                        series.split('{').next() == Some(name) && series.contains(label)
                    })
                })
                .map(|(_, value)| value)
                .sum()
        };
        let all = |name| sum(name, "");
        assert_eq!(
            all("scans_started_total"),
            all("scans_total")
                + all("scans_rejected_total")
                + all("scan_retries_total")
                + all("active_scans"),
            "R1: started = ended + rejected + given back + active"
        );
        assert_eq!(
            all("scan_duration_seconds_count") + unknown as f64,
            all("scans_total"),
            "R2: a duration for every end"
        );
        for scan_type in ["mcp", "model", "other"] {
            let of = |name| sum(name, &format!("type=\"{scan_type}\""));
            let completed = samples.get(&format!(
                "sentrascan_scans_total{{type=\"{scan_type}\",status=\"completed\"}}"
            ));
            assert_eq!(
                of("scan_failures_total"),
                of("scans_total") - completed.copied().unwrap_or_default(),
                "R3: a reason for every end of {scan_type} that is not completed"
            );
        }
        let negative = samples.iter().find(|(_, value)| **value < 0.0);
        assert_eq!(negative, None, "R11");
        assert_eq!(all("active_scans"), self.scans.active() as f64);
        assert_eq!(all("queued_scans"), self.scans.queued() as f64);
    }
}

pub fn runtimes() -> [(&'static str, Runtime); 2] {
    [
        (
            "current-thread",
            Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
        ),
        (
            "multi-thread",
            Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime"),
        ),
    ]
}

/// Runs `test` as a task of a current-thread runtime, then of a multi-thread one, each with a scene of its
/// own, of which the identities have to hold afterwards.
#[track_caller]
pub fn on_both<F>(test: impl Fn(Scene) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    on_both_with(Scene::new, test);
}

#[track_caller]
pub fn on_both_with<F>(scene: impl Fn() -> Scene, test: impl Fn(Scene) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    for (flavor, runtime) in runtimes() {
        let scene = scene();
        let task = runtime.spawn(test(scene.clone()));
        let done =
            runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), task).await });
        match done {
            Ok(Ok(())) => scene.check(0),
            Ok(Err(error)) => panic!("on the {flavor} runtime: {error}"),
            Err(_) => panic!("on the {flavor} runtime: not done within 30 seconds"),
        }
    }
}
