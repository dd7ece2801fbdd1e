//! `scan-worker ask`: puts scans into the queue.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use scan_platform::scan::ScanType;
use tower_scan_lifecycle::{ScanMeta, ScanMetrics};

use crate::{
    job::Job,
    queue::{Queue, QueueUrl, Share},
};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The queue.
    pub queue_url: QueueUrl,
    /// Which scanner is to run.
    pub scan_type: ScanType,
    /// What it is to read, relative to the workers' scan root.
    pub paths: Vec<String>,
}

/// Puts a scan of each path into the queue, and prints its id.
///
/// # Errors
///
/// If the queue cannot be reached or does not take them.
pub async fn ask(options: Options) -> anyhow::Result<()> {
    let share = Share {
        batch: 1,
        heartbeat: Duration::from_secs(30),
    };
    let mut queue = Queue::connect(&options.queue_url, share).await?;
    let scan_type = options.scan_type;
    // Nobody scrapes this process: it is for the tickets.
    let scans = ScanMetrics::builder().types([scan_type.as_str()]).build()?;
    for path in options.paths {
        let id = uuid::Uuid::now_v7().to_string();
        let waits = scans.queue(ScanMeta::new(scan_type.as_str()).id(&id));
        let job = Job {
            ticket: waits.ticket(),
            scan_type,
            path,
        };
        queue.push(job, Duration::ZERO).await?;
        drop(waits.into_ticket());
        writeln!(io::stdout(), "{id}")?;
    }
    Ok(())
}
