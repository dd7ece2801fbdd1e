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

use super::{BUCKETS, Cost, METADATA, Side, compare, exporter, key, turns, value};
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
    let what = "a page of 10,000 histograms of 11 buckets";
    let [mut of_text, mut of_open_metrics, mut of_protobuf] = [0; 3];
    // The others' pages leave the allocator in another state each.
    let [text, open_metrics, protobuf, client] = turns(
        effort,
        [
            Side::new(3, |_| page(&ours, Format::Text, &mut of_text)),
            Side::new(3, |_| {
                page(&ours, Format::OpenMetrics, &mut of_open_metrics)
            }),
            Side::new(3, |_| page(&ours, Format::Protobuf, &mut of_protobuf)),
            Side::new(3, |_| {
                let mut page = String::new();
                encode(&mut page, &clients).expect("a string takes all");
                drop(black_box(page));
            }),
        ],
    );
    for (format, ours) in [
        ("text", text),
        ("OpenMetrics", open_metrics),
        ("protobuf, theirs in OpenMetrics", protobuf),
    ] {
        let what = format!("{what}, in {format}");
        let row = compare(&what, ours, &super::client(), client);
        rows.add(row.at_most(0.2).allocates_at_most(20.0));
    }
    let mut last = 0;
    let [text, tikv] = turns(
        effort,
        [
            Side::new(3, |_| page(&ours, Format::Text, &mut last)),
            Side::new(3, |_| {
                let page = prometheus::TextEncoder::new().encode_to_string(&tikvs.gather());
                drop(black_box(page.expect("it can be written")));
            }),
        ],
    );
    rows.add(compare(what, text, &super::tikv(), tikv));
    let [text, mep] = turns(
        effort,
        [
            Side::new(3, |_| page(&ours, Format::Text, &mut last)),
            Side::new(1, |_| drop(black_box(handle.render()))),
        ],
    );
    rows.add(compare(what, text, &super::mep(), mep));
}

fn counters(effort: Effort, rows: &mut Rows) {
    for (count, called, most) in [
        (1_000, "1,000", None),
        (10_000, "10,000", None),
        (100_000, "100,000", Some(0.05)),
    ] {
        let [text, mep] = page_of_counters(effort, count);
        let what = format!("a page of {called} counters of three labels");
        let row = compare(&what, text, &super::mep(), mep).allocates_at_most(20.0);
        rows.add(match most {
            Some(most) => row.at_most(most),
            None => row,
        });
    }
}

fn page_of_counters(effort: Effort, count: usize) -> [Cost; 2] {
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
    turns(
        effort,
        [
            Side::new(3, |_| page(&ours, Format::Text, &mut last)),
            Side::new(1, |_| drop(black_box(handle.render()))),
        ],
    )
}
