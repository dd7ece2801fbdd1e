use metrics::counter;
use tower_metrics_exporter::{Exporter, Matcher};
use tower_observe::Spec;

use crate::common::{after, build, held_counter, rejected, warnings};

#[test]
fn a_million_values_of_a_label_are_ten_thousand_series_and_one() {
    let exporter = build(Exporter::builder().limit(Matcher::full("small_total"), 3));
    let count = |name: &'static str, value: String| {
        held_counter(&exporter, name, &value).increment(1);
    };
    for value in 0..1_000_000 {
        count("big_total", value.to_string());
    }
    for value in 0..10 {
        count("small_total", value.to_string());
    }
    count("good_total", "x".repeat(8192));
    count("good_total", "x".repeat(10_000_000));
    let overflow = [("otel_metric_overflow", "true")];
    assert_eq!(exporter.value("big_total", &overflow), Some(990_000.0));
    assert_eq!(exporter.value("small_total", &overflow), Some(7.0));
    assert_eq!(exporter.value("good_total", &overflow), Some(1.0));
    let counted = exporter.value("exporter_series_overflow_total", &[("family", "big_total")]);
    assert_eq!(counted, Some(990_000.0));
    assert_eq!(rejected(&exporter, "label_too_long"), 1.0);
    let series = exporter.snapshot();
    assert_eq!(
        series
            .iter()
            .filter(|series| series.name == "big_total")
            .count(),
        10_001
    );
    assert!(exporter.render().len() < 2_000_000);
}

#[test]
fn a_spec_may_raise_the_limit_of_its_family() {
    let spec = Spec::counter("c_total", "").max_series(20_000);
    let exporter = after(Exporter::builder().specs([spec]), || {
        for value in 0..15_000 {
            counter!("c_total", "v" => value.to_string()).increment(1);
        }
    });
    assert_eq!(
        exporter.value("c_total", &[("otel_metric_overflow", "true")]),
        None
    );
}

#[test]
fn a_warning_is_logged_once_a_family() {
    let exporter = build(Exporter::builder().limit(Matcher::Any, 1));
    let count = |name| {
        for value in ["a", "b", "c"] {
            held_counter(&exporter, name, value).increment(1);
        }
    };
    let warnings = warnings(|| {
        count("one_total");
        count("one_total");
        count("two_total");
    });
    assert_eq!(warnings, ["one_total", "two_total"]);
}
