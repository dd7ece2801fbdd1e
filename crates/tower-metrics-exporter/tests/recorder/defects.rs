//! What metrics-exporter-prometheus 0.18.3 does otherwise, each as it was seen there.

use std::collections::HashSet;

use metrics::{Unit, counter, describe_counter, describe_histogram, gauge, histogram};
use tower_metrics_exporter::{Exporter, Format, Matcher};

use crate::common::{after, lines, page, rejected};

#[test]
fn a_described_unit_does_not_rename_a_series_in_one_format_only() {
    let exporter = after(Exporter::builder(), || {
        describe_counter!("rx", Unit::Bytes, "Received.");
        counter!("rx").increment(3);
        describe_histogram!("lat", Unit::Seconds, "Time.");
        histogram!("lat").record(0.2);
        describe_counter!("tx_total", Unit::Count, "Sent.");
        counter!("tx_total").increment(3);
    });
    for format in Format::ALL {
        let page = page(&exporter, format);
        for name in ["rx", "lat", "tx_total"] {
            assert!(has_name(&page, format, name), "{name} in {format}");
        }
        for name in ["rx_bytes", "rx_total", "rx_bytes_total", "lat_seconds"] {
            assert!(!has_name(&page, format, name), "{name} in {format}");
        }
    }
}

/// Whether there is a series, or in protobuf a family, of this name.
fn has_name(page: &[u8], format: Format, name: &str) -> bool {
    if format == Format::Protobuf {
        let length = u8::try_from(name.len()).unwrap();
        let field = [&[0x0a, length], name.as_bytes()].concat();
        return page.windows(field.len()).any(|window| window == field);
    }
    let page = std::str::from_utf8(page).unwrap();
    page.lines().any(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| {
            let rest = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|part| rest.strip_prefix(part))
                .unwrap_or(rest);
            rest.starts_with([' ', '{'])
        })
    })
}

#[test]
fn names_that_become_one_are_added_up_and_counted() {
    let exporter = after(Exporter::builder(), || {
        counter!("a.b").increment(10);
        counter!("a-b").increment(5);
        counter!("subtotal").increment(1);
    });
    assert_eq!(exporter.value("a_b", &[]), Some(15.0));
    assert_eq!(
        exporter.value("exporter_name_collisions_total", &[("family", "a_b")]),
        Some(1.0)
    );
    assert_eq!(exporter.value("subtotal", &[]), Some(1.0));
}

#[test]
fn names_that_become_one_with_another_unit_are_refused_and_counted() {
    let exporter = after(Exporter::builder(), || {
        histogram!("lat_milliseconds").record(20.0);
        histogram!("lat_seconds").record(2.0);
        gauge!("used_bytes").set(1.0);
        gauge!("used_kibibytes").set(1.0);
    });
    // Of the first alone: what follows would be a thousandth, or a thousand times, what it is.
    assert_eq!(exporter.value("lat_seconds_sum", &[]), Some(0.02));
    assert_eq!(exporter.value("used_bytes", &[]), Some(1.0));
    assert_eq!(rejected(&exporter, "unit"), 2.0);
}

#[test]
fn labels_that_become_one_or_are_the_formats_own_do_not_take_a_target_down() {
    let exporter = after(Exporter::builder(), || {
        counter!("c_total", "x.y" => "1", "x-y" => "2").increment(1);
        histogram!("h_seconds", "le" => "mine", "quantile" => "0.5").record(1.0);
        counter!("e_total", "empty" => "").increment(1);
        counter!("e_total").increment(1);
    });
    let lines = lines(&exporter);
    assert!(
        lines.contains(&r#"c_total{x_y="1"} 1"#.to_owned()),
        "{lines:?}"
    );
    let bucket = r#"h_seconds_bucket{exported_le="mine",exported_quantile="0.5",le="+Inf"} 1"#;
    assert!(lines.contains(&bucket.to_owned()), "{lines:?}");
    assert!(lines.contains(&"e_total 2".to_owned()), "{lines:?}");
    assert_eq!(rejected(&exporter, "duplicate_label"), 1.0);
}

#[test]
fn values_of_labels_are_escaped_so_that_none_becomes_another() {
    let values = [
        r"\server\new",
        r"\\server\new",
        "a\\\"b",
        "a\\\nb",
        "a\nb",
        r"a\nb",
        "\"",
        "ä\u{1}",
    ];
    let exporter = after(Exporter::builder(), || {
        for value in values {
            counter!("c_total", "v" => value).increment(1);
        }
    });
    let lines: HashSet<_> = lines(&exporter)
        .into_iter()
        .filter(|line| line.starts_with("c_"))
        .collect();
    assert_eq!(lines.len(), values.len());
    for value in values {
        assert_eq!(
            exporter.value("c_total", &[("v", value)]),
            Some(1.0),
            "{value:?}"
        );
    }
}

#[test]
fn a_name_has_one_kind_and_no_family_writes_the_samples_of_another() {
    let exporter = after(Exporter::builder(), || {
        counter!("x").increment(1);
        gauge!("x").set(5.0);
        histogram!("h").record(1.0);
        counter!("h_count").increment(7);
        counter!("k_sum").increment(7);
        histogram!("k").record(1.0);
    });
    assert_eq!(exporter.value("x", &[]), Some(1.0));
    assert_eq!(exporter.value("h_count", &[]), Some(1.0));
    assert_eq!(exporter.value("k_sum", &[]), Some(7.0));
    assert_eq!(
        (
            rejected(&exporter, "kind"),
            rejected(&exporter, "name_clash")
        ),
        (1.0, 2.0)
    );
    let heads: Vec<_> = lines(&exporter)
        .into_iter()
        .filter(|line| line.starts_with("# TYPE"))
        .collect();
    assert_eq!(
        heads,
        [
            "# TYPE h histogram",
            "# TYPE k_sum counter",
            "# TYPE x counter"
        ]
    );
}

#[test]
fn names_that_openmetrics_keeps_for_a_counter_or_a_histogram_are_not_written_twice() {
    let exporter = after(Exporter::builder(), || {
        counter!("a_total").increment(1);
        gauge!("a").set(1.0);
        counter!("b_total").increment(1);
        gauge!("b_created").set(1.0);
        counter!("c_total").increment(1);
        counter!("c_created_total").increment(1);
        counter!("d_count_total").increment(1);
        histogram!("d").record(1.0);
        gauge!("d_created").set(1.0);
        counter!("e_total").increment(1);
    });
    // Beside a histogram, no other way is left.
    assert_eq!(rejected(&exporter, "name_clash"), 1.0);
    let page = String::from_utf8(page(&exporter, Format::OpenMetrics)).unwrap();
    let heads: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("# TYPE") && !line.contains("exporter_"))
        .collect();
    let expected = [
        "# TYPE a gauge",
        "# TYPE a_total unknown",
        "# TYPE b_created gauge",
        "# TYPE b_total unknown",
        "# TYPE c_created counter",
        "# TYPE c_total unknown",
        "# TYPE d histogram",
        "# TYPE d_count_total unknown",
        "# TYPE e counter",
    ];
    assert_eq!(heads, expected);
}

#[test]
fn buckets_that_do_not_ascend_are_refused() {
    for (buckets, why) in [
        (vec![], "are empty"),
        (vec![5.0, 1.0], "do not ascend"),
        (vec![1.0, 1.0], "do not ascend"),
        (vec![f64::NAN], "are not all finite"),
    ] {
        let built = Exporter::builder()
            .buckets(Matcher::full("h"), buckets)
            .build();
        let error = built.unwrap_err();
        assert!(
            error.is_buckets() && error.to_string().contains(why),
            "{error}"
        );
        assert!(error.to_string().contains("`h`"), "{error}");
    }
}

#[test]
fn a_histogram_is_never_a_summary_and_no_number_poisons_its_sum() {
    let exporter = after(Exporter::builder(), || {
        for value in [0.2, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            histogram!("any").record(value);
        }
    });
    assert!(lines(&exporter).contains(&"# TYPE any histogram".to_owned()));
    assert_eq!(exporter.value("any_count", &[]), Some(2.0));
    assert_eq!(exporter.value("any_sum", &[]), Some(1e300));
    // Not three hundred digits.
    assert!(lines(&exporter).contains(&"any_sum 1e300".to_owned()));
    let dropped = exporter.value("exporter_observations_dropped_total", &[("family", "any")]);
    assert_eq!(dropped, Some(3.0));
}

#[test]
fn units_become_base_units_in_names_and_values() {
    let record = || {
        histogram!("lat_milliseconds").record(20.0);
        gauge!("used_kibibytes").set(2.0);
        counter!("busy_milliseconds_total").increment(1500);
    };
    let exporter = after(Exporter::builder(), record);
    assert_eq!(exporter.value("lat_seconds_sum", &[]), Some(0.02));
    assert_eq!(exporter.value("used_bytes", &[]), Some(2048.0));
    assert_eq!(exporter.value("busy_seconds_total", &[]), Some(1.5));
    // Also by the name that the program uses.
    assert_eq!(exporter.value("busy_milliseconds_total", &[]), Some(1.5));
    assert!(lines(&exporter).contains(&r#"lat_seconds_bucket{le="0.025"} 1"#.to_owned()));
    let as_it_is = after(Exporter::builder().base_units(false), record);
    assert!(lines(&as_it_is).contains(&"used_kibibytes 2".to_owned()));
}

#[test]
fn a_counter_keeps_its_name_whether_or_not_it_ends_in_total() {
    let exporter = after(Exporter::builder(), || {
        for name in ["subtotal", "plain", "jobs_total"] {
            counter!(name).increment(1);
        }
    });
    for name in ["subtotal", "plain", "jobs_total"] {
        assert_eq!(exporter.value(name, &[]), Some(1.0), "{name}");
        for format in Format::ALL {
            assert!(
                has_name(&page(&exporter, format), format, name),
                "{name} in {format}"
            );
        }
    }
    let page = String::from_utf8(page(&exporter, Format::OpenMetrics)).unwrap();
    assert!(page.contains("# TYPE subtotal unknown\n"), "{page}");
    assert!(page.contains("# TYPE jobs counter\n"), "{page}");
}

#[test]
fn a_page_has_the_same_order_every_time_and_one_head_a_family() {
    let exporter = after(Exporter::builder(), || {
        for path in ["/c", "/a", "/b"] {
            counter!("z_total", "path" => path, "method" => "GET").increment(1);
        }
        gauge!("a").set(1.0);
    });
    let expected = [
        "# TYPE a gauge",
        "a 1",
        "# TYPE z_total counter",
        r#"z_total{method="GET",path="/a"} 1"#,
        r#"z_total{method="GET",path="/b"} 1"#,
        r#"z_total{method="GET",path="/c"} 1"#,
    ];
    assert_eq!(lines(&exporter), expected);
    assert_eq!(exporter.render(), exporter.render());
}

#[test]
fn a_native_histogram_is_a_classic_one_in_text() {
    let builder = Exporter::builder().native_histograms(Matcher::Any, 1.1);
    let exporter = after(builder, || histogram!("h_seconds").record(0.2));
    for format in [Format::Text, Format::OpenMetrics] {
        assert!(
            has_name(&page(&exporter, format), format, "h_seconds"),
            "{format}"
        );
    }
    assert!(lines(&exporter).contains(&"h_seconds_count 1".to_owned()));
}
