use std::sync::Arc;

use metrics::{Key, Label, with_local_recorder};
use prost::Message as _;

use super::encode::Requests;
use crate::{
    Exporter, Matcher,
    format::{Labels, UnixMillis},
    sink::{Encoder as _, Payload},
};

/// What prost makes of Prometheus' `remote.proto` and `types.proto`.
mod proto {
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct WriteRequest {
        #[prost(message, repeated, tag = "1")]
        pub(super) timeseries: Vec<TimeSeries>,
        #[prost(message, repeated, tag = "3")]
        pub(super) metadata: Vec<Metadata>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct TimeSeries {
        #[prost(message, repeated, tag = "1")]
        pub(super) labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        pub(super) samples: Vec<Sample>,
        #[prost(message, repeated, tag = "3")]
        pub(super) exemplars: Vec<Exemplar>,
        #[prost(message, repeated, tag = "4")]
        pub(super) histograms: Vec<Histogram>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Histogram {
        #[prost(uint64, tag = "1")]
        pub(super) count: u64,
        #[prost(double, tag = "3")]
        pub(super) sum: f64,
        #[prost(sint32, tag = "4")]
        pub(super) schema: i32,
        #[prost(double, tag = "5")]
        pub(super) zero_threshold: f64,
        #[prost(uint64, tag = "6")]
        pub(super) zero_count: u64,
        #[prost(message, repeated, tag = "8")]
        pub(super) negative_spans: Vec<Span>,
        #[prost(sint64, repeated, tag = "9")]
        pub(super) negative_deltas: Vec<i64>,
        #[prost(message, repeated, tag = "11")]
        pub(super) positive_spans: Vec<Span>,
        #[prost(sint64, repeated, tag = "12")]
        pub(super) positive_deltas: Vec<i64>,
        #[prost(int64, tag = "15")]
        pub(super) timestamp: i64,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Span {
        #[prost(sint32, tag = "1")]
        pub(super) offset: i32,
        #[prost(uint32, tag = "2")]
        pub(super) length: u32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Label {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "2")]
        pub(super) value: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Sample {
        #[prost(double, tag = "1")]
        pub(super) value: f64,
        #[prost(int64, tag = "2")]
        pub(super) timestamp: i64,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Exemplar {
        #[prost(message, repeated, tag = "1")]
        pub(super) labels: Vec<Label>,
        #[prost(double, tag = "2")]
        pub(super) value: f64,
        #[prost(int64, tag = "3")]
        pub(super) timestamp: i64,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Metadata {
        #[prost(int32, tag = "1")]
        pub(super) r#type: i32,
        #[prost(string, tag = "2")]
        pub(super) family: String,
        #[prost(string, tag = "4")]
        pub(super) help: String,
        #[prost(string, tag = "5")]
        pub(super) unit: String,
    }
}

fn exporter() -> Exporter {
    Exporter::builder()
        .buckets(Matcher::full("t_seconds"), [0.5, 1.0])
        .exemplars(|| Some([("trace_id", "4bf9")]))
        .build()
        .unwrap()
}

fn requests() -> Requests {
    let labels = [("job", "orders"), ("a-b", "1"), ("route", "common")];
    Requests::new(Labels::new(labels).0, 2000, false)
}

fn decode(payload: &Payload) -> proto::WriteRequest {
    let page = snap::raw::Decoder::new()
        .decompress_vec(&payload.body)
        .unwrap();
    proto::WriteRequest::decode(&*page).unwrap()
}

/// What a frame becomes, without what the exporter tells of itself: name and labels, and the sample.
fn sent(requests: &mut Requests, exporter: &Exporter, at: u64) -> Vec<(String, f64, i64)> {
    let payloads = requests.encode(&Arc::new(exporter.frame(UnixMillis(at))));
    let mut sent = Vec::new();
    for series in payloads
        .iter()
        .flat_map(|payload| decode(payload).timeseries)
    {
        let names = series.labels.iter().map(|label| &label.name);
        assert!(names.is_sorted(), "{series:?}");
        let [sample] = &*series.samples else {
            panic!("{series:?}")
        };
        let labels = series
            .labels
            .iter()
            .filter(|label| label.name != "job" && label.name != "a_b");
        let labels = labels.map(|label| format!("{}={}", label.name, label.value));
        let text = labels.collect::<Vec<_>>().join(",");
        if !text.contains("__name__=exporter_") {
            sent.push((text, sample.value, sample.timestamp));
        }
    }
    sent
}

#[test]
fn every_sample_of_a_page_is_a_series_of_sorted_labels() {
    let exporter = exporter();
    with_local_recorder(&exporter.recorder(), || {
        metrics::counter!("c_total", "Z" => "\"\n", "route" => "/").increment(3);
        metrics::gauge!("g").set(-0.5);
        metrics::histogram!("t_seconds").record(0.75);
    });
    let sent = sent(&mut requests(), &exporter, 1_700_000_000_123);
    let at = 1_700_000_000_123;
    let expected = [
        ("Z=\"\n,__name__=c_total,route=/", 3.0),
        ("__name__=g,route=common", -0.5),
        ("__name__=t_seconds_bucket,le=0.5,route=common", 0.0),
        ("__name__=t_seconds_bucket,le=1.0,route=common", 1.0),
        ("__name__=t_seconds_bucket,le=+Inf,route=common", 1.0),
        ("__name__=t_seconds_sum,route=common", 0.75),
        ("__name__=t_seconds_count,route=common", 1.0),
    ];
    assert_eq!(
        sent,
        expected.map(|(labels, value)| (labels.to_owned(), value, at))
    );
}

#[test]
fn what_is_gone_is_marked_once() {
    const STALE: u64 = 0x7ff0_0000_0000_0002;
    let exporter = exporter();
    with_local_recorder(&exporter.recorder(), || {
        metrics::counter!("c_total", "v" => "1").increment(1);
        metrics::counter!("c_total", "v" => "2").increment(1);
        metrics::histogram!("t_seconds").record(0.75);
    });
    let mut requests = requests();
    assert_eq!(sent(&mut requests, &exporter, 1).len(), 7);
    assert!(exporter.remove("c_total", &[("v", "1")]));
    assert!(exporter.remove("t_seconds", &[]));
    let second = sent(&mut requests, &exporter, 2);
    let (stale, live): (Vec<_>, Vec<_>) = second
        .iter()
        .partition(|(_, value, _)| value.to_bits() == STALE);
    assert_eq!((stale.len(), live.len()), (6, 1), "{second:?}");
    assert!(stale.iter().all(|(_, _, at)| *at == 2));
    assert!(live[0].0.contains("v=2"));
    assert_eq!(sent(&mut requests, &exporter, 3).len(), 1);
}

#[test]
fn an_exemplar_goes_with_its_bucket_once() {
    let exporter = exporter();
    with_local_recorder(&exporter.recorder(), || {
        metrics::histogram!("t_seconds").record(0.75);
    });
    let mut requests = requests();
    let mut exemplars = |at: u64| {
        let payloads = requests.encode(&Arc::new(exporter.frame(UnixMillis(at))));
        let series = payloads
            .iter()
            .flat_map(|payload| decode(payload).timeseries);
        series
            .filter(|series| !series.exemplars.is_empty())
            .collect::<Vec<_>>()
    };
    let first = exemplars(UnixMillis::now().0 + 1000);
    let [series] = &*first else {
        panic!("{first:?}")
    };
    assert!(
        series
            .labels
            .iter()
            .any(|label| label.name == "le" && label.value == "1.0")
    );
    let exemplar = &series.exemplars[0];
    assert_eq!((&*exemplar.labels[0].value, exemplar.value), ("4bf9", 0.75));
    assert!(exemplars(UnixMillis::now().0 + 2000).is_empty());
}

#[test]
fn a_request_has_no_more_samples_than_it_may_and_points_are_samples() {
    let exporter = exporter();
    with_local_recorder(&exporter.recorder(), || {
        for at in 0..25 {
            let key = Key::from_parts("c_total", vec![Label::new("at", at.to_string())]);
            metrics::with_recorder(|recorder| {
                static METADATA: metrics::Metadata<'static> =
                    metrics::Metadata::new("", metrics::Level::INFO, None);
                recorder.register_counter(&key, &METADATA).increment(1);
            });
        }
    });
    let mut requests = Requests::new(Labels::default(), 10, false);
    let payloads = requests.encode(&Arc::new(exporter.frame(UnixMillis(1))));
    assert!(payloads.len() >= 3);
    for payload in &payloads {
        let series = decode(payload).timeseries.len() as u64;
        assert!(series <= 10);
        assert_eq!(series, payload.points);
    }
}

#[test]
fn help_and_type_are_sent_now_and_then() {
    let exporter = exporter();
    with_local_recorder(&exporter.recorder(), || {
        metrics::describe_counter!("c_bytes_total", "Help.");
        metrics::counter!("c_bytes_total").increment(1);
    });
    let mut requests = requests();
    let mut metadata = |at: u64| {
        let payloads = requests.encode(&Arc::new(exporter.frame(UnixMillis(at))));
        let metadata = payloads.iter().flat_map(|payload| decode(payload).metadata);
        metadata
            .filter(|one| one.family == "c_bytes_total")
            .collect::<Vec<_>>()
    };
    let first = metadata(1);
    assert_eq!(
        (first[0].r#type, &*first[0].help, &*first[0].unit),
        (1, "Help.", "bytes")
    );
    assert!(metadata(30_000).is_empty());
    assert_eq!(metadata(60_001).len(), 1);
}

#[test]
fn a_native_histogram_is_one_sample_in_place_of_its_classic_series() {
    let exporter = Exporter::builder()
        .native_histograms(Matcher::full("n_bytes"), 2.0)
        .exemplars(|| Some([("trace_id", "4bf9")]))
        .build()
        .unwrap();
    with_local_recorder(&exporter.recorder(), || {
        // Buckets (1, 2], (2, 4], (256, 512], zero, and [-4, -2).
        for value in [1.5, 2.0, 3.0, 300.0, 0.0, -3.0] {
            metrics::histogram!("n_bytes").record(value);
        }
        metrics::histogram!("t_seconds").record(0.75);
    });
    let mut requests = Requests::new(Labels::default(), 2000, true);
    let mut all = |at: u64| {
        let payloads = requests.encode(&Arc::new(exporter.frame(UnixMillis(at))));
        let series = payloads
            .iter()
            .flat_map(|payload| decode(payload).timeseries);
        let is_of = |series: &proto::TimeSeries| {
            let name = series.labels.iter().find(|label| label.name == "__name__");
            name.is_some_and(|name| name.value.starts_with("n_bytes"))
        };
        let (native, others): (Vec<_>, Vec<_>) = series.partition(is_of);
        (native, others.len())
    };
    let start = UnixMillis::now().0 + 1000;
    let (native, others) = all(start);
    assert!(others > 10);
    let [series] = &*native else {
        panic!("{native:?}")
    };
    assert_eq!(series.labels.len(), 1);
    assert!(series.samples.is_empty());
    let span = |offset, length| proto::Span { offset, length };
    let expected = proto::Histogram {
        count: 6,
        sum: 303.5,
        schema: 0,
        zero_threshold: 2f64.powi(-128),
        zero_count: 1,
        negative_spans: vec![span(2, 1)],
        negative_deltas: vec![1],
        positive_spans: vec![span(1, 2), span(6, 1)],
        positive_deltas: vec![2, -1, 0],
        timestamp: i64::try_from(start).unwrap(),
    };
    assert_eq!(series.histograms, [expected]);
    // Exemplars are of a series that is known: once, as they came.
    assert_eq!(series.exemplars, []);
    let exemplars = all(start + 1).0.remove(0).exemplars;
    assert!(exemplars.len() > 1 && exemplars.is_sorted_by_key(|exemplar| exemplar.timestamp));
    assert_eq!(all(start + 2).0[0].exemplars, []);
    // What is gone is gone by its name.
    assert!(exporter.remove("n_bytes", &[]));
    let (native, _) = all(start + 3);
    let [series] = &*native else {
        panic!("{native:?}")
    };
    assert_eq!(series.samples[0].value.to_bits(), 0x7ff0_0000_0000_0002);
    assert!(series.histograms.is_empty());
}
