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

use super::{BUCKETS, MEP, METADATA, Side, compare, exporter, key, turns, value};
use crate::harness::Effort;

pub fn run(effort: Effort) {
    histograms(effort);
    counters(effort);
}

const NAME: &str = "api_request_duration_seconds";

/// A page as the service makes one: with room for as much as the last had.
fn page(exporter: &Exporter, format: Format, last: &mut usize) {
    let mut page = Vec::with_capacity(*last + *last / 16);
    exporter.encode(format, &Filter::default(), &mut page);
    *last = page.len();
    drop(black_box(page));
}

fn histograms(effort: Effort) {
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
    let what = "page of 10,000 histograms of 11 buckets";
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
    for (what, ours) in [
        (what, text),
        ("  in OpenMetrics", open_metrics),
        ("  in protobuf", protobuf),
    ] {
        compare(what, ours, "prometheus-client", client, Some(0.2));
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
    compare(what, text, "prometheus", tikv, None);
    let [text, mep] = turns(
        effort,
        [
            Side::new(3, |_| page(&ours, Format::Text, &mut last)),
            Side::new(1, |_| drop(black_box(handle.render()))),
        ],
    );
    compare(what, text, MEP, mep, None);
}

fn counters(effort: Effort) {
    let ours = exporter();
    let recorder = ours.recorder();
    let mep = PrometheusBuilder::new().build_recorder();
    for at in 0..100_000 {
        let key = key("api_requests_total", at);
        recorder.register_counter(&key, &METADATA).increment(1);
        mep.register_counter(&key, &METADATA).increment(1);
    }
    let handle = mep.handle();
    let mut last = 0;
    let [text, mep] = turns(
        effort,
        [
            Side::new(3, |_| page(&ours, Format::Text, &mut last)),
            Side::new(1, |_| drop(black_box(handle.render()))),
        ],
    );
    let what = "page of 100,000 counters of three labels";
    compare(what, text, MEP, mep, Some(0.05));
}
