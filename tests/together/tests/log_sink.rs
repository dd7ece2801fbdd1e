//! What the sink of log lines allocates and records. Alone in its binary: the allocator and the recorder
//! are the process's.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use test_support::alloc::{Allocations, CountingAllocator, count};
use tower_json_logging::{Importance, Sink, SinkStats};
use tower_metrics_exporter::Exporter;
use tracing::Level;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const LONG: Duration = Duration::from_secs(60);
const LINE: &[u8] = &{
    let mut line = [b'x'; 400];
    line[399] = b'\n';
    line
};

/// Waits in each call until it is told to go on, or nobody is there any more to tell it.
struct Gated {
    called: Sender<usize>,
    go_on: Receiver<()>,
}

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.called.send(bytes.len());
        let _ = self.go_on.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn offer(sink: &Sink, lines: usize) -> Allocations {
    count(|| {
        for _ in 0..lines {
            sink.offer(LINE, Level::INFO, Importance::Normal);
        }
    })
}

/// The value of a series, which is there.
fn value(text: &str, series: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is missing:\n{text}"))
        .parse()
        .unwrap()
}

fn recorded(text: &str, stats: &SinkStats, bytes: usize) {
    let written = stats.written().of(Level::INFO) as f64;
    assert_eq!(value(text, r#"log_lines_total{level="INFO"}"#), written);
    assert_eq!(value(text, "log_written_bytes_total"), bytes as f64);
    let dropped = r#"log_lines_dropped_total{level="INFO",reason="queue_full"}"#;
    assert_eq!(value(text, dropped), stats.dropped().total() as f64);
}

#[test]
fn a_line_costs_no_allocation_queued_or_lost_and_is_counted_once() {
    let exporter = Exporter::builder()
        .specs(tower_json_logging::specs())
        .install()
        .unwrap();
    let (called, calls) = channel();
    let (go_on, gate) = channel();
    let output = Gated {
        called,
        go_on: gate,
    };
    let sink = Sink::writer(output).capacity(1 << 20).build().unwrap();
    offer(&sink, 1);
    let first = calls.recv_timeout(LONG).unwrap();
    let never = r#"log_lines_dropped_total{level="ERROR",reason="io_error"}"#;
    assert_eq!(value(&exporter.render(), never), 0.0);

    // All batches, first and later lines, within the room that ordinary lines have.
    assert_eq!(offer(&sink, 1900), Allocations::default());
    assert_eq!(sink.stats().queued().total(), 1901);

    offer(&sink, 1000); // the first to be lost makes its series
    assert!(sink.stats().dropped().total() > 0);
    assert_eq!(offer(&sink, 1000), Allocations::default());
    let text = exporter.render();
    assert_eq!(value(&text, "log_queue_capacity_bytes"), f64::from(1 << 20));
    assert_eq!(value(&text, "log_queue_bytes"), 400.0, "the first line");

    drop(go_on);
    assert!(sink.flush(LONG).is_complete());
    assert_eq!(offer(&sink, 500), Allocations::default(), "used memory");
    let report = sink.close(LONG);
    assert!(report.is_complete(), "{report}");
    let text = exporter.render();
    recorded(&text, report.stats(), first + calls.iter().sum::<usize>());
    assert_eq!(value(&text, "log_queue_bytes"), 0.0);
    let writes = value(&text, "log_writes_total");
    assert!(writes < report.stats().written().total() as f64 / 20.0);
    assert_eq!(value(&text, "log_write_seconds_count"), writes);
}
