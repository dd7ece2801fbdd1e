use std::{thread, time::Duration};

use tower_metrics_exporter::{Exporter, Filter, Format, Matcher, Source as _};
use tower_observe::Clock;

use crate::common::{build, held_counter, held_gauge, held_histogram};

/// More than any test takes.
const LONG: Duration = Duration::from_secs(60);

#[track_caller]
fn until(mut is_so: impl FnMut() -> bool) {
    let clock = Clock::system();
    let start = clock.now();
    while !is_so() {
        assert!(
            clock.now().saturating_duration_since(start) < LONG,
            "it is not so even after a long time"
        );
        thread::yield_now();
    }
}

#[test]
fn a_removed_series_comes_back_with_its_full_value() {
    let exporter = build(Exporter::builder());
    let held = held_counter(&exporter, "conn_bytes", "a");
    held.increment(5);
    let labels = [("v", "a")];
    assert!(exporter.remove("conn_bytes", &labels));
    assert!(!exporter.remove("conn_bytes", &labels));
    assert!(!exporter.remove("unknown", &labels));
    assert_eq!(exporter.value("conn_bytes", &labels), None);
    held.increment(1);
    assert_eq!(exporter.value("conn_bytes", &labels), Some(6.0));
    // By its name, too.
    assert!(exporter.remove("conn_bytes", &labels));
    held_counter(&exporter, "conn_bytes", "a").increment(1);
    assert_eq!(exporter.value("conn_bytes", &labels), Some(7.0));
}

#[test]
fn a_removed_histogram_and_a_gauge_come_back_with_what_is_recorded_next() {
    let exporter = build(Exporter::builder().buckets(Matcher::Any, [1.0]));
    let (size, level) = (
        held_histogram(&exporter, "h", "a"),
        held_gauge(&exporter, "g", "a"),
    );
    let labels = [("v", "a")];
    for so_far in 1..4 {
        size.record(0.5);
        level.increment(1.0);
        let page = exporter.render();
        let line = format!("h_count{{v=\"a\"}} {so_far}\n");
        assert!(page.contains(&line), "{line} in {page}");
        assert_eq!(exporter.value("g", &labels), Some(f64::from(so_far)));
        assert!(exporter.remove("h", &labels) && exporter.remove("g", &labels));
        assert!(!exporter.render().contains("h_count"));
        assert_eq!(exporter.value("g", &labels), None);
    }
}

#[test]
fn one_that_is_held_is_found_by_another_name_of_it_too() {
    let exporter = build(Exporter::builder());
    let held = held_counter(&exporter, "conn.bytes", "a");
    held.increment(5);
    assert!(exporter.remove("conn_bytes", &[("v", "a")]));
    // Else there were two of one name, and the held one had no place to come back to.
    held_counter(&exporter, "conn_bytes", "a").increment(1);
    held.increment(1);
    assert_eq!(exporter.value("conn_bytes", &[("v", "a")]), Some(7.0));
}

#[test]
fn one_that_nobody_holds_is_gone_for_good() {
    let exporter = build(Exporter::builder());
    held_counter(&exporter, "conn_bytes", "a").increment(5);
    assert!(exporter.remove("conn_bytes", &[("v", "a")]));
    held_counter(&exporter, "conn_bytes", "a").increment(1);
    assert_eq!(exporter.value("conn_bytes", &[("v", "a")]), Some(1.0));
}

#[test]
fn a_series_goes_with_its_last_lease() {
    let exporter = build(Exporter::builder());
    let labels = [("v", "a")];
    assert!(exporter.lease("conn_bytes", &labels).is_none());
    held_counter(&exporter, "conn_bytes", "a").increment(6);
    let leases = [
        exporter.lease("conn_bytes", &labels),
        exporter.lease("conn_bytes", &labels),
    ];
    let [one, two] = leases.map(Option::unwrap);
    drop(one);
    assert_eq!(exporter.value("conn_bytes", &labels), Some(6.0));
    drop(two);
    assert_eq!(exporter.value("conn_bytes", &labels), None);
}

#[test]
fn what_is_unused_expires_though_nobody_scrapes_unless_it_is_leased() {
    let ttl = Duration::from_millis(40);
    let exporter = build(
        Exporter::builder()
            .expire(Matcher::full("c_total"), ttl)
            .limit(Matcher::Any, 2),
    );
    let held = held_counter(&exporter, "c_total", "first");
    held.increment(1);
    held_counter(&exporter, "c_total", "leased").increment(1);
    held_counter(&exporter, "stays_total", "first").increment(1);
    let lease = exporter.lease("c_total", &[("v", "leased")]);
    // The place is free once the first has expired; no page was made.
    until(|| {
        held_counter(&exporter, "c_total", "second").increment(1);
        exporter.value("c_total", &[("v", "second")]).is_some()
    });
    let value = |name, value| exporter.value(name, &[("v", value)]);
    assert_eq!(value("c_total", "first"), None);
    assert_eq!(value("c_total", "leased"), Some(1.0));
    assert_eq!(value("stays_total", "first"), Some(1.0));
    held.increment(1);
    assert_eq!(value("c_total", "first"), Some(2.0));
    drop(lease);
    assert_eq!(value("c_total", "leased"), None);
}

#[test]
fn one_that_comes_back_was_created_when_it_first_was_and_a_new_one_now() {
    let exporter = build(Exporter::builder());
    // Nothing else in it changes with the time.
    let page = || {
        let mut page = Vec::new();
        exporter.encode(Format::Protobuf, &Filter::new(["h"]), &mut page);
        page
    };
    let held = held_histogram(&exporter, "h", "a");
    let before = page();
    exporter.remove("h", &[("v", "a")]);
    assert!(page().is_empty());
    held.record_many(1.0, 0);
    assert_eq!(page(), before);
    drop(held);
    exporter.remove("h", &[("v", "a")]);
    // Whatever the resolution of the clock.
    until(|| {
        drop(held_histogram(&exporter, "h", "a"));
        let is_new = page() != before;
        exporter.remove("h", &[("v", "a")]);
        is_new
    });
}
