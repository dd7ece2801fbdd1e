use std::{collections::HashMap, sync::Arc, time::Duration};

use super::encode::{Dialect, Lines};
use crate::{
    Exporter, Matcher,
    format::UnixMillis,
    sink::{Encoder as _, Payload},
};

fn exporter() -> Exporter {
    Exporter::builder()
        .buckets(Matcher::full("t_seconds"), [0.5, 1.0])
        .hide(Matcher::prefix("exporter_scrape"))
        .build()
        .unwrap()
}

fn payloads(lines: &mut Lines, exporter: &Exporter) -> Vec<Payload> {
    lines.encode(&Arc::new(exporter.frame(UnixMillis(1))))
}

/// What a frame becomes, without what the exporter tells of itself.
fn text(lines: &mut Lines, exporter: &Exporter) -> Vec<String> {
    let payloads = payloads(lines, exporter);
    let text = payloads
        .iter()
        .map(|payload| String::from_utf8(payload.body.to_vec()).unwrap());
    let text = text.collect::<Vec<_>>().join("\n");
    let lines = text.lines().map(str::to_owned);
    lines
        .filter(|line| !line.starts_with("exporter_"))
        .collect()
}

fn record(exporter: &Exporter) {
    metrics::with_local_recorder(&exporter.recorder(), || {
        metrics::counter!("c_total", "route" => "/a.b|c,d:e#\nf ü").increment(3);
        metrics::gauge!("up").set(2.5);
        metrics::gauge!("down").set(-2.5);
        metrics::gauge!("odd").set(f64::NAN);
        for value in [0.75, -1.0] {
            metrics::histogram!("t_seconds", "a" => "1").record(value);
        }
    });
}

#[test]
fn statsd_is_told_byte_for_byte() {
    let exporter = exporter();
    record(&exporter);
    let mut lines = Lines::new(Dialect::Statsd, String::from("app."), 1432);
    let told = |lines: &mut Lines| -> Vec<String> {
        let all = text(lines, &exporter);
        all.into_iter()
            .filter(|line| !line.starts_with("app.exporter_"))
            .collect()
    };
    let expected = [
        "app.c_total.route._a_b_c_d_e__f_ü:3|c",
        "app.down:0|g",
        "app.down:-2.5|g",
        "app.t_seconds_count.a.1:2|c",
        "app.t_seconds_sum.a.1:-0.25|c",
        "app.t_seconds_bucket.a.1.le.0_5:1|c",
        "app.t_seconds_bucket.a.1.le.1_0:2|c",
        "app.t_seconds_bucket.a.1.le.+Inf:2|c",
        "app.up:2.5|g",
    ];
    assert_eq!(told(&mut lines), expected);
    // Nothing changed: only gauges say what they are.
    assert_eq!(
        told(&mut lines),
        ["app.down:0|g", "app.down:-2.5|g", "app.up:2.5|g"]
    );
    record(&exporter);
    assert_eq!(told(&mut lines), expected);
}

#[test]
fn dogstatsd_is_told_byte_for_byte() {
    let exporter = exporter();
    record(&exporter);
    let mut lines = Lines::new(Dialect::DogStatsd, String::new(), 1432);
    let expected = [
        "c_total:3|c|#route:/a.b_c_d:e__f ü",
        "down:-2.5|g",
        "t_seconds_count:2|c|#a:1",
        "t_seconds_sum:-0.25|c|#a:1",
        "t_seconds_bucket:1|c|#a:1,le:0.5",
        "t_seconds_bucket:2|c|#a:1,le:1.0",
        "t_seconds_bucket:2|c|#a:1,le:+Inf",
        "up:2.5|g",
    ];
    assert_eq!(text(&mut lines, &exporter), expected);
}

#[test]
fn a_series_that_began_anew_is_told_whole() {
    let exporter = exporter();
    let mut lines = Lines::new(Dialect::DogStatsd, String::new(), 1432);
    let count = |by: u64| {
        metrics::with_local_recorder(&exporter.recorder(), || {
            metrics::counter!("c_total").increment(by);
        });
    };
    count(5);
    assert_eq!(text(&mut lines, &exporter), ["c_total:5|c"]);
    assert!(exporter.remove("c_total", &[]));
    // Without a frame in between, and with one.
    count(2);
    assert_eq!(text(&mut lines, &exporter), ["c_total:2|c"]);
    assert!(exporter.remove("c_total", &[]));
    assert_eq!(text(&mut lines, &exporter), [""; 0]);
    // A series is told from an older one by the millisecond in which it was made.
    std::thread::sleep(Duration::from_millis(2));
    count(9);
    assert_eq!(text(&mut lines, &exporter), ["c_total:9|c"]);
}

#[test]
fn a_series_that_comes_back_with_its_value_is_not_told_twice() {
    let exporter = exporter();
    let mut lines = Lines::new(Dialect::DogStatsd, String::new(), 1432);
    let held = metrics::with_local_recorder(&exporter.recorder(), || metrics::counter!("c_total"));
    held.increment(100);
    assert_eq!(text(&mut lines, &exporter), ["c_total:100|c"]);
    assert!(exporter.remove("c_total", &[]));
    assert_eq!(text(&mut lines, &exporter), [""; 0]);
    // The handle brings it back with its full value.
    held.increment(1);
    assert_eq!(text(&mut lines, &exporter), ["c_total:1|c"]);
}

#[test]
fn what_was_told_so_long_ago_that_nobody_knows_is_not_told_twice() {
    let exporter = exporter();
    let mut lines = Lines::new(Dialect::DogStatsd, String::new(), 1432);
    let told = |lines: &mut Lines| {
        let frame = Arc::new(exporter.frame(UnixMillis::now()));
        let payloads = lines.encode(&frame).into_iter();
        let text = payloads.map(|payload| String::from_utf8(payload.body.to_vec()).unwrap());
        let text = text.collect::<Vec<_>>().join("\n");
        let of_others = |line: &&str| !line.starts_with("exporter_");
        text.lines()
            .filter(of_others)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let counter = |name: &'static str| {
        metrics::with_local_recorder(&exporter.recorder(), || metrics::counter!(name))
    };
    let held = counter("nightly_total");
    held.increment(100);
    assert_eq!(told(&mut lines), ["nightly_total:100|c"]);
    assert!(exporter.remove("nightly_total", &[]));
    std::thread::sleep(Duration::from_millis(2));
    for _ in 0..400 {
        assert_eq!(told(&mut lines), [""; 0]);
    }
    // It comes back with all that it had. What is lost of it is less than to be counted twice.
    held.increment(1);
    assert_eq!(told(&mut lines), [""; 0]);
    held.increment(7);
    std::thread::sleep(Duration::from_millis(2));
    counter("new_total").increment(3);
    assert_eq!(told(&mut lines), ["new_total:3|c", "nightly_total:7|c"]);
}

#[test]
fn what_was_counted_before_is_told_by_the_first_and_not_by_those_that_begin_later() {
    let odometer = Arc::new(std::sync::atomic::AtomicU32::new(1_000_000));
    let exporter = Exporter::builder()
        .buckets(Matcher::full("t_seconds"), [0.5, 1.0])
        .hide(Matcher::prefix("exporter_scrape"))
        .collector(crate::collector_fn("odometer", {
            let odometer = Arc::clone(&odometer);
            move |samples| {
                let value = odometer.load(std::sync::atomic::Ordering::Relaxed);
                samples.counter("odometer_total", "").sample([], value);
            }
        }))
        .build()
        .unwrap();
    let begun = |is_first| {
        let mut lines = Lines::new(Dialect::DogStatsd, String::new(), 1432);
        lines.begin(&exporter.frame(UnixMillis::now()), is_first);
        lines
    };
    let record = |name: &'static str| {
        metrics::with_local_recorder(&exporter.recorder(), || {
            metrics::counter!(name).increment(5);
            metrics::histogram!("t_seconds").record(0.75);
        });
        odometer.fetch_add(7, std::sync::atomic::Ordering::Relaxed);
    };
    record("a_total");
    let mut first = begun(true);
    assert!(first.tells_changes());
    let of_histogram = [
        "t_seconds_count:1|c",
        "t_seconds_sum:0.75|c",
        "t_seconds_bucket:1|c|#le:1.0",
        "t_seconds_bucket:1|c|#le:+Inf",
    ];
    let mut expected = vec!["a_total:5|c"];
    expected.extend(of_histogram);
    assert_eq!(text(&mut first, &exporter), expected);
    // What nobody knows the beginning of is told as it changes.
    record("a_total");
    expected.insert(1, "odometer_total:7|c");
    assert_eq!(text(&mut first, &exporter), expected);
    // Of what is there, this one tells only what comes.
    std::thread::sleep(Duration::from_millis(2));
    let mut later = begun(false);
    assert_eq!(text(&mut later, &exporter), [""; 0]);
    record("a_total");
    record("b_total");
    let told = text(&mut later, &exporter);
    assert_eq!(
        told[..3],
        ["a_total:5|c", "b_total:5|c", "odometer_total:14|c"]
    );
    assert_eq!(told[3..5], ["t_seconds_count:2|c", "t_seconds_sum:1.5|c"]);
}

#[test]
fn a_datagram_is_no_longer_than_it_may_and_no_line_is_cut() {
    let exporter = exporter();
    metrics::with_local_recorder(&exporter.recorder(), || {
        for at in 0..500 {
            metrics::counter!("c_total", "at" => at.to_string()).increment(at + 1);
        }
        metrics::gauge!("long", "v" => "x".repeat(2000)).set(1.0);
    });
    let mut lines = Lines::new(Dialect::DogStatsd, String::new(), 512);
    let payloads = payloads(&mut lines, &exporter);
    let mut values = HashMap::new();
    for payload in &payloads {
        let text = std::str::from_utf8(&payload.body).unwrap();
        assert!(text.len() <= 512 || text.lines().count() == 1, "{text}");
        assert_eq!(text.lines().count() as u64, payload.points);
        for line in text.lines() {
            let (name, rest) = line.split_once(':').unwrap();
            if let ("c_total", Some((value, tag))) = (name, rest.split_once("|c|#at:")) {
                values.insert(tag.to_owned(), value.parse::<u64>().unwrap());
            }
        }
    }
    assert_eq!(values.len(), 500);
    assert!((0..500).all(|at| values[&at.to_string()] == at + 1));
}
