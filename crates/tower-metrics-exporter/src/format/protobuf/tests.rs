use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use prost::Message as _;

use super::{wire::varint, *};
use crate::format::Bounds;

/// What prost makes of `metrics.proto`.
mod proto {
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct MetricFamily {
        #[prost(string, optional, tag = "1")]
        pub(super) name: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub(super) help: Option<String>,
        #[prost(int32, optional, tag = "3")]
        pub(super) r#type: Option<i32>,
        #[prost(message, repeated, tag = "4")]
        pub(super) metric: Vec<Metric>,
        #[prost(string, optional, tag = "5")]
        pub(super) unit: Option<String>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Metric {
        #[prost(message, repeated, tag = "1")]
        pub(super) label: Vec<LabelPair>,
        #[prost(message, optional, tag = "2")]
        pub(super) gauge: Option<Gauge>,
        #[prost(message, optional, tag = "3")]
        pub(super) counter: Option<Counter>,
        #[prost(message, optional, tag = "7")]
        pub(super) histogram: Option<Histogram>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct LabelPair {
        #[prost(string, optional, tag = "1")]
        pub(super) name: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub(super) value: Option<String>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Gauge {
        #[prost(double, optional, tag = "1")]
        pub(super) value: Option<f64>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Counter {
        #[prost(double, optional, tag = "1")]
        pub(super) value: Option<f64>,
        #[prost(message, optional, tag = "2")]
        pub(super) exemplar: Option<Exemplar>,
        #[prost(message, optional, tag = "3")]
        pub(super) created_timestamp: Option<Timestamp>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Histogram {
        #[prost(uint64, optional, tag = "1")]
        pub(super) sample_count: Option<u64>,
        #[prost(double, optional, tag = "2")]
        pub(super) sample_sum: Option<f64>,
        #[prost(message, repeated, tag = "3")]
        pub(super) bucket: Vec<Bucket>,
        #[prost(sint32, optional, tag = "5")]
        pub(super) schema: Option<i32>,
        #[prost(double, optional, tag = "6")]
        pub(super) zero_threshold: Option<f64>,
        #[prost(uint64, optional, tag = "7")]
        pub(super) zero_count: Option<u64>,
        #[prost(message, repeated, tag = "9")]
        pub(super) negative_span: Vec<BucketSpan>,
        #[prost(sint64, repeated, packed = "false", tag = "10")]
        pub(super) negative_delta: Vec<i64>,
        #[prost(message, repeated, tag = "12")]
        pub(super) positive_span: Vec<BucketSpan>,
        #[prost(sint64, repeated, packed = "false", tag = "13")]
        pub(super) positive_delta: Vec<i64>,
        #[prost(message, optional, tag = "15")]
        pub(super) created_timestamp: Option<Timestamp>,
        #[prost(message, repeated, tag = "16")]
        pub(super) exemplars: Vec<Exemplar>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Bucket {
        #[prost(uint64, optional, tag = "1")]
        pub(super) cumulative_count: Option<u64>,
        #[prost(double, optional, tag = "2")]
        pub(super) upper_bound: Option<f64>,
        #[prost(message, optional, tag = "3")]
        pub(super) exemplar: Option<Exemplar>,
    }

    #[derive(Clone, Copy, PartialEq, Message)]
    pub(super) struct BucketSpan {
        #[prost(sint32, optional, tag = "1")]
        pub(super) offset: Option<i32>,
        #[prost(uint32, optional, tag = "2")]
        pub(super) length: Option<u32>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Exemplar {
        #[prost(message, repeated, tag = "1")]
        pub(super) label: Vec<LabelPair>,
        #[prost(double, optional, tag = "2")]
        pub(super) value: Option<f64>,
        #[prost(message, optional, tag = "3")]
        pub(super) timestamp: Option<Timestamp>,
    }

    #[derive(Clone, Copy, PartialEq, Message)]
    pub(super) struct Timestamp {
        #[prost(int64, tag = "1")]
        pub(super) seconds: i64,
        #[prost(int32, tag = "2")]
        pub(super) nanos: i32,
    }
}

fn encoded(write: impl FnOnce(&mut Protobuf<'_>)) -> Vec<u8> {
    let mut page = b"before".to_vec();
    let mut protobuf = Protobuf::new(&mut page);
    write(&mut protobuf);
    protobuf.finish();
    page.split_off(6)
}

fn decoded(mut page: &[u8]) -> Vec<proto::MetricFamily> {
    let mut families = Vec::new();
    while !page.is_empty() {
        families.push(proto::MetricFamily::decode_length_delimited(&mut page).unwrap());
    }
    families
}

fn head(name: &str, kind: FamilyKind) -> Head<'_> {
    Head {
        name,
        kind,
        help: "",
        unit: None,
        has_sibling: false,
    }
}

fn pairs(labels: &Labels) -> Vec<proto::LabelPair> {
    let pair = |(name, value): (&str, std::borrow::Cow<'_, str>)| proto::LabelPair {
        name: Some(name.to_owned()),
        value: Some(value.into_owned()),
    };
    labels.pairs().map(pair).collect()
}

fn exemplar(exemplar: &Exemplar) -> proto::Exemplar {
    proto::Exemplar {
        label: pairs(&exemplar.labels),
        value: Some(exemplar.value),
        timestamp: Some(timestamp(exemplar.at)),
    }
}

fn timestamp(UnixMillis(at): UnixMillis) -> proto::Timestamp {
    proto::Timestamp {
        seconds: i64::try_from(at / 1000).unwrap(),
        nanos: i32::try_from(at % 1000).unwrap() * 1_000_000,
    }
}

/// One histogram, there and back.
fn round_trip(labels: &Labels, view: &HistogramView<'_>) -> proto::Metric {
    let page = encoded(|protobuf| {
        protobuf.family(&head("h", FamilyKind::Histogram));
        protobuf.histogram(labels, view);
    });
    let mut families = decoded(&page);
    assert_eq!((families.len(), families[0].r#type), (1, Some(4)));
    families[0].metric.pop().unwrap()
}

fn native(view: &NativeView) -> proto::Histogram {
    let bounds = Bounds::new([]);
    let view = HistogramView {
        bounds: &bounds,
        cumulative: &[view.count()],
        sum: 1.5,
        created: UnixMillis(0),
        exemplars: &[],
        native: Some(view),
    };
    let histogram = round_trip(&Labels::default(), &view).histogram.unwrap();
    assert_eq!(histogram.bucket, []);
    histogram
}

/// The buckets that spans and deltas stand for, without empty ones.
fn buckets(spans: &[proto::BucketSpan], deltas: &[i64]) -> Vec<(i32, u64)> {
    let mut buckets = Vec::new();
    let (mut index, mut count) = (0, 0);
    let mut deltas = deltas.iter();
    for span in spans {
        index += span.offset.unwrap();
        for _ in 0..span.length.unwrap() {
            count += deltas.next().unwrap();
            if count > 0 {
                buckets.push((index, count.unsigned_abs()));
            }
            index = index.wrapping_add(1);
        }
    }
    assert_eq!(deltas.next(), None);
    buckets
}

#[test]
fn families_come_one_after_the_other_and_empty_ones_not_at_all() {
    let (labels, _) = Labels::new([("b", "2"), ("a", "x\"y\\\n")]);
    let page = encoded(|protobuf| {
        protobuf.family(&head("empty", FamilyKind::Gauge));
        protobuf.family(&Head {
            help: "Bytes\nsent.",
            unit: Some("bytes"),
            ..head("sent_bytes_total", FamilyKind::Counter)
        });
        let whole = Number::Whole(u64::MAX);
        protobuf.counter(&labels, whole, Some(UnixMillis(1_700_000_000_123)), None);
        protobuf.counter(&Labels::default(), Number::Float(0.25), None, None);
        protobuf.family(&head("temperature", FamilyKind::Gauge));
        protobuf.gauge(&Labels::default(), f64::NEG_INFINITY);
        protobuf.family(&head("last_empty", FamilyKind::Histogram));
    });
    let counter = |value, created_timestamp| {
        Some(proto::Counter {
            value: Some(value),
            exemplar: None,
            created_timestamp,
        })
    };
    let created = timestamp(UnixMillis(1_700_000_000_123));
    let sent = proto::MetricFamily {
        name: Some("sent_bytes_total".to_owned()),
        help: Some("Bytes\nsent.".to_owned()),
        r#type: Some(0),
        metric: vec![
            proto::Metric {
                label: pairs(&labels),
                counter: counter(18_446_744_073_709_551_615.0, Some(created)),
                ..Default::default()
            },
            proto::Metric {
                counter: counter(0.25, None),
                ..Default::default()
            },
        ],
        // Its name here does not end with it.
        unit: None,
    };
    let temperature = proto::MetricFamily {
        name: Some("temperature".to_owned()),
        r#type: Some(1),
        metric: vec![proto::Metric {
            gauge: Some(proto::Gauge {
                value: Some(f64::NEG_INFINITY),
            }),
            ..Default::default()
        }],
        ..Default::default()
    };
    assert_eq!(decoded(&page), [sent, temperature]);
    assert_eq!(encoded(|_| {}), b"");
}

#[test]
fn no_number_is_taken_for_the_mark_of_a_series_that_is_gone() {
    const STALE: u64 = 0x7ff0_0000_0000_0002;
    let page = encoded(|protobuf| {
        protobuf.family(&head("g", FamilyKind::Gauge));
        protobuf.gauge(&Labels::default(), f64::from_bits(STALE));
    });
    let value = decoded(&page)[0].metric[0].gauge.as_ref().unwrap().value;
    assert_eq!(value.map(f64::to_bits), Some(f64::NAN.to_bits()));
}

#[test]
fn a_unit_is_that_which_the_name_ends_with() {
    for (name, unit, shown) in [
        ("x_bytes", "bytes", Some("bytes")),
        ("x_bytes_total", "bytes", None),
        ("kilobytes", "bytes", None),
        ("bytes", "bytes", None),
        ("x_", "", None),
    ] {
        let page = encoded(|protobuf| {
            protobuf.family(&Head {
                unit: Some(unit),
                ..head(name, FamilyKind::Gauge)
            });
            protobuf.gauge(&Labels::default(), 1.0);
        });
        assert_eq!(decoded(&page)[0].unit.as_deref(), shown, "{name}");
    }
}

#[test]
fn a_native_histogram_has_the_spans_that_prometheus_reads() {
    let histogram = native(&NativeView {
        schema: -4,
        zero_threshold: 1e-9,
        zero_count: 3,
        positive: vec![(-3, 5), (-2, 7), (1, 2), (9, 1)],
        negative: vec![(4, 1)],
    });
    let span = |offset, length| proto::BucketSpan {
        offset: Some(offset),
        length: Some(length),
    };
    assert_eq!(histogram.sample_count, Some(19));
    assert_eq!(
        (histogram.schema, histogram.zero_count),
        (Some(-4), Some(3))
    );
    assert_eq!(histogram.zero_threshold, Some(1e-9));
    // The gap of two is filled, that of seven is not.
    assert_eq!(histogram.positive_span, [span(-3, 5), span(7, 1)]);
    assert_eq!(histogram.positive_delta, [5, 2, -7, 0, 2, -1]);
    assert_eq!(
        (histogram.negative_span, histogram.negative_delta),
        (vec![span(4, 1)], vec![1])
    );
}

#[test]
fn a_native_histogram_without_observations_is_still_one() {
    let histogram = native(&NativeView {
        schema: 3,
        ..NativeView::default()
    });
    let no_op = proto::BucketSpan {
        offset: Some(0),
        length: Some(0),
    };
    assert_eq!(histogram.positive_span, [no_op]);
    assert_eq!(histogram.schema, Some(3));
}

#[test]
fn a_count_is_never_below_a_bucket_nor_other_than_the_native_buckets() {
    let bounds = Bounds::new([1.0, 2.0]);
    for total in [4, 6] {
        let native = NativeView {
            positive: vec![(0, total)],
            ..NativeView::default()
        };
        let view = HistogramView {
            bounds: &bounds,
            cumulative: &[3, 5, 5],
            sum: 0.0,
            created: UnixMillis(0),
            exemplars: &[],
            native: Some(&native),
        };
        let histogram = round_trip(&Labels::default(), &view).histogram.unwrap();
        assert_eq!(histogram.sample_count, Some(total));
        let counts: Vec<_> = histogram
            .bucket
            .iter()
            .map(|bucket| bucket.cumulative_count)
            .collect();
        assert_eq!(counts, [Some(3), Some(total.min(5))]);
    }
}

#[test]
fn a_long_family_has_a_long_length_and_costs_no_other_memory() {
    let write = |protobuf: &mut Protobuf<'_>| {
        protobuf.family(&head("g", FamilyKind::Gauge));
        for value in 0..200_000 {
            protobuf.gauge(&Labels::default(), f64::from(value));
        }
    };
    let mut page = encoded(write);
    let families = decoded(&page);
    assert_eq!(families[0].metric.len(), 200_000);
    let last = families[0].metric[199_999].gauge.as_ref().unwrap();
    assert_eq!(last.value, Some(199_999.0));

    // What was written once fits in the same memory again.
    page.reserve_exact(4);
    let (capacity, place) = (page.capacity(), page.as_ptr());
    page.clear();
    let mut protobuf = Protobuf::new(&mut page);
    write(&mut protobuf);
    protobuf.finish();
    assert_eq!((page.capacity(), page.as_ptr()), (capacity, place));
}

fn any_labels() -> impl Strategy<Value = Labels> {
    let pairs = prop::collection::btree_map("[a-z]{1,4}", any::<String>(), 0..4);
    pairs.prop_map(|pairs: BTreeMap<String, String>| {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        Labels::new(pairs).0
    })
}

fn any_exemplar() -> impl Strategy<Value = Option<Exemplar>> {
    let exemplar =
        (any_labels(), any::<i32>(), 0..1u64 << 42).prop_map(|(labels, value, at)| Exemplar {
            labels,
            value: value.into(),
            at: UnixMillis(at),
        });
    prop::option::of(exemplar)
}

fn any_buckets() -> impl Strategy<Value = Vec<(i32, u64)>> {
    let near = prop::collection::btree_map(-40..40i32, 1..1u64 << 40, 0..20);
    let far = prop::collection::btree_map(-1_000_000_000..1_000_000_000i32, 1..1u64 << 40, 0..5);
    prop_oneof![near, far].prop_map(|buckets| buckets.into_iter().collect())
}

fn any_native() -> impl Strategy<Value = NativeView> {
    let numbers = (-4..=8i32, 0..1u64 << 40);
    (numbers, any_buckets(), any_buckets()).prop_map(
        |((schema, zero_count), positive, negative)| NativeView {
            schema,
            zero_threshold: 1e-128,
            zero_count,
            positive,
            negative,
        },
    )
}

proptest! {
    #[test]
    fn every_varint_is_read_again(value: u64, shift in 0..64u32) {
        let value = value >> shift;
        let (bytes, used) = varint(value);
        let mut expected = Vec::new();
        prost::encoding::encode_varint(value, &mut expected);
        prop_assert_eq!(&bytes[..used], &expected);
    }

    #[test]
    fn gauges_come_back(values in vec((any_labels(), any::<f64>()), 1..30), help: String) {
        let page = encoded(|protobuf| {
            protobuf.family(&Head { help: &help, ..head("g", FamilyKind::Gauge) });
            for (labels, value) in &values {
                protobuf.gauge(labels, *value);
            }
        });
        let families = decoded(&page);
        prop_assert_eq!(families.len(), 1);
        prop_assert_eq!(families[0].help.as_deref().unwrap_or_default(), &help);
        prop_assert_eq!(families[0].metric.len(), values.len());
        for (metric, (labels, value)) in families[0].metric.iter().zip(&values) {
            prop_assert_eq!(&metric.label, &pairs(labels));
            let back = metric.gauge.as_ref().unwrap().value.unwrap();
            prop_assert_eq!(back.to_bits(), value.to_bits());
        }
    }

    #[test]
    fn histograms_come_back(
        labels in any_labels(),
        observed in vec((-1000..1000i32, 0..1u64 << 50, any_exemplar()), 1..80),
        sum in any::<i64>(),
        created in 0..1u64 << 42,
        native in prop::option::of(any_native()),
    ) {
        let mut bounds: Vec<f64> = observed.iter().map(|(bound, ..)| f64::from(*bound)).collect();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        bounds.pop();
        let bounds = Bounds::new(bounds);
        let mut total = 0;
        let cumulative: Vec<u64> = observed[..bounds.buckets()]
            .iter()
            .map(|(_, count, _)| {
                total += count;
                total
            })
            .collect();
        let exemplars: Vec<_> = observed.iter().map(|(.., exemplar)| exemplar.clone()).collect();
        let exemplars = &exemplars[..bounds.buckets()];
        #[expect(clippy::cast_precision_loss, reason = "any number will do")]
        let sum = sum as f64;
        let view = HistogramView {
            bounds: &bounds,
            cumulative: &cumulative,
            sum,
            created: UnixMillis(created),
            exemplars,
            native: native.as_ref(),
        };
        let metric = round_trip(&labels, &view);
        prop_assert_eq!(&metric.label, &pairs(&labels));
        let histogram = metric.histogram.unwrap();

        let count = native.as_ref().map_or(total, NativeView::count);
        prop_assert_eq!((histogram.sample_count, histogram.sample_sum), (Some(count), Some(sum)));
        prop_assert_eq!(histogram.created_timestamp, Some(timestamp(UnixMillis(created))));
        let expected: Vec<_> = bounds.values().iter().chain([&f64::INFINITY]).zip(&cumulative).zip(exemplars)
            .map(|((bound, cumulative), kept)| proto::Bucket {
                cumulative_count: Some((*cumulative).min(count)),
                upper_bound: Some(*bound),
                exemplar: kept.as_ref().map(exemplar),
            })
            .filter(|bucket| bucket.upper_bound != Some(f64::INFINITY) || bucket.exemplar.is_some())
            .collect();
        prop_assert_eq!(histogram.bucket, expected);

        let kept: Vec<_> = exemplars.iter().flatten().map(exemplar).collect();
        prop_assert_eq!(histogram.exemplars, if native.is_some() { kept } else { Vec::new() });
        prop_assert_eq!(histogram.schema, native.as_ref().map(|native| native.schema));
        let NativeView { positive, negative, zero_count, .. } = native.unwrap_or_default();
        prop_assert_eq!(histogram.zero_count.unwrap_or_default(), zero_count);
        prop_assert_eq!(buckets(&histogram.positive_span, &histogram.positive_delta), positive);
        prop_assert_eq!(buckets(&histogram.negative_span, &histogram.negative_delta), negative);
    }
}

#[test]
fn a_length_takes_no_more_bytes_than_it_needs_whatever_was_kept_free() {
    for length in [0, 1, 127, 128, 16_383, 16_384, 70_000] {
        let text = "x".repeat(length);
        for is_long in [false, true] {
            let mut page = Vec::new();
            let mut wire = Writer::new(&mut page);
            let message = if is_long {
                wire.begin_long(4)
            } else {
                wire.begin(4)
            };
            wire.string(1, &text);
            wire.end(message);
            let mut inner = vec![1 << 3 | 2];
            prost::encoding::encode_varint(length as u64, &mut inner);
            inner.extend_from_slice(text.as_bytes());
            let mut expected = vec![4 << 3 | 2];
            prost::encoding::encode_varint(inner.len() as u64, &mut expected);
            expected.extend_from_slice(&inner);
            assert_eq!(page, expected, "{length}");
        }
    }
}

#[test]
fn messages_written_at_once_are_as_those_written_by_field() {
    for length in [0, 1, 60, 61, 62, 123, 124, 200] {
        let text = "x".repeat(length);
        let (mut page, mut by_field) = (Vec::new(), Vec::new());
        let mut wire = Writer::new(&mut page);
        wire.strings(1, (1, "name"), (2, &text));
        wire.numbers(16, (1, length as u64), (2, 0.5));
        wire.numbers(3, (1, length as u64), (2, f64::INFINITY));
        let mut wire = Writer::new(&mut by_field);
        let message = wire.begin(1);
        wire.string(1, "name");
        wire.string(2, &text);
        wire.end(message);
        for (field, float) in [(16, 0.5), (3, f64::INFINITY)] {
            let message = wire.begin(field);
            wire.unsigned(1, length as u64);
            wire.double(2, float);
            wire.end(message);
        }
        assert_eq!(page, by_field, "{length}");
    }
}
