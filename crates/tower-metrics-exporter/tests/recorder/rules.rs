use metrics::{counter, gauge, histogram};
use tower_metrics_exporter::{Exporter, Matcher, Samples, collector_fn};

use crate::common::{after, lines, rejected};

fn samples(exporter: &Exporter) -> Vec<String> {
    let lines = lines(exporter).into_iter();
    lines.filter(|line| !line.starts_with('#')).collect()
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
    let expected = [
        r#"c_total{region="eu",zone="1"} 2"#,
        r#"new_total{region="eu",zone="1"} 1"#,
        r#"noise_but_good{region="eu",zone="own"} 1"#,
    ];
    assert_eq!(samples(&exporter), expected);
}

#[test]
fn labels_are_kept_by_name_and_renamed() {
    let builder = Exporter::builder()
        .keep_labels(Matcher::prefix("kept_"), ["method", "status_code"])
        .rename_label(Matcher::Any, "status_code", "status")
        .rename_label(Matcher::full("kept_total"), "method", "verb")
        .global_label("zone", "1")
        .global_label("verb", "none");
    let exporter = after(builder, || {
        for user in ["ann", "bob"] {
            counter!("kept_total", "method" => "GET", "status_code" => "200", "user" => user)
                .increment(1);
        }
        counter!("other_total", "method" => "GET", "status_code" => "200", "user" => "ann")
            .increment(1);
    });
    let expected = [
        r#"kept_total{status="200",verb="GET",zone="1"} 2"#,
        r#"other_total{method="GET",status="200",user="ann",verb="none",zone="1"} 1"#,
    ];
    assert_eq!(samples(&exporter), expected);
    let labels = [("status_code", "200"), ("method", "GET")];
    assert_eq!(exporter.value("kept_total", &labels), Some(2.0));
}

#[test]
fn hiding_all_keeps_what_is_shown_and_what_the_exporter_says_of_itself() {
    let collector = collector_fn("c", |samples: &mut Samples| {
        samples.gauge("collected", "").value(1.0);
        samples.gauge("collected_good", "").value(1.0);
    });
    let builder = Exporter::builder()
        .hide(Matcher::Any)
        .show(Matcher::suffix("_good"))
        .drop_label(Matcher::Any, "reason")
        .keep_labels(Matcher::Any, ["none"])
        .collector(collector);
    let exporter = after(builder, || {
        gauge!("hidden").set(1.0);
        gauge!("good").set(1.0);
        gauge!("a_good").set(1.0);
        histogram!("a_good").record(1.0);
    });
    assert_eq!(samples(&exporter), ["a_good 1", "collected_good 1"]);
    assert_eq!(rejected(&exporter, "kind"), 1.0);
}
