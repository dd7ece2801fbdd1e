//! A scan's changes, as they happen.

use std::time::Duration;

use futures_util::stream::{self, Stream};
use tokio::sync::watch;

use crate::{
    record::{ScanRecord, ScanStatus},
    store::Store,
};

/// The scan as it stands `now`, and as it stands after each change, until its end ends the stream.
///
/// `changes` must have been asked for before `now` was read.
pub(crate) fn follow(
    now: ScanRecord,
    changes: watch::Receiver<()>,
    store: Store,
) -> impl Stream<Item = ScanRecord> + Send + 'static {
    let follow = (Step::Tell(now), changes, store);
    stream::unfold(follow, |(step, mut changes, store)| async move {
        let scan = match step {
            Step::Tell(scan) => scan,
            Step::Wait(status, id) => changed(status, &id, &mut changes, &store).await?,
        };
        let next = Step::Wait(scan.status, scan.id.clone());
        Some((scan, (next, changes, store)))
    })
}

/// What a stream of changes does next.
enum Step {
    /// Tell of this.
    Tell(ScanRecord),
    /// Wait until the scan of this id has another status than this.
    Wait(ScanStatus, String),
}

/// Another process on the same database tells of no changes: this is how often it is asked.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The scan once it stands elsewhere; nothing if it had ended, or is gone.
async fn changed(
    seen: ScanStatus,
    id: &str,
    changes: &mut watch::Receiver<()>,
    store: &Store,
) -> Option<ScanRecord> {
    if seen.is_end() {
        return None;
    }
    loop {
        // Whether told or not, the database says what is so.
        drop(tokio::time::timeout(LOOK_AGAIN, changes.changed()).await);
        match store.get(id).await {
            Ok(Some(scan)) if scan.status == seen => {}
            Ok(scan) => return scan,
            Err(error) => {
                let error = error.as_ref() as &dyn std::error::Error;
                tracing::error!(error, "cannot follow the scan any longer");
                return None;
            }
        }
    }
}
