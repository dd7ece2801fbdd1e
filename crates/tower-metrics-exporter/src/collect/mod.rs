//! What is read when somebody asks: the process, the runtime, and what an application adds.

mod info;
#[cfg(feature = "process")]
mod process;
mod run;
#[cfg(feature = "tokio")]
mod runtime;
mod samples;
mod slot;

use std::{fmt, time::Duration};

#[cfg(feature = "process")]
pub use self::process::{ProcessCollector, process_start_time};
#[cfg(feature = "tokio")]
pub use self::runtime::TokioCollector;
pub use self::{
    info::{BuildInfo, TargetInfo},
    samples::{SampleFamily, Samples},
};
pub(crate) use self::{
    run::Collectors,
    samples::{Collected, CollectedFamily, SampleRules},
    slot::specs,
};

/// Reads values at the moment of a scrape: of the process, of a pool, of whatever counts by itself.
///
/// A collector cannot spoil a scrape. If it panics, or does not end within its budget, the page has the
/// values of its last good run, and every other family. What became of it is told by:
///
/// | series | kind | |
/// |---|---|---|
/// | `exporter_collector_duration_seconds{collector}` | gauge | how long the last run took, or the present one so far |
/// | `exporter_collector_stale_seconds{collector}` | gauge | age of the values: 0 if read for this page; since the start if there were none |
/// | `exporter_collector_errors_total{collector,reason}` | counter | see below; every reason is there from the start |
///
/// | `reason` | what happened | what the page has |
/// |---|---|---|
/// | `panic` | it panicked | the last good values |
/// | `timeout` | it did not end within its budget: at each page without its fresh values | the last good values |
/// | `error` | it said so: [`Samples::error`] | what it gave |
/// | `duplicate` | a series twice, in one collector or in two | the first |
/// | `duplicate_label` | a label twice, also after names were made valid | the first |
/// | `label_too_long` | the value of a label has more than 8 KiB | the others |
/// | `limit` | more series than the family may have: [`ExporterBuilder::limit`](crate::ExporterBuilder::limit) | the first |
/// | `kind` | one name for a counter and a gauge | the first |
/// | `value` | a counter that is negative or no number | the others |
///
/// ```
/// use std::sync::Mutex;
///
/// use tower_metrics_exporter::{Collector, Samples};
///
/// struct Queue(Mutex<Vec<u64>>);
///
/// impl Collector for Queue {
///     fn name(&self) -> &str {
///         "queue"
///     }
///
///     fn collect(&self, samples: &mut Samples) {
///         let queue = self.0.lock().unwrap();
///         samples.gauge("queue_jobs", "Jobs that wait.").value(queue.len() as f64);
///     }
/// }
///
/// let mut samples = Samples::default();
/// Queue(Mutex::new(vec![3, 4])).collect(&mut samples);
/// assert_eq!(samples.get("queue_jobs", &[]), Some(2.0));
/// ```
pub trait Collector: Send + Sync + 'static {
    /// The value of the label `collector` in the series about it. A second collector of the same name is
    /// told apart by a number.
    fn name(&self) -> &str;

    /// Adds what there is to `samples`. Several scrapes may call it at the same time, unless it
    /// [blocks](Self::is_blocking).
    fn collect(&self, samples: &mut Samples);

    /// Whether it may take long, as what asks a disk, a database or a lock does. It then has a thread of
    /// its own, and a scrape waits for it no longer than its budget. While it is stuck it is not called
    /// again.
    ///
    /// No unless said otherwise: it is called on the thread of the scrape, which it must not hold up.
    fn is_blocking(&self) -> bool {
        false
    }

    /// How long a scrape waits for it, if it blocks; 100 ms unless said otherwise.
    fn budget(&self) -> Duration {
        DEFAULT_BUDGET
    }
}

const DEFAULT_BUDGET: Duration = Duration::from_millis(100);

/// Makes a collector of a closure.
///
/// ```
/// use tower_metrics_exporter::{Collector as _, Samples, collector_fn};
///
/// let collector = collector_fn("disk", |samples: &mut Samples| {
///     let mut free = samples.gauge("disk_free_bytes", "Bytes free.");
///     free.unit("bytes").sample([("mount", "/")], 4096.0).sample([("mount", "/var")], 512.0);
/// })
/// .blocking();
///
/// let mut samples = Samples::default();
/// collector.collect(&mut samples);
/// assert_eq!(samples.get("disk_free_bytes", &[("mount", "/var")]), Some(512.0));
/// ```
pub fn collector_fn<F>(name: impl Into<String>, collect: F) -> CollectorFn<F>
where
    F: Fn(&mut Samples) + Send + Sync + 'static,
{
    CollectorFn {
        name: name.into(),
        collect,
        is_blocking: false,
        budget: DEFAULT_BUDGET,
    }
}

/// A closure that is a collector; see [`collector_fn`].
#[derive(Clone)]
pub struct CollectorFn<F> {
    name: String,
    collect: F,
    is_blocking: bool,
    budget: Duration,
}

impl<F> CollectorFn<F> {
    /// Says that it may take long; see [`Collector::is_blocking`].
    #[must_use]
    pub fn blocking(mut self) -> Self {
        self.is_blocking = true;
        self
    }

    /// Sets how long a scrape waits for it if it is [blocking](Self::blocking); 100 ms unless set.
    #[must_use]
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }
}

impl<F> Collector for CollectorFn<F>
where
    F: Fn(&mut Samples) + Send + Sync + 'static,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn collect(&self, samples: &mut Samples) {
        (self.collect)(samples);
    }

    fn is_blocking(&self) -> bool {
        self.is_blocking
    }

    fn budget(&self) -> Duration {
        self.budget
    }
}

impl<F> fmt::Debug for CollectorFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectorFn")
            .field("name", &self.name)
            .field("is_blocking", &self.is_blocking)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
