//! Scans that wait: in this process, and in a queue that processes share.

use std::time::{Duration, UNIX_EPOCH};

use tokio::sync::mpsc;
use tower_scan_lifecycle::{RejectReason, ScanMeta, ScanReport, Ticket};

use crate::common::{Scene, on_both};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn a_scan_waits_runs_and_ends() {
    on_both(async |scene| {
        let (send, mut queue) = mpsc::channel(8);
        send.send(scene.scans.queue(scene.mcp())).await.unwrap();
        assert_eq!(scene.value("queued_scans"), 1.0);
        assert_eq!(scene.active(), 0.0);
        scene.clock.advance(Duration::from_secs(12));
        scene.scans.refresh();
        assert_eq!(
            scene.value("oldest_queued_scan_age_seconds{type=\"mcp\"}"),
            12.0
        );
        let worker = scene.scans.clone();
        tokio::spawn(async move {
            let scan = queue.recv().await.unwrap().start();
            assert_eq!((worker.active(), worker.queued()), (1, 0));
            scan.complete(ScanReport::new());
        })
        .await
        .unwrap();
        assert_eq!(scene.ends(), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(scene.value("queued_scans"), 0.0);
        assert_eq!(
            scene.value("oldest_queued_scan_age_seconds{type=\"mcp\"}"),
            0.0
        );
        assert_eq!(
            scene.value("scan_queue_duration_seconds_sum{type=\"mcp\"}"),
            12.0
        );
        // The wait is not in the duration.
        assert_eq!(scene.value("scan_duration_seconds_sum{type=\"mcp\"}"), 0.0);
    });
}

#[test]
fn a_scan_that_is_thrown_away_while_it_waits_is_rejected() {
    on_both(async |scene| {
        let (send, queue) = mpsc::channel(8);
        send.send(scene.scans.queue(scene.mcp())).await.unwrap();
        drop((send, queue));
        scene
            .scans
            .queue(scene.mcp())
            .reject(RejectReason::QueueFull);
        assert_eq!(
            (scene.rejected("dropped"), scene.rejected("queue_full")),
            (1.0, 1.0)
        );
        assert_eq!(scene.value("scans_started_total{type=\"mcp\"}"), 2.0);
        assert_eq!(scene.ends(), [0.0; 4]);
        assert_eq!(
            scene.value("scan_duration_seconds_count{type=\"mcp\"}"),
            0.0
        );
        assert_eq!(scene.value("queued_scans"), 0.0);
    });
}

#[test]
fn a_ticket_carries_a_scan_to_another_host_and_back() {
    on_both(async |here| {
        let there = Scene::new();
        *there.wall.lock().unwrap() += Duration::from_secs(90);
        let waiting = here.scans.queue(here.mcp().traceparent(TRACE));
        let ticket = waiting.ticket();
        assert_eq!(here.value("queued_scans"), 1.0, "until it is handed over");
        assert_eq!(waiting.into_ticket(), ticket);
        assert_eq!(here.value("queued_scans"), 0.0);
        assert_eq!(here.value("scans_started_total{type=\"mcp\"}"), 0.0);
        assert_eq!(ticket.traceparent(), Some(TRACE));

        let scan = there.scans.start_ticket(ticket);
        assert_eq!((scan.id(), scan.context().attempt()), (Some("7"), 1));
        assert_eq!(
            there.value("scan_queue_duration_seconds_sum{type=\"mcp\"}"),
            90.0
        );
        let again = scan.retry();
        assert_eq!((again.id(), again.attempt()), (Some("7"), 2));
        assert_eq!(again.traceparent(), Some(TRACE));
        there.check(0);
        here.scans.start_ticket(again).complete(ScanReport::new());
        assert_eq!(here.ends(), [1.0, 0.0, 0.0, 0.0]);
        // The clock over there is ahead: no wait is negative.
        assert_eq!(
            here.value("scan_queue_duration_seconds_sum{type=\"mcp\"}"),
            0.0
        );
    });
}

#[test]
fn a_delay_that_is_meant_is_no_wait() {
    on_both(async |scene| {
        let now = *scene.wall.lock().unwrap();
        let ticket = Ticket::new("mcp", now).delayed(Duration::from_secs(600));
        *scene.wall.lock().unwrap() += Duration::from_secs(630);
        let meta = ticket
            .into_meta()
            .target("a.json")
            .deadline(Duration::from_secs(60));
        let scan = scene.scans.start(meta);
        assert_eq!(scan.context().remaining(), Some(Duration::from_secs(60)));
        scan.cancel();
        assert_eq!(
            scene.value("scan_queue_duration_seconds_sum{type=\"mcp\"}"),
            30.0
        );
    });
}

#[test]
fn the_depth_of_a_shared_queue_is_its_stores() {
    on_both(async |scene| {
        let oldest = || scene.value("oldest_queued_scan_age_seconds{type=\"mcp\"}");
        scene
            .scans
            .set_queue("mcp", 5, Some(Duration::from_secs(40)));
        assert_eq!(scene.value("queue_depth{type=\"mcp\"}"), 5.0);
        assert_eq!(oldest(), 40.0);
        assert_eq!(
            scene.value("queued_scans"),
            0.0,
            "none wait in this process"
        );
        scene.clock.advance(Duration::from_secs(10));
        scene.scans.refresh();
        assert_eq!(oldest(), 50.0, "it ages until the store is asked again");
        let _own = scene.scans.queue(scene.mcp());
        scene.clock.advance(Duration::from_secs(100));
        scene
            .scans
            .set_queue("mcp", 1, Some(Duration::from_secs(3)));
        assert_eq!(oldest(), 100.0, "the older of both");
        scene
            .scans
            .set_queue("mcp", 0, Some(Duration::from_secs(3)));
        assert_eq!(
            (scene.value("queue_depth{type=\"mcp\"}"), oldest()),
            (0.0, 100.0)
        );
    });
}

#[test]
fn the_last_success_is_known_from_an_earlier_process() {
    on_both(async |scene| {
        let last = || scene.value("scan_last_success_timestamp_seconds{type=\"model\"}");
        assert_eq!(last(), 0.0);
        scene
            .scans
            .set_last_success("model", UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        assert_eq!(last(), 1_700_000_000.0);
        scene.scans.start(ScanMeta::new("model")).fail("no disk");
        assert_eq!(last(), 1_700_000_000.0);
        scene
            .scans
            .start(ScanMeta::new("model"))
            .complete(ScanReport::new());
        assert_eq!(last(), 1_800_000_000.0);
    });
}
