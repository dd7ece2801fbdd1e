use std::{thread, time::Duration};

use tower_json_logging::{DropReason, Importance, Overflow, Sink, SinkBuilder};
use tracing::Level;

use crate::output::{Do, LONG, Script, info, law, scripted, split};

/// Four batches of sixteen lines of 64 bytes, and one that the output holds.
fn stalled(with: impl FnOnce(SinkBuilder) -> SinkBuilder) -> (Sink, Script) {
    let (output, script) = scripted();
    let builder = Sink::writer(output).batch(1024).capacity(4096);
    let sink = with(builder).build().unwrap();
    assert!(line(&sink, 0));
    assert_eq!(script.called(), 64);
    (sink, script)
}

fn text(n: usize) -> String {
    format!("{n:>63}")
}

fn line(sink: &Sink, n: usize) -> bool {
    info(sink, &text(n))
}

fn important(sink: &Sink, n: usize) -> bool {
    let line = format!("{}\n", text(n));
    sink.offer(line.as_bytes(), Level::WARN, Importance::Important)
}

#[test]
fn the_newest_are_lost_counted_and_announced_where_they_would_stand() {
    let (sink, mut script) = stalled(|builder| builder.reserve_for_important(0.0));
    for n in 1..=64 {
        assert!(line(&sink, n));
    }
    for n in 65..=70 {
        assert!(!line(&sink, n));
    }
    let stats = sink.stats();
    law(&stats);
    assert_eq!(stats.dropped_for(DropReason::QueueFull).of(Level::INFO), 6);
    assert_eq!(stats.queued().total(), 65);
    assert_eq!(stats.queued_bytes(), 65 * 64);

    script.tell(Do::Take(64)); // the first
    script.called(); // the second batch: there is a free one
    assert!(line(&sink, 71));
    script.take_all();
    let report = sink.flush(LONG);
    law(report.stats());
    assert_eq!(report.stats().written().total(), 66);
    let out = script.text();
    let place = out
        .lines()
        .position(|line| line.contains("log lines were lost"));
    assert_eq!(place, Some(65));
    let (lines, lost) = split(&out);
    let expected: Vec<_> = (0..=64).chain([71]).map(text).collect();
    assert_eq!(lines, expected);
    assert_eq!(lost, 6);
}

#[test]
fn a_loss_is_announced_also_if_no_line_follows() {
    let (sink, mut script) = stalled(|builder| builder.reserve_for_important(0.0));
    for n in 1..=66 {
        line(&sink, n);
    }
    script.take_all();
    assert!(sink.flush(LONG).is_complete());
    assert_eq!(split(&script.text()).1, 2);
    assert!(!sink.flush(LONG).is_lossless());
}

#[test]
fn important_lines_use_the_reserve() {
    // Of four batches two.
    let (sink, mut script) = stalled(|builder| builder.reserve_for_important(0.5));
    for n in 1..=32 {
        assert!(line(&sink, n));
    }
    assert!(!line(&sink, 33));
    for n in 34..=65 {
        assert!(important(&sink, n));
        assert!(!line(&sink, 1000));
    }
    assert!(!important(&sink, 66));
    let stats = sink.stats();
    law(&stats);
    assert_eq!(stats.dropped().of(Level::INFO), 33);
    assert_eq!(stats.dropped().of(Level::WARN), 1);
    script.take_all();
    assert!(sink.flush(LONG).is_complete());
    let out = script.text();
    let (lines, lost) = split(&out);
    let expected: Vec<_> = (0..=32).chain(34..=65).map(text).collect();
    assert_eq!(lines, expected);
    assert_eq!(lost, 34);
    // No more than one for each batch.
    assert!(out.lines().count() - lines.len() <= 3, "{out}");
}

#[test]
fn the_oldest_are_lost_and_announced_where_they_stood() {
    let (sink, mut script) = stalled(|builder| builder.overflow(Overflow::DropOldest));
    for n in 1..=64 + 20 {
        assert!(line(&sink, n));
    }
    let stats = sink.stats();
    law(&stats);
    assert_eq!(stats.dropped_for(DropReason::QueueFull).total(), 32);
    script.take_all();
    assert!(sink.flush(LONG).is_complete());
    let out = script.text();
    assert!(out.lines().nth(1).unwrap().contains("log lines were lost"));
    let (lines, lost) = split(&out);
    let expected: Vec<_> = [0].into_iter().chain(33..=84).map(text).collect();
    assert_eq!(lines, expected);
    assert_eq!(lost, 32);
}

#[test]
fn who_blocks_goes_on_once_there_is_room() {
    let (sink, mut script) = stalled(|builder| {
        builder
            .reserve_for_important(0.0)
            .overflow(Overflow::Block(LONG))
    });
    for n in 1..=64 {
        assert!(line(&sink, n));
    }
    thread::scope(|scope| {
        let blocked = scope.spawn(|| line(&sink, 65));
        script.take_all();
        assert!(blocked.join().unwrap());
    });
    let report = sink.flush(LONG);
    assert!(report.is_lossless(), "{report}");
    assert_eq!(script.text().lines().count(), 66);
}

#[test]
fn who_blocks_gives_up_in_time() {
    let (sink, mut script) = stalled(|builder| {
        builder
            .reserve_for_important(0.0)
            .overflow(Overflow::Block(Duration::from_millis(1)))
    });
    for n in 1..=64 {
        assert!(line(&sink, n));
    }
    assert!(!line(&sink, 65));
    law(&sink.stats());
    script.take_all();
    assert!(sink.flush(LONG).is_complete());
    assert_eq!(split(&script.text()).1, 1);
}

#[test]
fn a_flush_gives_up_in_time() {
    let (sink, mut script) = stalled(|builder| builder);
    let report = sink.flush(Duration::from_millis(1));
    assert!(report.is_timed_out() && !report.is_complete());
    assert_eq!(report.stats().queued().total(), 1);
    assert_eq!(
        report.to_string(),
        "0 lines written, 0 lost, 1 queued; the output did not take them in time"
    );
    script.take_all();
    assert!(sink.flush(LONG).is_lossless());
}
