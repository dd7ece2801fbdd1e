use std::io::ErrorKind;

use tower_json_logging::{DropReason, Sink};
use tracing::Level;

use crate::output::{Do, LONG, info, law, scripted, split};

#[test]
fn an_output_that_recovers_gets_every_line_whole() {
    let (output, mut script) = scripted();
    let sink = Sink::writer(output).build().unwrap();
    assert!(info(&sink, "first"));
    script.tell(Do::Take(2)); // part of a line
    script.tell(Do::Fail(ErrorKind::StorageFull));
    script.called();
    script.called();
    assert!(info(&sink, "second"));
    let failed = {
        script.tell(Do::Fail(ErrorKind::StorageFull));
        sink.flush(LONG)
    };
    assert!(!failed.is_complete());
    assert!(failed.error().is_some(), "{failed}");
    assert_eq!(
        sink.last_error().map(|error| error.kind()),
        Some(ErrorKind::StorageFull)
    );
    law(failed.stats());
    script.take_all();
    // It may have failed a last time just before.
    while !sink.flush(LONG).is_complete() {}
    assert!(sink.flush(LONG).is_lossless());
    assert_eq!(script.text(), "first\nsecond\n");
}

#[test]
fn lines_that_find_no_room_while_the_output_fails_are_lost_for_that() {
    let (output, mut script) = scripted();
    let sink = Sink::writer(output)
        .batch(1024)
        .capacity(4096)
        .build()
        .unwrap();
    assert!(info(&sink, "first"));
    script.tell(Do::Fail(ErrorKind::BrokenPipe));
    script.tell(Do::Fail(ErrorKind::BrokenPipe));
    assert!(sink.flush(LONG).error().is_some());
    let long = "x".repeat(1000);
    let mut queued = 1;
    while info(&sink, &long) {
        queued += 1;
    }
    assert!(queued >= 4);
    let stats = sink.stats();
    law(&stats);
    assert_eq!(stats.queued().total(), queued);
    assert_eq!(stats.dropped_for(DropReason::IoError).of(Level::INFO), 1);
    script.take_all();
    while !sink.flush(LONG).is_complete() {}
    let text = script.text();
    let (lines, lost) = split(&text);
    assert_eq!(lines.len() as u64, queued);
    assert_eq!(lost, 1);
}

#[test]
fn a_writer_that_panics_has_failed() {
    let (output, mut script) = scripted();
    let sink = Sink::writer(output).build().unwrap();
    assert!(info(&sink, "first"));
    script.tell(Do::Panic);
    script.called();
    script.called(); // again
    let error = sink.last_error().unwrap();
    assert_eq!(error.to_string(), "the writer panicked");
    script.take_all();
    assert!(sink.flush(LONG).is_lossless());
    assert_eq!(script.text(), "first\n");
}
