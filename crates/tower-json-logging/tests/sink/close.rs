use std::{sync::mpsc::channel, time::Duration};

use tower_json_logging::{DropReason, Sink};
use tracing::Level;

use crate::output::{Do, LONG, info, law, scripted};

#[test]
fn closing_writes_what_is_queued_and_takes_no_more() {
    let (output, mut script) = scripted();
    script.take_all();
    let sink = Sink::writer(output).build().unwrap();
    assert!(info(&sink, "before"));
    let report = sink.close(LONG);
    assert!(report.is_lossless(), "{report}");
    assert!(!info(&sink, "after"));
    let again = sink.close(LONG);
    assert!(again.is_complete() && !again.is_lossless());
    law(again.stats());
    assert_eq!(
        again
            .stats()
            .dropped_for(DropReason::Shutdown)
            .of(Level::INFO),
        1
    );
    assert_eq!(script.text(), "before\n");
    assert_eq!(
        again.to_string(),
        "1 lines written, 1 lost (shutdown 1), 0 queued"
    );
}

#[test]
fn the_last_handle_closes_and_reports() {
    let (output, mut script) = scripted();
    let (report, reported) = channel();
    let sink = Sink::writer(output)
        .on_close(move |closed| report.send(closed.clone()).unwrap())
        .build()
        .unwrap();
    let other = sink.clone();
    assert!(info(&sink, "one"));
    drop(sink);
    assert!(info(&other, "two"));
    assert!(reported.try_recv().is_err());
    script.take_all();
    drop(other);
    let report = reported.try_recv().unwrap();
    assert!(report.is_lossless(), "{report}");
    assert_eq!(script.text(), "one\ntwo\n");
}

#[test]
fn the_guard_closes_although_a_subscriber_keeps_a_handle() {
    let (output, mut script) = scripted();
    script.take_all();
    let sink = Sink::writer(output).build().unwrap();
    let of_subscriber = sink.clone();
    {
        let _guard = sink.guard();
        assert!(info(&of_subscriber, "in main"));
    }
    assert_eq!(script.text(), "in main\n");
    assert!(!info(&of_subscriber, "after"));
}

#[test]
fn an_output_that_keeps_the_thread_is_left_at_the_deadline() {
    let (output, mut script) = scripted();
    let sink = Sink::writer(output).build().unwrap();
    assert!(info(&sink, "held"));
    script.called();
    assert!(info(&sink, "queued"));
    let report = sink.close(Duration::from_millis(1));
    assert!(report.is_timed_out(), "{report}");
    law(report.stats());
    assert_eq!(report.stats().dropped_for(DropReason::Shutdown).total(), 2);
    assert_eq!(report.stats().queued().total(), 0);
    script.take_all();
    // The thread goes, with its output, and counts nothing more.
    assert!(script.called.recv_timeout(LONG).is_err());
    assert_eq!(sink.stats().written().total(), 0);
    law(&sink.stats());
}

#[test]
fn an_output_that_fails_at_the_end_is_not_tried_again() {
    let (output, script) = scripted();
    let sink = Sink::writer(output).build().unwrap();
    assert!(info(&sink, "held"));
    script.called();
    assert!(info(&sink, "queued"));
    std::thread::scope(|scope| {
        let closed = scope.spawn(|| sink.close(LONG));
        // It fails until it is given up.
        while !closed.is_finished() {
            script.tell(Do::Fail(std::io::ErrorKind::BrokenPipe));
            if script.called.recv_timeout(LONG).is_err() {
                break;
            }
        }
        let report = closed.join().unwrap();
        law(report.stats());
        assert_eq!(report.stats().dropped_for(DropReason::IoError).total(), 2);
        assert!(report.error().is_some(), "{report}");
    });
}
