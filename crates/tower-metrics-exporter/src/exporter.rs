use std::{fmt, sync::Arc};

use tower_observe::Spec;

use crate::{
    ExporterBuilder, Filter, Format, Lease, MetricsLayer, MetricsService, Recorder, Snapshot,
    Source, admin,
    cell::Reading,
    collect::{self, Collected, Collectors},
    format::{Encode, FamilyKind, Protobuf, Text},
    health,
    registry::{self, Family, HISTOGRAM_SUFFIXES, Registry},
    service::{self, ScrapeMetrics},
};

/// What the exporter says of itself: of scrapes, of what was not taken as it was, of collectors, of the
/// health that it is asked for, and with the feature `sinks` of sinks.
///
/// For documents and dashboards: an exporter knows them itself.
pub fn specs() -> Vec<Spec> {
    let specs = service::specs().into_iter();
    let specs = specs
        .chain(registry::specs())
        .chain(collect::specs())
        .chain(health::specs())
        .chain(admin::specs());
    #[cfg(feature = "sinks")]
    let specs = specs.chain(crate::sink::specs());
    specs.collect()
}

/// A handle to what was recorded. Clones are of the same registry.
#[derive(Clone)]
pub struct Exporter {
    registry: Arc<Registry>,
    collectors: Arc<Collectors>,
    /// Whether what was counted is told to somebody who is only told changes.
    #[cfg(feature = "sinks")]
    is_told: Arc<std::sync::atomic::AtomicBool>,
}

impl Exporter {
    pub(crate) fn new(registry: Arc<Registry>, collectors: Collectors) -> Self {
        Self {
            registry,
            collectors: Arc::new(collectors),
            #[cfg(feature = "sinks")]
            is_told: Arc::default(),
        }
    }

    /// Whether nobody was told changes yet: the first is told what was counted before, too.
    #[cfg(feature = "sinks")]
    pub(crate) fn is_told_first(&self) -> bool {
        !self.is_told.swap(true, std::sync::atomic::Ordering::AcqRel)
    }

    /// Starts building an exporter.
    pub fn builder() -> ExporterBuilder {
        ExporterBuilder::default()
    }

    /// The recorder that records into this exporter, for what is not to use that of the process: a layer's
    /// `.recorder(…)`, or [`metrics::with_local_recorder`].
    pub fn recorder(&self) -> Recorder {
        Recorder::new(Arc::clone(&self.registry))
    }

    /// A service that answers scrapes, on every path, with the present state of all series.
    pub fn service(&self) -> MetricsService {
        let metrics = ScrapeMetrics::new(&self.recorder(), &Format::ALL);
        let service = MetricsService::with_metrics(self.clone(), metrics);
        #[cfg(feature = "process")]
        if let Some(start) = crate::process_start_time() {
            return service.process_start(start);
        }
        service
    }

    /// A layer that answers scrapes on `/metrics`, and passes everything else to the service inside.
    pub fn layer(&self) -> MetricsLayer {
        MetricsLayer::new(self.service())
    }

    /// The present state of all series, in Prometheus' text format 0.0.4.
    pub fn render(&self) -> String {
        let mut page = Vec::new();
        self.encode(Format::Text, &Filter::default(), &mut page);
        // All of it comes from strings.
        String::from_utf8(page).unwrap_or_default()
    }

    /// The value of one series as the page shows it, for tests: a counter's, a gauge's, or under
    /// `…_count` and `…_sum` a histogram's. Labels may be in any order, by the names that the program
    /// gives them; those that every series has are left out.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        Snapshot::value(&self.registry, name, labels)
    }

    /// The present state of all series, as data.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        self.drive(&Filter::default(), &mut snapshot);
        snapshot
    }

    /// Removes a series, and tells whether there was one. A handle that is used again brings it back with
    /// its full value.
    pub fn remove(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        let Some(family) = self.registry.find(name) else {
            return false;
        };
        family.remove(&self.registry.labels_of(family.name(), labels))
    }

    /// Ties a series to the life of what it is about, such as a connection: it is removed when the last of
    /// its leases is dropped, and does not expire before.
    ///
    /// `None` if no series of this name was recorded yet.
    pub fn lease(&self, name: &str, labels: &[(&str, &str)]) -> Option<Lease> {
        let family = self.registry.find(name)?;
        let labels = self.registry.labels_of(family.name(), labels);
        Some(Lease::new(family, labels))
    }

    /// Ends the threads of the collectors that block, and names those that are stuck, whose threads end
    /// when they do. The values that they gave last stay on the page.
    pub fn stop_collectors(&self) -> Vec<String> {
        self.collectors
            .stop()
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    /// Sends the series to where they are not scraped, at intervals: to none yet.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use tower_metrics_exporter::{Exporter, MemorySink};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let exporter = Exporter::builder().build()?;
    /// let sinks = exporter
    ///     .sinks()
    ///     .interval(Duration::from_secs(10))
    ///     .sink(MemorySink::new())
    ///     .start()?;
    /// // … and before the program ends:
    /// let report = sinks.shutdown(Duration::from_secs(5)).await;
    /// assert!(report.is_complete(), "{report:?}");
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "sinks")]
    pub fn sinks(&self) -> crate::Sinks {
        crate::Sinks::new(self.clone())
    }

    /// The present state of all series, for sinks.
    #[cfg(feature = "sinks")]
    pub(crate) fn frame(&self, at: crate::format::UnixMillis) -> crate::sink::Frame {
        let mut frame = crate::sink::Frame::new(at);
        self.drive(&Filter::default(), &mut frame);
        frame
    }

    fn drive(&self, filter: &Filter, out: &mut impl Encode) {
        let collected = self.collectors.collect();
        let families = self.registry.families();
        let names = Names {
            registered: &families,
            collected: &collected,
        };
        let mut reading = Reading::default();
        let mut registered = families.iter().peekable();
        for family in collected.families() {
            let name = family.name();
            while let Some(earlier) = registered.next_if(|earlier| earlier.name() < name) {
                self.drive_family(earlier, names, filter, out, &mut reading);
            }
            if filter.has(name) && self.registry.takes_collected(name) {
                family.encode(names.have_sibling(name), out);
            }
        }
        for family in registered {
            self.drive_family(family, names, filter, out, &mut reading);
        }
        out.finish();
    }

    fn drive_family(
        &self,
        family: &Family,
        names: Names<'_>,
        filter: &Filter,
        out: &mut impl Encode,
        reading: &mut Reading,
    ) {
        let name = family.name();
        if filter.has(name) {
            let help = self.registry.help(name);
            family.encode(&help, names.have_sibling(name), out, reading);
        }
    }
}

/// The names that are on one page.
#[derive(Clone, Copy, Debug)]
struct Names<'a> {
    /// By name.
    registered: &'a [Arc<Family>],
    collected: &'a Collected,
}

impl Names<'_> {
    /// Whether others have the names that OpenMetrics keeps for the counter of this name beside that:
    /// without `_total`, and with `_created` instead.
    fn have_sibling(self, counter: &str) -> bool {
        let Some(stem) = counter.strip_suffix("_total") else {
            return false;
        };
        let created = format!("{stem}_created");
        self.have(stem) || self.have(&created) || self.has(&format!("{created}_total")).is_some()
    }

    /// Whether a family, or a histogram's samples, are called so.
    fn have(self, name: &str) -> bool {
        let mut parts = HISTOGRAM_SUFFIXES.iter();
        self.has(name).is_some()
            || parts.any(|part| {
                let histogram = name.strip_suffix(part).and_then(|stem| self.has(stem));
                histogram == Some(FamilyKind::Histogram)
            })
    }

    fn has(self, name: &str) -> Option<FamilyKind> {
        let found = self
            .registered
            .binary_search_by(|family| family.name().cmp(name));
        let registered = found.ok().and_then(|at| self.registered.get(at));
        let collected = || self.collected.has_family(name).then_some(FamilyKind::Gauge);
        registered.map(|family| family.kind()).or_else(collected)
    }
}

impl Source for Exporter {
    fn formats(&self) -> &[Format] {
        &Format::ALL
    }

    fn may_wait(&self) -> bool {
        self.collectors.may_wait()
    }

    fn encode(&self, format: Format, filter: &Filter, page: &mut Vec<u8>) {
        match format {
            Format::Text => self.drive(filter, &mut Text::prometheus(page)),
            Format::OpenMetrics => self.drive(filter, &mut Text::open_metrics(page)),
            Format::Protobuf => self.drive(filter, &mut Protobuf::new(page)),
        }
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}
