//! A million scans at once: what each of them takes, and that the gauges stay right. Alone in its binary,
//! which has an allocator of its own.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use test_support::alloc::{CountingAllocator, count};
use tower_observe::ManualClock;
use tower_scan_lifecycle::{ScanMeta, ScanMetrics, ScanReport};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const SCANS: usize = 1_000_000;

/// Fewer wait: they are not made in another way.
const QUEUED: usize = 100_000;

/// What a scan that runs may take in memory, its place in the books included.
const BYTES: u64 = 512;
/// And one that waits, in whatever holds it.
const QUEUED_BYTES: u64 = 448;

#[test]
fn a_million_scans_at_once_take_a_bounded_number_of_bytes_each() {
    let clock = ManualClock::new();
    let scans = ScanMetrics::builder()
        .types(["mcp", "model"])
        .clock(clock.clock())
        .build()
        .unwrap();
    let start = || scans.start(ScanMeta::new("mcp"));

    let mut active = Vec::new();
    let took = count(|| {
        active.reserve_exact(SCANS);
        for _ in 0..SCANS {
            clock.advance(Duration::from_nanos(1));
            active.push(start());
        }
    });
    let (bytes, allocations) = (
        took.bytes / SCANS as u64,
        took.allocations as f64 / SCANS as f64,
    );
    println!("a scan that runs: {bytes} bytes in {allocations:.2} allocations");
    assert!(bytes <= BYTES, "{bytes} bytes a scan");
    assert!(allocations <= 1.5, "{allocations} allocations a scan");
    assert_eq!(scans.active(), SCANS as u64);

    let mut queued = Vec::new();
    let took = count(|| {
        queued.reserve_exact(QUEUED);
        for _ in 0..QUEUED {
            queued.push(scans.queue(ScanMeta::new("model")));
        }
    });
    let bytes = took.bytes / QUEUED as u64;
    println!("a scan that waits: {bytes} bytes");
    assert!(bytes <= QUEUED_BYTES, "{bytes} bytes a waiting scan");
    assert_eq!(scans.queued(), QUEUED as u64);

    // What the recorder shows among a million is right after each transition: the oldest, too.
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let shows = |name: &str| -> f64 {
        let page = handle.render();
        let line = page.lines().find_map(|line| line.strip_prefix(name));
        line.expect("it is there").trim().parse().expect("a number")
    };
    let age = "sentrascan_oldest_active_scan_age_seconds{type=\"mcp\"}";
    clock.advance(Duration::from_secs(100));
    metrics::with_local_recorder(&recorder, || {
        let newest = active.pop().unwrap();
        newest.complete(ScanReport::new());
        assert_eq!(shows("sentrascan_active_scans"), (SCANS - 1) as f64);
        assert!(shows(age) >= 100.0009, "{}", shows(age));
        // Those that began in the first half are done: the oldest is of the second.
        let rest = active.split_off(SCANS / 2);
        for scan in active.drain(..) {
            scan.cancel();
        }
        assert_eq!(shows("sentrascan_active_scans"), (rest.len()) as f64);
        assert!((100.0004..100.0006).contains(&shows(age)), "{}", shows(age));
        drop(rest);
        drop(queued);
        assert_eq!(shows("sentrascan_active_scans"), 0.0);
        assert_eq!(shows("sentrascan_queued_scans"), 0.0);
        assert_eq!(shows(age), 0.0);
    });
}
