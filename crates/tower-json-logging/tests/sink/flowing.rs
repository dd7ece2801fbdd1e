use std::{io::Write as _, thread};

use tower_json_logging::{Importance, JsonLayer, Sink};
use tracing::Level;
use tracing_subscriber::{fmt::MakeWriter as _, layer::SubscriberExt as _};

use crate::output::{Do, LONG, info, law, scripted};

#[test]
fn lines_come_whole_and_in_order() {
    let (output, mut script) = scripted();
    script.take_all();
    let sink = Sink::writer(output).build().unwrap();
    let expected: Vec<_> = (0..10_000).map(|n| n.to_string()).collect();
    for n in 0..10_000 {
        assert!(info(&sink, &n.to_string()));
    }
    let report = sink.flush(LONG);
    assert!(report.is_lossless(), "{report}");
    assert_eq!(script.text().lines().collect::<Vec<_>>(), expected);
    assert_eq!(report.stats().written().of(Level::INFO), 10_000);
    law(report.stats());
}

#[test]
fn lines_of_many_threads_are_each_whole_and_in_their_order() {
    const THREADS: usize = 4;
    const LINES: usize = 5_000;
    let (output, mut script) = scripted();
    script.take_all();
    let sink = Sink::writer(output).build().unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let sink = &sink;
            scope.spawn(move || {
                for line in 0..LINES {
                    assert!(info(sink, &format!("{thread} {line}")));
                }
            });
        }
    });
    assert!(sink.flush(LONG).is_lossless());
    let text = script.text();
    for thread in 0..THREADS {
        let of_thread: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix(&format!("{thread} ")))
            .collect();
        let expected: Vec<_> = (0..LINES).map(|line| line.to_string()).collect();
        assert_eq!(of_thread, expected);
    }
    assert_eq!(text.lines().count(), THREADS * LINES);
}

#[test]
fn many_lines_are_one_write() {
    let (output, script) = scripted();
    let sink = Sink::writer(output).build().unwrap();
    assert!(info(&sink, "first"));
    assert_eq!(script.called(), 6); // it is held here
    for _ in 0..1000 {
        assert!(info(&sink, "later"));
    }
    script.tell(Do::Take(usize::MAX));
    assert_eq!(script.called(), 6000);
    script.tell(Do::Take(usize::MAX));
    assert!(sink.flush(LONG).is_lossless());
}

#[test]
fn what_the_output_takes_in_pieces_comes_whole() {
    let (output, mut script) = scripted();
    let sink = Sink::writer(output).build().unwrap();
    assert!(info(&sink, "first"));
    script.called();
    assert!(info(&sink, "second") && info(&sink, "third"));
    for what in [
        Do::Take(6),
        Do::Take(3),
        Do::Fail(std::io::ErrorKind::Interrupted),
        Do::Take(5),
        Do::Fail(std::io::ErrorKind::WouldBlock),
        Do::Take(1),
    ] {
        script.tell(what);
    }
    script.take_all();
    let report = sink.flush(LONG);
    assert!(report.is_lossless(), "{report}");
    assert_eq!(script.text(), "first\nsecond\nthird\n");
    assert_eq!(sink.last_error().map(|error| error.kind()), None);
}

#[test]
fn the_level_and_importance_of_events_come_with_the_writer() {
    let (output, mut script) = scripted();
    script.take_all();
    let sink = Sink::writer(output).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(JsonLayer::to(sink.clone()));
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!("one");
        tracing::error!("two");
    });
    sink.make_writer().write_all(b"three\n").unwrap();
    let report = sink.flush(LONG);
    assert_eq!(report.stats().written().of(Level::INFO), 2);
    assert_eq!(report.stats().written().of(Level::ERROR), 1);
    assert_eq!(script.text().lines().count(), 3);
}

#[test]
fn a_line_longer_than_a_batch_is_lost_and_counted() {
    let (output, mut script) = scripted();
    script.take_all();
    let sink = Sink::writer(output)
        .batch(1024)
        .capacity(4096)
        .build()
        .unwrap();
    let fits = [&[b'x'; 1023][..], b"\n"].concat();
    let long = [&[b'y'; 1024][..], b"\n"].concat();
    assert!(!sink.offer(&long, Level::DEBUG, Importance::Important));
    assert!(sink.offer(&fits, Level::DEBUG, Importance::Normal));
    let report = sink.flush(LONG);
    law(report.stats());
    let oversize = tower_json_logging::DropReason::Oversize;
    assert_eq!(report.stats().dropped_for(oversize).of(Level::DEBUG), 1);
    let text = script.text();
    let (announcement, line) = text.split_once('\n').unwrap();
    assert_eq!(line.as_bytes(), fits);
    let announcement: serde_json::Value = serde_json::from_str(announcement).unwrap();
    assert_eq!(announcement["level"], "WARN");
    assert_eq!(announcement["lines_lost"], 1);
    assert_eq!(announcement["lost_oversize"], 1);
}

#[test]
fn lost_lines_are_told_of_in_the_schema_of_the_others() {
    let (output, mut script) = scripted();
    script.take_all();
    let sink = Sink::writer(output)
        .batch(1024)
        .capacity(4096)
        .schema(tower_json_logging::Schema::ecs("api"))
        .build()
        .unwrap();
    let long = [b'y'; 1025];
    assert!(!sink.offer(&long, Level::DEBUG, Importance::Normal));
    assert!(sink.flush(LONG).is_complete());
    let line: serde_json::Value = serde_json::from_str(&script.text()).unwrap();
    assert_eq!(line["log.level"], "WARN");
    assert_eq!(line["message"], "log lines were lost");
    assert_eq!(line["labels.lost_oversize"], "1");
}
