//! Pages of many series, in each format.

use std::hint::black_box;

use metrics::Recorder as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use prometheus_client::{
    encoding::text::encode,
    metrics::{family::Family, histogram::Histogram as ClientHistogram},
    registry::Registry as ClientRegistry,
};
use tower_metrics_exporter::{Exporter, Filter, Format, Source as _};

use super::{BUCKETS, Cost, METADATA, OURS, Side, compare, exporter, key, turns, value};
use crate::harness::{Effort, Rows};

pub fn run(effort: Effort, rows: &mut Rows) {
    histograms(effort, rows);
    counters(effort, rows);
}

const NAME: &str = "api_request_duration_seconds";

/// A page as the service makes one: with room for as much as the last had.
fn page(exporter: &Exporter, format: Format, last: &mut usize) {
    let mut page = Vec::with_capacity(*last + *last / 16);
    exporter.encode(format, &Filter::default(), &mut page);
    *last = page.len();
    drop(black_box(page));
}

fn histograms(effort: Effort, rows: &mut Rows) {
    let what = "a page of 10,000 histograms of 11 buckets";
    let [client_title, tikv_title, mep_title] =
        [super::client(), super::tikv(), super::mep()].map(|peer| format!("{what}, beside {peer}"));
    if [&client_title, &tikv_title, &mep_title]
        .into_iter()
        .all(|title| effort.skips(title))
    {
        return;
    }
    let ours = exporter();
    let recorder = ours.recorder();
    let mep = PrometheusBuilder::new().set_buckets(&BUCKETS);
    let mep = mep.expect("the buckets can be used").build_recorder();
    let client = Family::<Vec<(String, String)>, ClientHistogram, fn() -> ClientHistogram>::new_with_constructor(
        || ClientHistogram::new(BUCKETS),
    );
    let options = prometheus::HistogramOpts::new(NAME, "Time.").buckets(BUCKETS.into());
    let labels = ["method", "endpoint", "status"];
    let tikv = prometheus::HistogramVec::new(options, &labels).expect("the buckets can be used");
    for at in 0..10_000 {
        let key = key(NAME, at);
        recorder
            .register_histogram(&key, &METADATA)
            .record(value(at));
        mep.register_histogram(&key, &METADATA).record(value(at));
        let labels = key
            .labels()
            .map(|label| (label.key().to_owned(), label.value().to_owned()));
        client.get_or_create(&labels.collect()).observe(value(at));
        let values: Vec<_> = key.labels().map(metrics::Label::value).collect();
        tikv.with_label_values(&values).observe(value(at));
    }
    let handle = mep.handle();
    let mut clients = ClientRegistry::default();
    clients.register(NAME, "Time.", client);
    let tikvs = prometheus::Registry::new();
    tikvs.register(Box::new(tikv)).expect("it is the only one");
    let [mut of_text, mut of_open_metrics, mut of_protobuf] = [0; 3];
    // The others' pages leave the allocator in another state each.
    let sides = [
        Side::new("text", 3, |_| page(&ours, Format::Text, &mut of_text)),
        Side::new("OpenMetrics", 3, |_| {
            page(&ours, Format::OpenMetrics, &mut of_open_metrics)
        }),
        Side::new("protobuf, theirs in OpenMetrics", 3, |_| {
            page(&ours, Format::Protobuf, &mut of_protobuf)
        }),
        Side::new(super::client(), 3, |_| {
            let mut page = String::new();
            encode(&mut page, &clients).expect("a string takes all");
            drop(black_box(page));
        }),
    ];
    let [formats @ .., client] = turns(effort, &client_title, sides);
    for ours in &formats {
        let what = format!("{what}, in {}", ours.counting.side);
        let (row, counted) = compare(&what, ours, &client);
        rows.add_counted((row.at_most(0.2).allocates_at_most(20.0), counted));
    }
    let mut last = 0;
    let sides = [
        Side::new(OURS, 3, |_| page(&ours, Format::Text, &mut last)),
        Side::new(super::tikv(), 3, |_| {
            let page = prometheus::TextEncoder::new().encode_to_string(&tikvs.gather());
            drop(black_box(page.expect("it can be written")));
        }),
    ];
    let [text, tikv] = turns(effort, &tikv_title, sides);
    rows.add_counted(compare(what, &text, &tikv));
    let sides = [
        Side::new(OURS, 3, |_| page(&ours, Format::Text, &mut last)),
        Side::new(super::mep(), 1, |_| drop(black_box(handle.render()))),
    ];
    let [text, mep] = turns(effort, &mep_title, sides);
    rows.add_counted(compare(what, &text, &mep));
}

fn counters(effort: Effort, rows: &mut Rows) {
    for (count, called, most) in [
        (1_000, "1,000", None),
        (10_000, "10,000", None),
        (100_000, "100,000", Some(0.05)),
    ] {
        let what = format!("a page of {called} counters of three labels");
        if effort.skips(&what) {
            continue;
        }
        let [text, mep] = page_of_counters(effort, &what, count);
        let (row, counted) = compare(&what, &text, &mep);
        let row = row.allocates_at_most(20.0);
        let row = match most {
            Some(most) => row.at_most(most),
            None => row,
        };
        if count < 100_000 {
            rows.add_counted((row, counted));
        } else {
            // To count them would take minutes.
            rows.add(row);
        }
    }
}

fn page_of_counters(effort: Effort, title: &str, count: usize) -> [Cost; 2] {
    let ours = exporter();
    let recorder = ours.recorder();
    let mep = PrometheusBuilder::new().build_recorder();
    for at in 0..count {
        let key = key("api_requests_total", at);
        recorder.register_counter(&key, &METADATA).increment(1);
        mep.register_counter(&key, &METADATA).increment(1);
    }
    let handle = mep.handle();
    let mut last = 0;
    let sides = [
        Side::new(OURS, 3, |_| page(&ours, Format::Text, &mut last)),
        Side::new(super::mep(), 1, |_| drop(black_box(handle.render()))),
    ];
    turns(effort, title, sides)
}
