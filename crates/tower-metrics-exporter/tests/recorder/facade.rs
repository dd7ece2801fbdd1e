use metrics::{counter, gauge, histogram};
use tower_metrics_exporter::Exporter;
use tower_observe::{Spec, Unit};

use crate::common::after;

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
fn a_histogram_that_nothing_is_said_of_has_buckets_for_its_unit() {
    let exporter = after(Exporter::builder(), || {
        histogram!("any_seconds").record(0.003);
        histogram!("any_bytes").record(300.0);
    });
    let page = exporter.render();
    for line in [
        "any_seconds_bucket{le=\"0.005\"} 1\n",
        "any_seconds_bucket{le=\"10.0\"} 1\n",
        "any_bytes_bucket{le=\"256.0\"} 0\nany_bytes_bucket{le=\"1024.0\"} 1\n",
    ] {
        assert!(page.contains(line), "{line} in {page}");
    }
}
