use tokio::runtime::{Handle, RuntimeMetrics};

use super::{Collector, Samples};
use crate::format::Number;

/// What tokio tells of a runtime without `tokio_unstable`.
///
/// | series | kind | |
/// |---|---|---|
/// | `tokio_workers` | gauge | threads that run tasks |
/// | `tokio_alive_tasks` | gauge | tasks that have not ended |
/// | `tokio_global_queue_depth` | gauge | tasks that wait in the queue of all workers |
/// | `tokio_worker_busy_seconds_total{worker}` | counter | time not parked, up to the last time it parked |
/// | `tokio_worker_parks_total{worker}` | counter | how often it had nothing to do |
/// | `tokio_worker_parked{worker}` | gauge | 1 while it has nothing to do. One that stays 0 while `parks_total` stands still runs a task that does not yield |
///
/// The last three are missing on targets without 64-bit atomics.
///
/// ```
/// use tower_metrics_exporter::{Collector as _, Samples, TokioCollector};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let collector = TokioCollector::new(&tokio::runtime::Handle::current());
///
/// let mut samples = Samples::default();
/// collector.collect(&mut samples);
/// assert_eq!(samples.get("tokio_workers", &[]), Some(1.0));
/// # }
/// ```
#[derive(Debug)]
pub struct TokioCollector {
    metrics: RuntimeMetrics,
    runtime: Option<String>,
}

impl TokioCollector {
    /// Of the runtime of this handle.
    pub fn new(handle: &Handle) -> Self {
        Self {
            metrics: handle.metrics(),
            runtime: None,
        }
    }

    /// Adds a label `runtime` to its series: for programs that have several.
    #[must_use]
    pub fn runtime(mut self, name: impl Into<String>) -> Self {
        self.runtime = Some(name.into());
        self
    }
}

impl Collector for TokioCollector {
    fn name(&self) -> &'static str {
        "tokio"
    }

    fn collect(&self, samples: &mut Samples) {
        let runtime = self.runtime.as_deref().map(|name| ("runtime", name));
        for (name, help, value) in [
            (
                "tokio_workers",
                "Threads that run tasks.",
                self.metrics.num_workers(),
            ),
            (
                "tokio_alive_tasks",
                "Tasks that have not ended.",
                self.metrics.num_alive_tasks(),
            ),
            (
                "tokio_global_queue_depth",
                "Tasks that wait in the queue of all workers.",
                self.metrics.global_queue_depth(),
            ),
        ] {
            samples.gauge(name, help).sample(runtime, float(value));
        }
        #[cfg(target_has_atomic = "64")]
        for worker in 0..self.metrics.num_workers() {
            let number = worker.to_string();
            let labels = || runtime.into_iter().chain([("worker", &*number)]);
            samples
                .counter(
                    "tokio_worker_busy_seconds_total",
                    "Time that a worker was not parked, up to the last time it parked.",
                )
                .unit("seconds")
                .sample(labels(), self.metrics.worker_total_busy_duration(worker));
            samples
                .counter(
                    "tokio_worker_parks_total",
                    "How often a worker had nothing to do.",
                )
                .sample(labels(), float(self.metrics.worker_park_count(worker)));
            // It counts both, from an unparked worker on.
            let is_parked = self.metrics.worker_park_unpark_count(worker) % 2 == 1;
            samples
                .gauge("tokio_worker_parked", "1 while a worker has nothing to do.")
                .sample(labels(), if is_parked { 1.0 } else { 0.0 });
        }
    }
}

fn float(count: impl TryInto<u64>) -> f64 {
    Number::Whole(count.try_into().unwrap_or_default()).as_f64()
}
