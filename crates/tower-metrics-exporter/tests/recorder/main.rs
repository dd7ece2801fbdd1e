//! What becomes of what is recorded. Several tests are named for what other exporters do otherwise.

#![allow(
    clippy::cast_precision_loss,
    clippy::float_cmp,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its numbers are exact as floats"
)]

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use metrics::{
    Key, Label, Level, Metadata, Recorder as _, counter, gauge, histogram, with_local_recorder,
};
use tower_metrics_exporter::{
    Exporter, ExporterBuilder, Filter, Format, Matcher, Source as _, Value,
};
use tower_observe::{Spec, Unit};

const METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);

fn build(builder: ExporterBuilder) -> Exporter {
    builder.build().unwrap()
}

/// An exporter after `record`.
fn after(builder: ExporterBuilder, record: impl FnOnce()) -> Exporter {
    let exporter = build(builder);
    with_local_recorder(&exporter.recorder(), record);
    exporter
}

/// The lines of a page that are not about the exporter itself.
fn lines(exporter: &Exporter) -> Vec<String> {
    let page = exporter.render();
    let lines = page.lines().filter(|line| !line.contains("exporter_"));
    lines.map(str::to_owned).collect()
}

fn rejected(exporter: &Exporter, reason: &str) -> f64 {
    exporter
        .value("exporter_series_rejected_total", &[("reason", reason)])
        .unwrap()
}

#[test]
fn values_are_what_the_facade_says() {
    let exporter = after(Exporter::builder(), || {
        counter!("c_total").increment(2);
        counter!("c_total").absolute(1);
        counter!("d_total").absolute(9);
        gauge!("g").set(2.5);
        gauge!("g").increment(1.0);
        gauge!("g").decrement(0.25);
        histogram!("h").record_many(0.5, 1_000_000_000);
    });
    let value = |name| exporter.value(name, &[]);
    assert_eq!(
        (value("c_total"), value("d_total"), value("g")),
        (Some(2.0), Some(9.0), Some(3.25))
    );
    assert_eq!(
        (value("h_count"), value("h_sum"), value("nothing")),
        (Some(1e9), Some(5e8), None)
    );
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
fn help_may_come_before_or_after_and_buckets_come_from_specs() {
    let spec = Spec::histogram("s_seconds", Unit::Seconds, "Told by a spec.").buckets([1.0]);
    let exporter = after(Exporter::builder().specs([spec]), || {
        metrics::describe_counter!("early_total", "Early.");
        counter!("early_total").increment(1);
        counter!("late_total").increment(1);
        metrics::describe_counter!("late_total", "Late.");
        histogram!("s_seconds").record(0.5);
    });
    let page = exporter.render();
    for line in [
        "# HELP early_total Early.\n",
        "# HELP late_total Late.\n",
        "# HELP s_seconds Told by a spec.\n",
        "s_seconds_bucket{le=\"1.0\"} 1\ns_seconds_bucket{le=\"+Inf\"} 1\ns_seconds_sum 0.5\n",
    ] {
        assert!(page.contains(line), "{line} in {page}");
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
fn labels_that_would_take_a_target_down_do_not() {
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
fn rules_rename_hide_and_relabel() {
    let builder = Exporter::builder()
        .hide(Matcher::prefix("noise_"))
        .show(Matcher::full("noise_but_good"))
        .rename("old_total", "new_total")
        .drop_label(Matcher::full("c_total"), "user")
        .global_label("region", "eu")
        .global_label("zone", "1");
    let exporter = after(builder, || {
        gauge!("noise_a").set(1.0);
        gauge!("noise_but_good", "zone" => "own").set(1.0);
        counter!("old_total").increment(1);
        for user in ["ann", "bob"] {
            counter!("c_total", "user" => user).increment(1);
        }
    });
    let samples: Vec<_> = lines(&exporter)
        .into_iter()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let expected = [
        r#"c_total{region="eu",zone="1"} 2"#,
        r#"new_total{region="eu",zone="1"} 1"#,
        r#"noise_but_good{region="eu",zone="own"} 1"#,
    ];
    assert_eq!(samples, expected);
}

#[test]
fn a_million_values_of_a_label_are_ten_thousand_series_and_one() {
    let exporter = build(Exporter::builder().limit(Matcher::full("small_total"), 3));
    let recorder = exporter.recorder();
    let count = |name: &'static str, value: String| {
        let key = Key::from_parts(name, vec![Label::new("v", value)]);
        recorder.register_counter(&key, &METADATA).increment(1);
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
fn a_removed_series_comes_back_with_its_full_value() {
    let exporter = build(Exporter::builder());
    let recorder = exporter.recorder();
    let key = Key::from_parts("conn_bytes", vec![Label::new("peer", "a")]);
    let held = recorder.register_counter(&key, &METADATA);
    held.increment(5);
    let labels = [("peer", "a")];
    assert!(exporter.remove("conn_bytes", &labels));
    assert!(!exporter.remove("conn_bytes", &labels));
    assert_eq!(exporter.value("conn_bytes", &labels), None);
    held.increment(1);
    assert_eq!(exporter.value("conn_bytes", &labels), Some(6.0));

    let leases = [
        exporter.lease("conn_bytes", &labels),
        exporter.lease("conn_bytes", &labels),
    ];
    let [one, two] = leases.map(Option::unwrap);
    drop(one);
    assert_eq!(exporter.value("conn_bytes", &labels), Some(6.0));
    drop(two);
    assert_eq!(exporter.value("conn_bytes", &labels), None);
    assert!(exporter.lease("unknown", &labels).is_none());
}

#[test]
fn what_is_unused_expires_though_nobody_scrapes() {
    let ttl = Duration::from_millis(40);
    let exporter = build(
        Exporter::builder()
            .expire(Matcher::full("c_total"), ttl)
            .limit(Matcher::Any, 1),
    );
    let recorder = exporter.recorder();
    let register = |value: &str| {
        let key = Key::from_parts("c_total", vec![Label::new("v", value.to_owned())]);
        recorder.register_counter(&key, &METADATA)
    };
    register("first").increment(1);
    // The place is free once the first has expired; no page was made. Ten seconds at most.
    let mut tries = 0;
    while exporter.value("c_total", &[("v", "second")]).is_none() {
        register("second").increment(1);
        tries += 1;
        assert!(tries < 1000);
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(exporter.value("c_total", &[("v", "first")]), None);
}

#[test]
fn nothing_is_lost_while_pages_are_made_and_series_come_and_go() {
    const THREADS: u64 = 3;
    const ROUNDS: u64 = 4_000;
    let exporter =
        build(Exporter::builder().expire(Matcher::full("c_total"), Duration::from_millis(20)));
    let recorder = exporter.recorder();
    let held: Vec<_> = (0..4)
        .map(|at| {
            let key = Key::from_parts("c_total", vec![Label::new("at", at.to_string())]);
            recorder.register_counter(&key, &METADATA)
        })
        .collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    with_local_recorder(&exporter.recorder(), || {
                        for round in 0..ROUNDS {
                            held[(round % 4) as usize].increment(1);
                            // By name, too: the same series, whether or not it is there just now.
                            counter!("c_total", "at" => (round % 4).to_string()).increment(1);
                            histogram!("h_seconds").record(1.0);
                            gauge!("g").increment(1.0);
                        }
                    });
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                exporter.remove("c_total", &[("at", "1")]);
                thread::yield_now();
            }
        });
        scope.spawn(|| {
            let mut last = 0;
            while !done.load(Ordering::Relaxed) {
                for series in &exporter.snapshot() {
                    if let Value::Histogram { buckets, count, .. } = &series.value {
                        assert_eq!(buckets.last().unwrap().1, *count);
                        if series.name == "h_seconds" {
                            assert!(*count >= last);
                            last = *count;
                        }
                    }
                }
                for format in Format::ALL {
                    exporter.encode(format, &Filter::default(), &mut Vec::new());
                }
            }
        });
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    for counter in &held {
        counter.increment(0);
    }
    let total = |name: &str| (THREADS * ROUNDS) as f64 * if name == "c_total" { 2.0 } else { 1.0 };
    let sum: f64 = (0..4)
        .map(|at| {
            exporter
                .value("c_total", &[("at", &at.to_string())])
                .unwrap()
        })
        .sum();
    assert_eq!(sum, total("c_total"));
    assert_eq!(exporter.value("g", &[]), Some(total("g")));
    assert_eq!(exporter.value("h_seconds_count", &[]), Some(total("h")));
    assert_eq!(exporter.value("h_seconds_sum", &[]), Some(total("h")));
}

#[test]
fn unusable_buckets_are_refused() {
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
fn an_exporter_is_installed_once_and_found_again() {
    let first = Exporter::builder().get_or_install().unwrap();
    let again = Exporter::builder().get_or_install().unwrap();
    counter!("installed_total").increment(1);
    assert_eq!(first.value("installed_total", &[]), Some(1.0));
    assert_eq!(again.value("installed_total", &[]), Some(1.0));
    assert!(Exporter::builder().install().unwrap_err().is_installed());
}
