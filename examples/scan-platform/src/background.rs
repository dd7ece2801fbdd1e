//! Scans that wait in the store until it is their turn, and what becomes of those whose instance died.

use std::time::{Duration, SystemTime};

use tokio::{sync::watch, task::JoinSet, time};
use tower_scan_lifecycle::{Failure, ScanMeta, Ticket};

use crate::{
    ending::{Unfinished, completed, failed},
    platform::Platform,
    record::{ScanRecord, ScanStatus},
    scan::ScanType,
    scanner::{Job, JobError, Turn},
    store::{Store, Waiting},
};

/// Another instance tells of no changes: this is how often the queue is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Runs the scans that wait, until the sender of `stopped` is gone, and then those that run to their
/// end. All the time it says how many wait.
pub async fn run(platform: Platform, stopped: watch::Receiver<()>) {
    tokio::select! {
        () = work(&platform, stopped) => {}
        () = tell_depth(&platform) => {}
    }
}

async fn work(platform: &Platform, mut stopped: watch::Receiver<()>) {
    let store = platform.store();
    let mut changes = store.changes();
    let mut running = JoinSet::new();
    loop {
        while running.try_join_next().is_some() {}
        // Nobody takes what it cannot run: another instance may have the time.
        let turn = tokio::select! {
            turn = platform.scanners().turn() => turn,
            () = gone(&mut stopped) => break,
        };
        changes.mark_unchanged();
        match store.claim().await {
            Ok(Some((scan, ticket))) => {
                running.spawn(one(platform.clone(), turn, scan, ticket));
                continue;
            }
            Ok(None) => {}
            Err(error) => complain(&error, "cannot read which scans wait"),
        }
        drop(turn);
        tokio::select! {
            () = change(&mut changes) => {}
            () = gone(&mut stopped) => break,
        }
    }
    while running.join_next().await.is_some() {}
}

/// Ends when there is a change, or it is time to look for another instance's.
async fn change(changes: &mut watch::Receiver<()>) {
    drop(time::timeout(LOOK_AGAIN, changes.changed()).await);
}

/// Ends when the sender is gone.
async fn gone(stopped: &mut watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

/// Says how many scans wait, and for how long. Never ends by itself.
async fn tell_depth(platform: &Platform) {
    let store = platform.store();
    let mut changes = store.changes();
    loop {
        changes.mark_unchanged();
        match store.waiting().await {
            Ok(waiting) => tell(platform, &waiting),
            Err(error) => complain(&error, "cannot read how many scans wait"),
        }
        change(&mut changes).await;
    }
}

fn tell(platform: &Platform, waiting: &[Waiting]) {
    for scan_type in ScanType::ALL.map(ScanType::as_str) {
        let of_type = waiting
            .iter()
            .find(|waiting| waiting.scan_type == scan_type);
        let depth = of_type.map_or(0, |waiting| waiting.depth);
        // Another machine's clock may be ahead.
        let oldest = of_type.map(|waiting| {
            let waited = SystemTime::now().duration_since(waiting.oldest);
            waited.unwrap_or_default()
        });
        platform.scan_metrics().set_queue(scan_type, depth, oldest);
    }
}

/// Runs one scan that has waited.
async fn one(platform: Platform, turn: Turn, mut scan: ScanRecord, ticket: String) {
    let unfinished = Unfinished::new(&scan, platform.store());
    let ticket = serde_json::from_str(&ticket).unwrap_or_else(|error| {
        tracing::warn!(scan_id = scan.id, %error, "the scan's ticket cannot be read");
        Ticket::new(scan.scan_type.as_str(), scan.created_at).with_id(&scan.id)
    });
    let result = match platform.target(scan.path.clone()).await {
        Ok(target) => {
            let job = Job {
                id: scan.id.clone(),
                scan_type: scan.scan_type,
                target,
                watch: None,
                ticket: Some(ticket.clone()),
            };
            platform.scanners().run(turn, job).await
        }
        // It was there when it was asked for.
        Err(error) => {
            let active = platform.scan_metrics().start_ticket(ticket.clone());
            active.fail(Failure::of(&error));
            Err(JobError::Target(error))
        }
    };
    let end = match result {
        Err(JobError::Interrupted) => {
            scan.status = ScanStatus::Queued;
            End::WaitsAgain(again(ticket))
        }
        Ok(assessed) => {
            completed(&mut scan, assessed);
            End::Ended
        }
        Err(error) => {
            failed(&mut scan, &error);
            End::Ended
        }
    };
    // Nobody waits for an answer, so that there is time to say it once the database is back.
    while let Err(error) = end.say(&platform, &scan).await {
        complain(&error, "cannot record the end of a scan yet");
        time::sleep(LOOK_AGAIN).await;
    }
    unfinished.defuse();
}

enum End {
    Ended,
    WaitsAgain(Ticket),
}

impl End {
    async fn say(&self, platform: &Platform, scan: &ScanRecord) -> anyhow::Result<()> {
        match self {
            Self::Ended => platform.record_end(scan).await,
            Self::WaitsAgain(ticket) => {
                let ticket = serde_json::to_string(ticket)?;
                let given = platform.store().give_back(scan, &ticket).await?;
                tracing::info!(
                    scan_id = scan.id,
                    given,
                    "the scan waits for the next start"
                );
                Ok(())
            }
        }
    }
}

/// The ticket for the next attempt, which waits from now on.
fn again(ticket: Ticket) -> Ticket {
    let mut next = Ticket::new(ticket.scan_type(), SystemTime::now())
        .with_attempt(ticket.attempt().saturating_add(1));
    if let Some(id) = ticket.id() {
        next = next.with_id(id);
    }
    if let Some(parent) = ticket.traceparent() {
        next = next.with_traceparent(parent);
    }
    next
}

/// Says that this instance lives, a few times within `timeout`, and ends the scans of others that have
/// said nothing for so long. Never ends by itself.
pub async fn keep_watch(platform: Platform, timeout: Duration) {
    let store = platform.store();
    let mut ticks = time::interval(timeout / 4);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let looked = async {
            store.beat().await?;
            for instance in store.silent_for(timeout).await? {
                end_abandoned(&platform, &instance).await?;
                store.forget(&instance).await?;
            }
            anyhow::Ok(())
        };
        if let Err(error) = looked.await {
            complain(&error, "cannot look after the other instances");
        }
    }
}

/// Ends the scans that an instance left running when it died, and counts them.
///
/// # Errors
///
/// If the database does not answer.
pub async fn end_abandoned(platform: &Platform, instance: &str) -> anyhow::Result<()> {
    let store: &Store = platform.store();
    let ended = store.end_abandoned(instance).await?;
    for scan in &ended {
        let meta = ScanMeta::new(scan.scan_type.as_str());
        let meta = meta.id(&scan.id).target(&scan.path);
        platform.scan_metrics().abandoned_scan(&meta, None);
    }
    if !ended.is_empty() {
        tracing::warn!(
            instance,
            abandoned = ended.len(),
            "ended scans that a dead instance left running"
        );
    }
    Ok(())
}

fn complain(error: &anyhow::Error, what: &'static str) {
    let error = error.as_ref() as &dyn std::error::Error;
    tracing::error!(error, "{what}");
}
