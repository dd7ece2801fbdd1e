//! How a scan ends, and that the store hears of it.

use std::time::Duration;

use tokio::{runtime::Handle, time};

use crate::{
    assess::Assessed,
    record::{Failure, ScanRecord, ScanStatus},
    scanner::JobError,
    store::Store,
};

/// How long to wait for a database that does not answer, before it is told again.
const TELL_AGAIN: Duration = Duration::from_secs(2);

pub(crate) fn completed(scan: &mut ScanRecord, assessed: Assessed) {
    scan.status = ScanStatus::Completed;
    scan.severities = assessed.severities;
    scan.findings = assessed.findings;
    scan.passed = Some(assessed.passed);
    scan.drift = assessed.drift;
}

pub(crate) async fn end(store: &Store, scan: &ScanRecord) -> anyhow::Result<()> {
    if !store.end(scan).await? {
        tracing::warn!(
            scan_id = scan.id,
            "another instance has given the scan up for dead; its own end is not recorded"
        );
    }
    Ok(())
}

pub(crate) fn failed(scan: &mut ScanRecord, error: &JobError) {
    scan.status = match error {
        JobError::TimedOut(_) => ScanStatus::TimedOut,
        JobError::Interrupted => ScanStatus::Cancelled,
        JobError::Scan(_) | JobError::Target(_) | JobError::Panicked(_) => ScanStatus::Failed,
        JobError::Platform(error) => {
            let error = error.as_ref() as &dyn std::error::Error;
            tracing::error!(
                scan_id = scan.id,
                error,
                "the scan failed with the platform"
            );
            ScanStatus::Failed
        }
    };
    scan.error = Some(Failure {
        code: error.code().to_owned(),
        message: error.to_string(),
    });
}

/// Sees to it that the store hears of the end of a scan: of one that is dropped before, that it was
/// cancelled; of one whose end the store did not take, that end.
pub(crate) struct Unfinished {
    scan: Option<ScanRecord>,
    store: Store,
}

impl Unfinished {
    pub(crate) fn new(scan: &ScanRecord, store: &Store) -> Self {
        Self {
            scan: Some(scan.clone()),
            store: store.clone(),
        }
    }

    /// The scan ends so, and the store is about to hear of it.
    pub(crate) fn ends(&mut self, scan: &ScanRecord) {
        self.scan = Some(scan.clone());
    }

    /// The store has heard of it.
    pub(crate) fn defuse(mut self) {
        self.scan = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(mut scan) = self.scan.take() else {
            return;
        };
        if !scan.status.is_end() {
            scan.status = ScanStatus::Cancelled;
        }
        let store = self.store.clone();
        // Outside a runtime the process is going down, and the next start ends the scan.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                while let Err(error) = end(&store, &scan).await {
                    complain(&scan, &error);
                    time::sleep(TELL_AGAIN).await;
                }
            });
        }
    }
}

fn complain(scan: &ScanRecord, error: &anyhow::Error) {
    tracing::error!(
        scan_id = scan.id,
        error = error.as_ref() as &dyn std::error::Error,
        "cannot record the end of the scan yet",
    );
}
