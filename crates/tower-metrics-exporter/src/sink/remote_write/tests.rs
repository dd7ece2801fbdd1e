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
    Requests::new(Labels::new(labels).0, 2000)
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
    let mut requests = Requests::new(Labels::default(), 10);
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
