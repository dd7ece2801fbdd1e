//! What an export costs, in processor time: all series read, encoded and sent, beside peers that read and encode
//! the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hint::black_box,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use benches::{
    export::{BUCKETS, Exports, Kind, SERVER, Server, To},
    report::Row,
};
use metrics::{Key, Level, Metadata, Recorder as _};
use metrics_exporter_dogstatsd::DogStatsDBuilder;
use metrics_exporter_prometheus::PrometheusBuilder;
use opentelemetry::{KeyValue, metrics::MeterProvider as _};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{KeyValue as Attribute, any_value},
    metrics::v1::{metric::Data, number_data_point},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        PeriodicReader, SdkMeterProvider, Stream, Temporality, data::ResourceMetrics,
        exporter::PushMetricExporter,
    },
};
use prost::Message as _;
use test_support::alloc::{self, Allocations};

use super::recorder::{Side, mep, row_of, turns};
use crate::{
    harness::{Effort, Rows},
    versions,
};

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

const SERIES: usize = 10_000;

pub fn run(effort: Effort, rows: &mut Rows) {
    // What else threads do is not a profiler's.
    if effort.is_of_one() {
        return;
    }
    println!(
        "\nsinks: processor time of an export of a sink that runs, to a server on loopback; the peers' are not sent, \
         but for DogStatsD"
    );
    for kind in [Kind::Counters, Kind::Histograms] {
        let by_otlp = otlp(effort, rows, kind);
        pushgateway(effort, rows, kind);
        remote_write(effort, rows, kind, by_otlp);
    }
    dogstatsd(effort, rows);
    on_the_path(effort, rows);
}

/// What is exported, in words.
const fn called(kind: Kind) -> &'static str {
    match kind {
        Kind::Counters => "10,000 counters of three labels",
        Kind::Histograms => "10,000 histograms of 11 buckets",
    }
}

/// Exports, or what a peer does for one, this many times.
type Work<'a> = &'a dyn Fn(usize);

/// The processor time of all threads but the servers', and allocations: the sides take turns.
fn turns_of<const N: usize>(effort: Effort, sides: [Work<'_>; N]) -> [Cost; N] {
    /// Enough to be seen by a clock that is read some hundred times a second.
    const EXPORTS: usize = 5;
    let mut costs = [Cost {
        nanos: f64::MAX,
        allocations: 0.0,
    }; N];
    for work in sides {
        work(1);
    }
    for _ in 0..effort.rounds.min(9) {
        for (work, cost) in sides.iter().zip(&mut costs) {
            let before = processor_time(|thread| thread != SERVER);
            let counted = alloc::count(|| work(EXPORTS));
            let spent = processor_time(|thread| thread != SERVER) - before;
            cost.nanos = cost.nanos.min(spent.as_nanos() as f64 / EXPORTS as f64);
            cost.allocations = counted.allocations as f64 / EXPORTS as f64;
        }
    }
    costs
}

/// What the threads of these names have had of processors so far.
fn processor_time(of: impl Fn(&str) -> bool) -> Duration {
    let threads = fs::read_dir("/proc/self/task").expect("Linux tells of threads");
    let mut time = Duration::ZERO;
    for thread in threads {
        let path = thread.expect("it can be read").path();
        // The thread may be gone by now.
        let read = |file| fs::read_to_string(path.join(file)).unwrap_or_default();
        if of(read("comm").trim()) {
            let spent = read("schedstat");
            let spent = spent.split(' ').next().and_then(|spent| spent.parse().ok());
            time += Duration::from_nanos(spent.unwrap_or_default());
        }
    }
    time
}

/// What an export costs.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// Nanoseconds of processors, the least there was.
    nanos: f64,
    allocations: f64,
}

fn row(what: String, ours: Cost, peer: &str, theirs: Cost) -> Row {
    Row::new("sinks", what, ours.nanos)
        .beside(peer, theirs.nanos)
        .allocations(ours.allocations, theirs.allocations)
        .headline()
}

fn bytes(what: String, ours: &[Vec<u8>]) -> Row {
    let bytes: usize = ours.iter().map(Vec::len).sum();
    Row::new("sinks", what, bytes as f64).in_bytes()
}

fn otlp(effort: Effort, rows: &mut Rows, kind: Kind) -> Cost {
    let ours = Exports::new(kind, SERIES, To::Otlp);
    let theirs = Sdk::new(kind);
    let bodies = Exports::once(&kind.exporter(SERIES), To::Otlp);
    theirs.run();
    let body = theirs.exporter.body();
    let [mine, other] = [&bodies, &vec![body.clone()]].map(|bodies| points(bodies, kind));
    assert_eq!(mine.len(), SERIES);
    assert!(mine == other, "both export the same");
    let [cost, of_peer] = turns_of(
        effort,
        [&|exports| ours.run(exports), &|exports| {
            (0..exports).for_each(|_| theirs.run());
        }],
    );
    let peer = versions::named("opentelemetry-proto");
    let peer = format!("opentelemetry_sdk, {peer}");
    let what = called(kind);
    let row = row(format!("{what} by OTLP"), cost, &peer, of_peer);
    rows.add(row.at_most(0.5));
    let what = format!("what is sent of {what} by OTLP");
    rows.add(bytes(what, &bodies).beside(&peer, body.len() as f64));
    cost
}

/// By their endpoint: the count or the sum, and how many are in each bucket.
fn points(bodies: &[Vec<u8>], kind: Kind) -> BTreeMap<String, (f64, Vec<u64>)> {
    let mut points = BTreeMap::new();
    for body in bodies {
        let request = ExportMetricsServiceRequest::decode(&body[..]).expect("it is one");
        let scopes = request
            .resource_metrics
            .into_iter()
            .flat_map(|all| all.scope_metrics);
        for metric in scopes.flat_map(|scope| scope.metrics) {
            if metric.name != kind.name() {
                continue;
            }
            match metric.data {
                Some(Data::Sum(sum)) => {
                    for point in sum.data_points {
                        let value = match point.value {
                            Some(number_data_point::Value::AsInt(value)) => value as f64,
                            Some(number_data_point::Value::AsDouble(value)) => value,
                            None => f64::NAN,
                        };
                        points.insert(endpoint(&point.attributes), (value, Vec::new()));
                    }
                }
                Some(Data::Histogram(histogram)) => {
                    for point in histogram.data_points {
                        assert_eq!(point.explicit_bounds, BUCKETS);
                        let value = (point.sum.unwrap_or(f64::NAN), point.bucket_counts);
                        points.insert(endpoint(&point.attributes), value);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
    points
}

fn endpoint(attributes: &[Attribute]) -> String {
    assert_eq!(attributes.len(), 3);
    let found = attributes.iter().find(|one| one.key == "endpoint");
    let value = found.and_then(|one| one.value.as_ref()?.value.clone());
    match value {
        Some(any_value::Value::StringValue(value)) => value,
        other => panic!("{other:?}"),
    }
}

/// OpenTelemetry's SDK with the same series, read when it is told to.
struct Sdk {
    provider: SdkMeterProvider,
    exporter: Encoding,
}

impl Sdk {
    fn new(kind: Kind) -> Self {
        let exporter = Encoding::default();
        let reader = PeriodicReader::builder(exporter.clone())
            .with_interval(Duration::from_secs(24 * 60 * 60))
            .build();
        let provider = SdkMeterProvider::builder()
            .with_reader(reader)
            // 2,000 unless set.
            .with_view(|_: &_| {
                let stream = Stream::builder().with_cardinality_limit(2 * SERIES);
                stream.build().ok()
            })
            .build();
        let meter = provider.meter("benches");
        let attributes = |at| Kind::labels(at).map(|(name, value)| KeyValue::new(name, value));
        match kind {
            Kind::Counters => {
                let counter = meter.u64_counter(kind.name()).build();
                for at in 0..SERIES {
                    counter.add(Kind::count(at), &attributes(at));
                }
            }
            Kind::Histograms => {
                let histogram = meter.f64_histogram(kind.name());
                let histogram = histogram.with_boundaries(BUCKETS.to_vec()).build();
                for at in 0..SERIES {
                    histogram.record(Kind::value(at), &attributes(at));
                }
            }
        }
        Self { provider, exporter }
    }

    /// Reads and encodes. What its thread allocates for it is counted on this one.
    fn run(&self) {
        let before = self.exporter.so_far();
        self.provider.force_flush().expect("the reader collects");
        alloc::add(self.exporter.so_far().since(before));
    }
}

/// Does what opentelemetry-otlp does before it sends.
#[derive(Clone, Debug, Default)]
struct Encoding {
    /// The last body, and what the thread has allocated up to it.
    last: Arc<Mutex<(Vec<u8>, Allocations)>>,
}

impl Encoding {
    fn body(&self) -> Vec<u8> {
        self.last.lock().expect("nobody panicked").0.clone()
    }

    fn so_far(&self) -> Allocations {
        self.last.lock().expect("nobody panicked").1
    }
}

impl PushMetricExporter for Encoding {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let body = ExportMetricsServiceRequest::from(metrics).encode_to_vec();
        *self.last.lock().expect("nobody panicked") = (body, alloc::so_far());
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

fn pushgateway(effort: Effort, rows: &mut Rows, kind: Kind) {
    let ours = Exports::new(kind, SERIES, To::Pushgateway);
    let theirs = PrometheusBuilder::new().set_buckets(&BUCKETS);
    let theirs = theirs.expect("the buckets can be used").build_recorder();
    kind.record(&theirs, SERIES);
    let theirs = theirs.handle();
    let bodies = Exports::once(&kind.exporter(SERIES), To::Pushgateway);
    let page = theirs.render();
    let mine = bodies
        .iter()
        .map(|body| String::from_utf8_lossy(body).into_owned());
    let [mine, other] = [mine.collect(), page.clone()].map(|page| samples(&page, kind));
    assert!(mine.len() >= SERIES);
    assert!(mine == other, "both push the same");
    let [cost, of_peer] = turns_of(
        effort,
        [&|exports| ours.run(exports), &|exports| {
            (0..exports).for_each(|_| drop(black_box(theirs.render())));
        }],
    );
    let peer = mep();
    let what = called(kind);
    let row = row(format!("{what} to a Pushgateway"), cost, &peer, of_peer);
    rows.add(row.at_most(0.2));
    let what = format!("what is sent of {what} to a Pushgateway");
    rows.add(bytes(what, &bodies).beside(&peer, page.len() as f64));
}

/// The samples of a page in the text format, whatever the order of their labels.
fn samples(page: &str, kind: Kind) -> BTreeMap<(String, BTreeSet<String>), u64> {
    let samples = page.lines().filter(|line| line.starts_with(kind.name()));
    let samples = samples.map(|line| {
        let (name, rest) = line.split_once('{').expect("each has labels");
        let (labels, value) = rest.rsplit_once("} ").expect("each has a value");
        // 1.0 and 1 are the same bound.
        let labels = labels.split(',').map(|label| label.replace(".0\"", "\""));
        let value: f64 = value.parse().expect("it is a number");
        ((name.to_owned(), labels.collect()), value.to_bits())
    });
    samples.collect()
}

/// There is no peer that is kept, and has series of its own.
fn remote_write(effort: Effort, rows: &mut Rows, kind: Kind, by_otlp: Cost) {
    let ours = Exports::new(kind, SERIES, To::RemoteWrite);
    let bodies = Exports::once(&kind.exporter(SERIES), To::RemoteWrite);
    let [cost] = turns_of(effort, [&|exports| ours.run(exports)]);
    let what = called(kind);
    rows.add(row(
        format!("{what} by remote-write"),
        cost,
        "ours by OTLP",
        by_otlp,
    ));
    let what = format!("what is sent of {what} by remote-write");
    rows.add(bytes(what, &bodies));
}

/// The peer reads, encodes and sends on a thread of its own, after its own interval.
fn dogstatsd(effort: Effort, rows: &mut Rows) {
    const INTERVAL: Duration = Duration::from_millis(500);
    let kind = Kind::Counters;
    let ours = Exports::new(kind, SERIES, To::DogStatsd);
    let short = Effort {
        rounds: effort.rounds.min(3),
        ..effort
    };
    let [cost] = turns_of(short, [&|exports| ours.run(exports)]);
    let server = Server::udp().expect("loopback has a free port");
    let theirs = DogStatsDBuilder::default()
        .with_remote_address(server.address.to_string())
        .expect("it is an address")
        .with_flush_interval(INTERVAL)
        .with_telemetry(false)
        .build()
        .expect("it can be built");
    let counters: Vec<_> = (0..SERIES)
        .map(|at| theirs.register_counter(&kind.key(at), &METADATA))
        .collect();
    // A name has 15 bytes.
    let spent_by_them = || processor_time(|thread| thread == "metrics-exporte");
    let count = || counters.iter().for_each(|counter| counter.increment(1));
    let mut least = f64::MAX;
    for _ in 0..short.rounds {
        let (start, before) = (Instant::now(), spent_by_them());
        // Twice an interval, so that none finds a counter idle.
        for _ in 0..8 {
            count();
            thread::sleep(INTERVAL / 2);
        }
        let spent = (spent_by_them() - before).as_nanos() as f64;
        let intervals = start.elapsed().as_secs_f64() / INTERVAL.as_secs_f64();
        least = least.min(spent / intervals);
    }
    assert!(!spent_by_them().is_zero(), "their thread has its name");
    let peer = versions::named("metrics-exporter-dogstatsd");
    let what = format!("{} by DogStatsD", called(kind));
    let row = Row::new("sinks", what, cost.nanos).beside(&peer, least);
    rows.add(row.headline());
}

/// What a request pays for being exported: nothing, but for the caches and the processor that they share.
fn on_the_path(effort: Effort, rows: &mut Rows) {
    let held = |exporter: &tower_metrics_exporter::Exporter| {
        let key = Key::from_static_name("held_total");
        exporter.recorder().register_counter(&key, &METADATA)
    };
    let quiet = Kind::Counters.exporter(SERIES);
    let exports = Exports::new(Kind::Counters, SERIES, To::Otlp);
    let [in_quiet, in_busy] = [&quiet, exports.exporter()].map(held);
    let stops = AtomicBool::new(false);
    let title = "a held counter while all series are exported again and again";
    let [beside, alone] = thread::scope(|scope| {
        scope.spawn(|| {
            while !stops.load(Ordering::Relaxed) {
                exports.run(1);
            }
        });
        let operations = effort.operations;
        let costs = turns(
            effort,
            title,
            [
                Side::new("ours", operations, |_| black_box(&in_busy).increment(1)),
                Side::new("ours, not exported", operations, |_| {
                    black_box(&in_quiet).increment(1);
                }),
            ],
        );
        stops.store(true, Ordering::Relaxed);
        costs
    });
    let (row, _) = row_of("sinks", title, &beside, &alone);
    rows.add(row.allocates_at_most(0.0).headline());
}
