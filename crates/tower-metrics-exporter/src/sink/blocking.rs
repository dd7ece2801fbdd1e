use std::{fmt, sync::Arc};

use tokio::{
    sync::Mutex,
    task::{JoinHandle, spawn_blocking},
};

/// Calls that may block, on a thread that may, one at a time: whoever gives up waiting leaves it running, and whoever
/// comes next waits for the same. So however long a file or a name server hangs, it hangs one thread.
///
/// Clones are the same.
pub(super) struct Blocking<T> {
    running: Arc<Mutex<Option<JoinHandle<T>>>>,
}

impl<T: Send + 'static> Blocking<T> {
    /// What it gives, or what the one gives that still runs; `None` if it panicked.
    pub(super) async fn run(&self, call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let mut running = self.running.lock().await;
        let outcome = running.get_or_insert_with(|| spawn_blocking(call)).await;
        *running = None;
        outcome.ok()
    }
}

// By hand, as none of them needs a `T`.
impl<T> Clone for Blocking<T> {
    fn clone(&self) -> Self {
        Self {
            running: Arc::clone(&self.running),
        }
    }
}

impl<T> Default for Blocking<T> {
    fn default() -> Self {
        Self {
            running: Arc::default(),
        }
    }
}

impl<T> fmt::Debug for Blocking<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn who_comes_after_one_that_gave_up_waits_for_the_same() {
        let blocking = Blocking::default();
        let (go, goes) = mpsc::channel::<()>();
        let hangs = blocking.run(move || {
            _ = goes.recv();
            1
        });
        tokio::select! {
            biased;
            _ = hangs => unreachable!("it hangs"),
            () = std::future::ready(()) => {}
        }
        let again = blocking.clone();
        let next = again.run(|| 2);
        let goes_on = async { drop(go) };
        assert_eq!(tokio::join!(next, goes_on).0, Some(1));
        assert_eq!(blocking.run(|| 3).await, Some(3));
    }
}
