use std::sync::Arc;

use prost::Message as _;

use super::encode::{Limits, Requests, whole};
use crate::{
    Exporter, Matcher,
    format::UnixMillis,
    sink::{Encoder as _, Payload},
};

/// What prost makes of OpenTelemetry's `metrics_service.proto` and what it includes.
mod proto {
    use prost::{Message, Oneof};

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Request {
        #[prost(message, repeated, tag = "1")]
        pub(super) resource_metrics: Vec<ResourceMetrics>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct ResourceMetrics {
        #[prost(message, optional, tag = "1")]
        pub(super) resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")]
        pub(super) scope_metrics: Vec<ScopeMetrics>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Resource {
        #[prost(message, repeated, tag = "1")]
        pub(super) attributes: Vec<KeyValue>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct KeyValue {
        #[prost(string, tag = "1")]
        pub(super) key: String,
        #[prost(message, optional, tag = "2")]
        pub(super) value: Option<AnyValue>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct AnyValue {
        #[prost(string, tag = "1")]
        pub(super) string: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct ScopeMetrics {
        #[prost(message, optional, tag = "1")]
        pub(super) scope: Option<Scope>,
        #[prost(message, repeated, tag = "2")]
        pub(super) metrics: Vec<Metric>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Scope {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "2")]
        pub(super) version: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Metric {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "2")]
        pub(super) description: String,
        #[prost(string, tag = "3")]
        pub(super) unit: String,
        #[prost(message, optional, tag = "5")]
        pub(super) gauge: Option<Numbers>,
        #[prost(message, optional, tag = "7")]
        pub(super) sum: Option<Numbers>,
        #[prost(message, optional, tag = "9")]
        pub(super) histogram: Option<Histogram>,
        #[prost(message, optional, tag = "10")]
        pub(super) exponential: Option<Exponential>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Numbers {
        #[prost(message, repeated, tag = "1")]
        pub(super) points: Vec<NumberPoint>,
        #[prost(int32, tag = "2")]
        pub(super) temporality: i32,
        #[prost(bool, tag = "3")]
        pub(super) is_monotonic: bool,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct NumberPoint {
        #[prost(message, repeated, tag = "7")]
        pub(super) attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "2")]
        pub(super) start: u64,
        #[prost(fixed64, tag = "3")]
        pub(super) time: u64,
        #[prost(oneof = "Number", tags = "4, 6")]
        pub(super) value: Option<Number>,
    }

    #[derive(Clone, PartialEq, Oneof)]
    pub(super) enum Number {
        #[prost(double, tag = "4")]
        Double(f64),
        #[prost(sfixed64, tag = "6")]
        Int(i64),
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Histogram {
        #[prost(message, repeated, tag = "1")]
        pub(super) points: Vec<HistogramPoint>,
        #[prost(int32, tag = "2")]
        pub(super) temporality: i32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct HistogramPoint {
        #[prost(message, repeated, tag = "9")]
        pub(super) attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "2")]
        pub(super) start: u64,
        #[prost(fixed64, tag = "3")]
        pub(super) time: u64,
        #[prost(fixed64, tag = "4")]
        pub(super) count: u64,
        #[prost(double, optional, tag = "5")]
        pub(super) sum: Option<f64>,
        #[prost(fixed64, repeated, tag = "6")]
        pub(super) counts: Vec<u64>,
        #[prost(double, repeated, tag = "7")]
        pub(super) bounds: Vec<f64>,
        #[prost(message, repeated, tag = "8")]
        pub(super) exemplars: Vec<Exemplar>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Exponential {
        #[prost(message, repeated, tag = "1")]
        pub(super) points: Vec<ExponentialPoint>,
        #[prost(int32, tag = "2")]
        pub(super) temporality: i32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct ExponentialPoint {
        #[prost(message, repeated, tag = "1")]
        pub(super) attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "2")]
        pub(super) start: u64,
        #[prost(fixed64, tag = "3")]
        pub(super) time: u64,
        #[prost(fixed64, tag = "4")]
        pub(super) count: u64,
        #[prost(double, optional, tag = "5")]
        pub(super) sum: Option<f64>,
        #[prost(sint32, tag = "6")]
        pub(super) scale: i32,
        #[prost(fixed64, tag = "7")]
        pub(super) zero_count: u64,
        #[prost(message, optional, tag = "8")]
        pub(super) positive: Option<Buckets>,
        #[prost(message, optional, tag = "9")]
        pub(super) negative: Option<Buckets>,
        #[prost(message, repeated, tag = "11")]
        pub(super) exemplars: Vec<Exemplar>,
        #[prost(double, tag = "14")]
        pub(super) zero_threshold: f64,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Buckets {
        #[prost(sint32, tag = "1")]
        pub(super) offset: i32,
        #[prost(uint64, repeated, tag = "2")]
        pub(super) counts: Vec<u64>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Exemplar {
        #[prost(message, repeated, tag = "7")]
        pub(super) attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "2")]
        pub(super) time: u64,
        #[prost(double, tag = "3")]
        pub(super) value: f64,
        #[prost(bytes, tag = "4")]
        pub(super) span_id: Vec<u8>,
        #[prost(bytes, tag = "5")]
        pub(super) trace_id: Vec<u8>,
    }
}

fn exporter() -> Exporter {
    Exporter::builder()
        .buckets(Matcher::full("t_seconds"), [0.5, 1.0])
        .native_histograms(Matcher::full("n_bytes"), 2.0)
        .exemplars(|| {
            Some([
                ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
                ("span_id", "00f067aa0ba902b7"),
                ("user", "7"),
            ])
        })
        .build()
        .unwrap()
}

fn requests(points: usize) -> Requests {
    requests_of(Limits {
        points,
        bytes: 4 << 20,
    })
}

fn requests_of(limits: Limits) -> Requests {
    let resource = [(String::from("service.name"), String::from("orders"))];
    Requests::new(&resource, limits, false, whole)
}

fn decode(payload: &Payload) -> proto::ResourceMetrics {
    let mut request = proto::Request::decode(payload.body.clone()).unwrap();
    assert_eq!(request.resource_metrics.len(), 1);
    request.resource_metrics.remove(0)
}

/// The metrics of a frame, without what the exporter tells of itself.
fn metrics_at(requests: &mut Requests, exporter: &Exporter, at: u64) -> Vec<proto::Metric> {
    let payloads = requests.encode(&Arc::new(exporter.frame(UnixMillis(at))));
    let metrics = payloads.iter().flat_map(|payload| {
        let mut all = decode(payload);
        assert_eq!(all.scope_metrics.len(), 1);
        all.scope_metrics.remove(0).metrics
    });
    metrics
        .filter(|metric| !metric.name.starts_with("exporter_"))
        .collect()
}

fn attributes(attributes: &[proto::KeyValue]) -> Vec<(&str, &str)> {
    attributes
        .iter()
        .map(|pair| (&*pair.key, &*pair.value.as_ref().unwrap().string))
        .collect()
}

const AT: u64 = 9_000_000_000_000;

#[test]
fn every_kind_of_series_comes_as_what_it_is() {
    let exporter = exporter();
    metrics::with_local_recorder(&exporter.recorder(), || {
        metrics::describe_counter!("c_bytes_total", "Help.");
        metrics::counter!("c_bytes_total", "route" => "/").increment((1 << 53) + 1);
        metrics::gauge!("g").set(-0.5);
        for value in [0.75, 0.75, 3.0] {
            metrics::histogram!("t_seconds").record(value);
        }
    });
    let all = metrics_at(&mut requests(2000), &exporter, AT);
    let [counter, gauge, histogram] = &*all else {
        panic!("{all:?}")
    };
    assert_eq!(
        (&*counter.name, &*counter.description, &*counter.unit),
        ("c_bytes_total", "Help.", "By")
    );
    let sum = counter.sum.as_ref().unwrap();
    assert_eq!((sum.temporality, sum.is_monotonic), (2, true));
    let point = &sum.points[0];
    assert_eq!(point.value, Some(proto::Number::Int((1 << 53) + 1)));
    assert_eq!(point.time, AT * 1_000_000);
    assert!(point.start > 0 && point.start < point.time);
    assert_eq!(attributes(&point.attributes), [("route", "/")]);

    let gauge = gauge.gauge.as_ref().unwrap();
    assert_eq!(gauge.points[0].value, Some(proto::Number::Double(-0.5)));
    assert_eq!(gauge.points[0].start, 0);

    assert_eq!((&*histogram.name, &*histogram.unit), ("t_seconds", "s"));
    let histogram = histogram.histogram.as_ref().unwrap();
    assert_eq!(histogram.temporality, 2);
    let point = &histogram.points[0];
    assert_eq!((point.count, point.sum), (3, Some(4.5)));
    assert_eq!(
        (&*point.counts, &*point.bounds),
        (&[0, 2, 1][..], &[0.5, 1.0][..])
    );
    assert_eq!(point.exemplars.len(), 2);
    let exemplar = &point.exemplars[0];
    assert_eq!(
        (exemplar.trace_id.len(), &*exemplar.span_id),
        (16, &[0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7][..])
    );
    assert_eq!(attributes(&exemplar.attributes), [("user", "7")]);
}

#[test]
fn a_native_histogram_is_an_exponential_one_of_the_same_buckets() {
    let exporter = exporter();
    metrics::with_local_recorder(&exporter.recorder(), || {
        // Buckets (1, 2], (2, 4], (16, 32], zero, and [-4, -2).
        for value in [1.5, 2.0, 3.0, 4.0, 20.0, 0.0, -3.0] {
            metrics::histogram!("n_bytes").record(value);
        }
    });
    let all = metrics_at(&mut requests(2000), &exporter, AT);
    let exponential = all[0].exponential.as_ref().unwrap();
    assert_eq!(exponential.temporality, 2);
    let point = &exponential.points[0];
    assert_eq!((point.count, point.sum, point.scale), (7, Some(27.5), 0));
    assert_eq!(point.zero_count, 1);
    assert!(point.zero_threshold > 0.0);
    // From 2^offset, exclusive, to the double of it, inclusive.
    let positive = point.positive.as_ref().unwrap();
    assert_eq!(
        (positive.offset, &*positive.counts),
        (0, &[2, 2, 0, 0, 1][..])
    );
    let negative = point.negative.as_ref().unwrap();
    assert_eq!((negative.offset, &*negative.counts), (1, &[1][..]));
    assert!(!point.exemplars.is_empty());
}

#[test]
fn a_request_has_no_more_points_than_it_may_and_says_whose_they_are() {
    let exporter = exporter();
    metrics::with_local_recorder(&exporter.recorder(), || {
        for at in 0..25 {
            metrics::counter!("c_total", "at" => at.to_string()).increment(1);
        }
    });
    let mut requests = requests(10);
    let payloads = requests.encode(&Arc::new(exporter.frame(UnixMillis(AT))));
    let mut of_counter = 0;
    for payload in &payloads {
        let all = decode(payload);
        let resource = all.resource.unwrap();
        assert_eq!(
            attributes(&resource.attributes),
            [("service.name", "orders")]
        );
        let scope = all.scope_metrics[0].scope.as_ref().unwrap();
        assert_eq!(
            (&*scope.name, &*scope.version),
            (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        );
        let points = all.scope_metrics[0].metrics.iter().map(|metric| {
            let numbers = metric.sum.as_ref().or(metric.gauge.as_ref()).unwrap();
            if metric.name == "c_total" {
                of_counter += numbers.points.len();
            }
            numbers.points.len() as u64
        });
        let points = points.sum::<u64>();
        assert!(points <= 10);
        assert_eq!(points, payload.points);
    }
    assert_eq!(of_counter, 25);
}

#[test]
fn a_request_has_no_more_bytes_than_it_may_unless_one_point_alone_has() {
    let exporter = exporter();
    metrics::with_local_recorder(&exporter.recorder(), || {
        for at in 0..200 {
            metrics::counter!("c_total", "at" => at.to_string()).increment(1);
            metrics::histogram!("t_seconds", "at" => at.to_string()).record(0.75);
        }
        metrics::gauge!("long", "v" => "x".repeat(2000)).set(1.0);
    });
    let frame = Arc::new(exporter.frame(UnixMillis(AT)));
    let counted = |limits: Limits| {
        let payloads = requests_of(limits).encode(&frame);
        let mut points = 0;
        for payload in &payloads {
            let is_alone = payload.points == 1;
            assert!(
                payload.body.len() <= limits.bytes || is_alone,
                "{payload:?}"
            );
            for metric in &decode(payload).scope_metrics[0].metrics {
                let points = [
                    metric.gauge.as_ref().map(|data| data.points.len()),
                    metric.sum.as_ref().map(|data| data.points.len()),
                    metric.histogram.as_ref().map(|data| data.points.len()),
                ];
                // None is told of without a point.
                assert!(points.iter().flatten().sum::<usize>() > 0, "{metric:?}");
            }
            points += payload.points;
        }
        (points, payloads.len())
    };
    let limits = |bytes| Limits {
        points: usize::MAX,
        bytes,
    };
    let (all, one) = counted(limits(4 << 20));
    assert_eq!(one, 1);
    for bytes in [0, 500, 1000, 1500, 5000] {
        let (points, payloads) = counted(limits(bytes));
        assert_eq!(points, all, "{bytes}");
        assert!(payloads > 5, "{bytes}");
    }
}

/// The middle of each bucket that has something in it, and how much.
fn places(buckets: &proto::Buckets, scale: i32) -> Vec<(f64, u64)> {
    let base = 2f64.powf(2f64.powi(-scale));
    let counts = buckets.counts.iter().zip(buckets.offset..);
    let counts = counts.filter(|(count, _)| **count > 0);
    counts
        .map(|(count, index)| (base.powf(f64::from(index) + 0.5), *count))
        .collect()
}

#[test]
fn a_histogram_of_values_far_apart_is_made_coarser_and_keeps_its_counts() {
    let exporter = Exporter::builder()
        .native_histograms(Matcher::full("n_bytes"), 1.002)
        .build()
        .unwrap();
    metrics::with_local_recorder(&exporter.recorder(), || {
        for value in [1e-30, 1e-30, 1.0, 3.0, 1e300, -1e-3, -5.0] {
            metrics::histogram!("n_bytes").record(value);
        }
    });
    let all = metrics_at(&mut requests(2000), &exporter, AT);
    let point = &all[0].exponential.as_ref().unwrap().points[0];
    let (positive, negative) = (
        point.positive.as_ref().unwrap(),
        point.negative.as_ref().unwrap(),
    );
    assert!(positive.counts.len() <= 160, "{}", positive.counts.len());
    // As fine as it can be, and the same for both.
    assert!(positive.counts.len() > 80, "{}", positive.counts.len());
    assert!(negative.counts.len() <= 160);
    let factor = 2f64.powf(2f64.powi(-point.scale));
    let near = |places: Vec<(f64, u64)>, expected: &[(f64, u64)]| {
        assert_eq!(places.len(), expected.len(), "{places:?}");
        for ((place, count), (value, expected)) in places.iter().zip(expected) {
            assert_eq!(count, expected, "{places:?}");
            let off = place / value;
            assert!(
                (1.0 / factor..=factor).contains(&off),
                "{place} for {value}"
            );
        }
    };
    near(
        places(positive, point.scale),
        // 1 is the upper bound of its bucket, and 3 in the next.
        &[(1e-30, 2), (1.0, 1), (3.0, 1), (1e300, 1)],
    );
    let negatives = places(negative, point.scale);
    assert_eq!(negatives.iter().map(|(_, count)| count).sum::<u64>(), 2);
    assert_eq!(point.count, 7);
}
