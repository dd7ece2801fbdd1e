use std::{fmt, sync::Arc};

use tokio::{
    sync::Mutex,
    task::{JoinHandle, spawn_blocking},
};

/// Calls that may block, on a thread that may, one at a time: whoever gives up waiting leaves it running, and whoever
/// comes next waits for it, too. So however long a file or a name server hangs, it hangs one thread.
///
/// Clones are the same.
pub(super) struct Blocking<T> {
    running: Arc<Mutex<Option<JoinHandle<T>>>>,
}

impl<T: Send + 'static> Blocking<T> {
    /// As [`run`](Self::run), but for what one gave long ago that nobody waited for.
    pub(super) async fn run_anew(&self, call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let mut running = self.running.lock().await;
        if running.as_ref().is_some_and(JoinHandle::is_finished) {
            *running = None;
        }
        drop(running);
        self.run(call).await
    }

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

    #[tokio::test]
    async fn who_wants_news_is_not_told_what_was_left() {
        let blocking = Blocking::default();
        let (done, is_done) = mpsc::channel::<()>();
        let (go, goes) = mpsc::channel::<()>();
        let hangs = blocking.run(move || {
            _ = goes.recv();
            drop(done);
            1
        });
        tokio::select! {
            biased;
            _ = hangs => unreachable!("it hangs"),
            () = std::future::ready(()) => {}
        }
        drop(go);
        assert!(is_done.recv().is_err());
        let left = || async {
            blocking
                .running
                .lock()
                .await
                .as_ref()
                .unwrap()
                .is_finished()
        };
        while !left().await {
            tokio::task::yield_now().await;
        }
        assert_eq!(blocking.run_anew(|| 2).await, Some(2));
    }
}
