//! Lines handed to another thread, at a fixed rate, which writes them to a file.

use std::{
    env, fs,
    io::{self, Write},
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use test_support::alloc;
use tower_json_logging::Sink;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;

use benches::report::Row;

use crate::{
    harness::{Effort, Rows},
    versions,
};

const LINE: &[u8] = &{
    let mut line = [b'x'; 400];
    line[399] = b'\n';
    line
};

/// Compares at three rates, the sides in turn.
pub fn run(effort: Effort, rows: &mut Rows) {
    // It has no comparisons that could be run alone.
    if effort.is_of_one() {
        return;
    }
    let peer = versions::named("tracing-appender");
    println!("\nlog-sink: what a line of 400 bytes costs its thread, above reading the clock");
    println!(
        "  {:<12} {:<34} {:>8} {:>8} {:>8} {:>8} {:>12} {:>8}",
        "lines/s", "", "p50 ns", "p99 ns", "p99.9", "allocs", "writes/line", "lost"
    );
    for gap in [2, 10, 50].map(Duration::from_micros) {
        let lines = (effort.operations / 20).min(20_000);
        let mut clock = Side::new();
        let mut ours = Side::new();
        let mut theirs = Side::new();
        let (output, of_sink) = Output::new("sink");
        let sink = Sink::writer(output).build().expect("the sink is built");
        let (output, of_appender) = Output::new("appender");
        let (appender, guard): (NonBlocking, WorkerGuard) =
            NonBlockingBuilder::default().lossy(true).finish(output);
        for round in 0..=effort.rounds.min(9) {
            // The first round is there to warm up.
            let keep = round > 0;
            clock.measure(gap, lines, keep, || {});
            ours.measure(gap, lines, keep, || give(&sink));
            theirs.measure(gap, lines, keep, || give(&appender));
            // Until all is written: nobody's backlog falls on the next.
            assert!(sink.flush(Duration::from_secs(60)).is_complete());
            let lost = appender.error_counter();
            while of_appender.lines() + (lost.dropped_lines() as u64) < theirs.offered {
                thread::yield_now();
            }
        }
        let rate = 1_000_000 / gap.as_micros();
        let floor = clock.percentile(0.5);
        let lost = sink.stats().dropped().total();
        ours.print(rate, "tower-json-logging Sink", floor, &of_sink, lost);
        let lost = appender.error_counter().dropped_lines() as u64;
        theirs.print(rate, &peer, floor, &of_appender, lost);
        let row = Row::new(
            "log-sink",
            format!("{rate} lines a second, the median"),
            ours.percentile(0.5) - floor,
        );
        let row = row
            .beside(&peer, theirs.percentile(0.5) - floor)
            .allocations(ours.allocations(), theirs.allocations())
            .allocates_at_most(0.0)
            .headline();
        // The contract's rate is the one in the middle; at the others it is told.
        rows.add(if rate == 100_000 {
            row.at_most(0.25)
        } else {
            row
        });
        drop((guard, sink));
    }
}

/// As a formatter does.
fn give<'a>(writer: &'a impl MakeWriter<'a>) {
    writer
        .make_writer()
        .write_all(LINE)
        .expect("the line is taken");
}

struct Side {
    nanos: Vec<f64>,
    allocations: u64,
    offered: u64,
}

impl Side {
    const fn new() -> Self {
        Self {
            nanos: Vec::new(),
            allocations: 0,
            offered: 0,
        }
    }

    /// Does the work at this pace, and keeps what each took.
    fn measure(&mut self, gap: Duration, lines: usize, keep: bool, work: impl Fn()) {
        self.nanos.reserve(lines);
        self.offered += lines as u64;
        let before = alloc::so_far().allocations;
        let mut due = Instant::now();
        for _ in 0..lines {
            let mut start = Instant::now();
            while start < due {
                std::hint::spin_loop();
                start = Instant::now();
            }
            work();
            let took = start.elapsed();
            if keep {
                self.nanos.push(took.as_nanos() as f64);
            }
            due = start + gap;
        }
        if keep {
            self.allocations += alloc::so_far().allocations - before;
        }
    }

    fn allocations(&self) -> f64 {
        self.allocations as f64 / self.nanos.len() as f64
    }

    fn percentile(&self, part: f64) -> f64 {
        let mut nanos = self.nanos.clone();
        nanos.sort_by(f64::total_cmp);
        nanos[((nanos.len() - 1) as f64 * part) as usize]
    }

    fn print(&self, rate: u128, name: &str, floor: f64, output: &Counts, lost: u64) {
        let [half, most, nearly_all] = [0.5, 0.99, 0.999].map(|part| self.percentile(part) - floor);
        println!(
            "  {rate:<12} {name:<34} {half:>8.0} {most:>8.0} {nearly_all:>8.0} {:>8.2} {:>12.4} {lost:>8}",
            self.allocations(),
            output.writes.load(Ordering::Relaxed) as f64 / output.lines() as f64,
        );
    }
}

#[derive(Default)]
struct Counts {
    writes: AtomicU64,
    bytes: AtomicU64,
}

impl Counts {
    fn lines(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed) / LINE.len() as u64
    }
}

/// A file, and how often it is written to.
struct Output {
    file: fs::File,
    counts: Arc<Counts>,
}

impl Output {
    fn new(name: &str) -> (Self, Arc<Counts>) {
        let name = format!("bench-{}-{name}.log", process::id());
        let path = env::temp_dir().join(name);
        let file = fs::File::create(&path).expect("there is a place for temporary files");
        // It goes with its last descriptor.
        fs::remove_file(path).expect("it was just made");
        let counts = Arc::<Counts>::default();
        let output = Self {
            file,
            counts: Arc::clone(&counts),
        };
        (output, counts)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.counts.writes.fetch_add(1, Ordering::Relaxed);
        self.counts
            .bytes
            .fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
