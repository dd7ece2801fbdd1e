//! Outputs of the operating system.

use std::{
    env, fs,
    io::{ErrorKind, Read as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{self, Command},
    sync::{Arc, Mutex},
    time::Duration,
};

use tower_json_logging::{DropReason, Sink};
use tracing::Level;

use crate::output::{LONG, info, law, split};

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_costs_no_line_as_long_as_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = Arc::new(Mutex::new(PathBuf::from("/dev/full")));
    let sink = Sink::open_with({
        let path = Arc::clone(&path);
        move || {
            fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&*path.lock().unwrap())
        }
    })
    .build()
    .unwrap();
    for n in 0..1000 {
        assert!(info(&sink, &n.to_string()));
    }
    let report = sink.flush(LONG);
    assert!(report.error().is_some(), "{report}");
    let error = sink.last_error().unwrap();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    law(report.stats());
    assert_eq!(report.stats().written().total(), 0);

    let file = folder.path().join("app.log");
    file.clone_into(&mut path.lock().unwrap());
    sink.reopen(LONG).unwrap();
    assert!(sink.flush(LONG).is_lossless());
    let lines = fs::read_to_string(file).unwrap();
    let expected: Vec<_> = (0..1000).map(|n| n.to_string()).collect();
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
}

#[test]
#[cfg(target_os = "linux")]
fn what_a_full_disk_never_takes_is_counted() {
    let sink = Sink::file("/dev/full").build().unwrap();
    assert!(info(&sink, "one") && info(&sink, "two"));
    let report = sink.close(LONG);
    assert!(report.error().is_some(), "{report}");
    law(report.stats());
    assert_eq!(
        report
            .stats()
            .dropped_for(DropReason::IoError)
            .of(Level::INFO),
        2
    );
}

#[test]
fn a_reader_that_goes_is_survived_and_another_gets_what_is_left() {
    let readers = Arc::new(Mutex::new(Vec::new()));
    let sink = Sink::open_with({
        let readers = Arc::clone(&readers);
        move || {
            let (writer, reader) = UnixStream::pair()?;
            readers.lock().unwrap().push(reader);
            Ok(writer)
        }
    })
    .build()
    .unwrap();
    assert!(info(&sink, "one"));
    assert!(sink.flush(LONG).is_lossless());
    let mut reader = readers.lock().unwrap().pop().unwrap();
    let mut read = [0; 4];
    reader.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"one\n");
    drop(reader);

    assert!(info(&sink, "two"));
    assert!(!sink.flush(LONG).is_complete());
    assert_eq!(sink.last_error().unwrap().kind(), ErrorKind::BrokenPipe);
    sink.reopen(LONG).unwrap();
    assert!(info(&sink, "three"));
    assert!(sink.close(LONG).is_lossless());
    let mut reader = readers.lock().unwrap().pop().unwrap();
    drop(sink); // and its writer with it
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "two\nthree\n");
}

/// Whether the descriptor blocks or not.
fn stalled(nonblocking: bool) {
    let (writer, mut reader) = UnixStream::pair().unwrap();
    writer.set_nonblocking(nonblocking).unwrap();
    let sink = Sink::writer(writer).capacity(256 << 10).build().unwrap();
    let text = "x".repeat(399);
    let mut offered = 0;
    // More than the kernel and the queue can hold: nobody reads.
    while sink.stats().dropped().total() < 5000 {
        info(&sink, &text);
        offered += 1;
    }
    assert!(sink.flush(Duration::from_millis(1)).is_timed_out());
    let stats = sink.stats();
    law(&stats);
    assert_eq!(stats.offered().total(), offered);
    assert!(stats.queued_bytes() <= (256 + 64) << 10, "{stats:?}");

    let read = std::thread::spawn(move || {
        let mut all = String::new();
        reader.read_to_string(&mut all).unwrap();
        all
    });
    let report = sink.close(LONG);
    assert!(report.is_complete(), "{report}");
    law(report.stats());
    let all = read.join().unwrap();
    let (lines, lost) = split(&all);
    assert!(lines.iter().all(|line| *line == text));
    assert_eq!(lines.len() as u64, report.stats().written().total());
    assert_eq!(lost, report.stats().dropped().total());
    assert_eq!(lines.len() as u64 + lost, offered);
}

#[test]
fn nobody_waits_for_a_reader_that_stalls() {
    stalled(false);
}

#[test]
fn an_output_that_would_block_is_a_reader_that_stalls() {
    stalled(true);
}

const CHILD: &str = "SINK_TEST_CHILD";
const LINES: usize = 5000;

/// What a child process does: it logs to its standard output, and ends somehow.
#[test]
#[expect(clippy::exit, reason = "one of the ends")]
fn child() {
    let Ok(end) = env::var(CHILD) else { return };
    let sink = Sink::stdout().build().unwrap();
    let guard = sink.guard();
    for n in 0..LINES {
        info(&sink, &format!("line {n}"));
    }
    match end.as_str() {
        "exit" => {
            assert!(sink.close(LONG).is_lossless());
            process::exit(7);
        }
        "return" => drop(guard),
        "panic" => panic!("the guard is dropped"),
        other => panic!("no such end: {other}"),
    }
}

#[test]
fn no_line_is_missing_after_the_end_of_a_process() {
    for end in ["exit", "return", "panic"] {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "real::child", "--nocapture", "--test-threads=1"])
            .env(CHILD, end)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // The test harness writes there, too.
        let lines = text
            .lines()
            .filter_map(|line| line.split_once("line ").map(|(_, n)| n.to_owned()));
        let expected: Vec<_> = (0..LINES).map(|n| n.to_string()).collect();
        assert_eq!(lines.collect::<Vec<_>>(), expected, "{end}");
        let code = match end {
            "exit" => 7,
            "return" => 0,
            _ => 101,
        };
        assert_eq!(output.status.code(), Some(code), "{end}");
    }
}
