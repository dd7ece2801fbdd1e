//! What is asked of tokio: threads that may block, and a timer. Without the feature, or outside of a
//! runtime, pages are rendered on the spot and have all the time in the world.

use std::{
    sync::atomic::AtomicBool,
    task::{Context, Poll},
    time::Duration,
};

#[cfg(feature = "tokio")]
mod imp {
    use std::{
        future::Future as _,
        panic::{AssertUnwindSafe, catch_unwind},
        pin::Pin,
        sync::atomic::Ordering,
    };

    use tokio::{
        runtime::Handle,
        time::{Sleep, sleep},
    };

    use super::{AtomicBool, Context, Duration, Poll};

    pub(crate) fn is_there() -> bool {
        Handle::try_current().is_ok()
    }

    /// Runs `work` on a thread that may block. Drops it if there is none.
    pub(crate) fn spawn_blocking(work: impl FnOnce() + Send + 'static) {
        // It panics if the system has no thread to give.
        let spawned = catch_unwind(AssertUnwindSafe(|| {
            Handle::try_current().map(|runtime| runtime.spawn_blocking(work))
        }));
        drop(spawned);
    }

    /// A moment that a scrape is not to wait beyond.
    #[derive(Debug)]
    pub(crate) struct Deadline {
        sleep: Option<Pin<Box<Sleep>>>,
    }

    impl Deadline {
        /// A runtime can be built without timers, which is known only by the panic: `no_timers` keeps it
        /// to one.
        pub(crate) fn after(timeout: Duration, no_timers: &AtomicBool) -> Self {
            if no_timers.load(Ordering::Relaxed) {
                return Self { sleep: None };
            }
            let sleep = catch_unwind(|| Box::pin(sleep(timeout))).ok();
            no_timers.store(sleep.is_none(), Ordering::Relaxed);
            Self { sleep }
        }

        pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().poll(cx),
                None => Poll::Pending,
            }
        }
    }
}

#[cfg(not(feature = "tokio"))]
mod imp {
    use super::{AtomicBool, Context, Duration, Poll};

    pub(crate) const fn is_there() -> bool {
        false
    }

    /// Never called, as there never is a runtime.
    pub(crate) fn spawn_blocking(work: impl FnOnce() + Send + 'static) {
        work();
    }

    #[derive(Debug)]
    pub(crate) struct Deadline;

    impl Deadline {
        pub(crate) const fn after(_: Duration, _: &AtomicBool) -> Self {
            Self
        }

        #[expect(
            clippy::needless_pass_by_ref_mut,
            clippy::unused_self,
            reason = "as with tokio"
        )]
        pub(crate) const fn poll(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }
}

pub(crate) use imp::Deadline;
pub(super) use imp::{is_there, spawn_blocking};
