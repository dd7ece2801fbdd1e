//! An observer that remembers how every exchange ended.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderMap, Method};
use tokio::sync::watch;
use tower_observe::{
    End, Ending, Exchange, ManualClock, Moment, Observe, ObserveLayer, RequestHead, ResponseHead,
};

/// How one exchange ended. Times are since the observer was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub ending: Ending,
    pub status: Option<u16>,
    pub bytes: u64,
    pub trailers: Option<HeaderMap>,
    pub started: Duration,
    pub head: Option<Duration>,
    pub ended: Duration,
    /// Where the request went.
    pub path: String,
    pub method: Method,
}

impl Ended {
    /// The ending, the status and the bytes: what does not depend on time.
    pub fn brief(&self) -> (Ending, Option<u16>, u64) {
        (self.ending, self.status, self.bytes)
    }
}

/// Remembers the end of each exchange. Clones share one memory and one clock.
#[derive(Clone, Debug)]
pub struct Ends {
    shared: Arc<Shared>,
    asks_for_the_head: bool,
}

#[derive(Debug)]
struct Shared {
    clock: ManualClock,
    origin: Moment,
    started: watch::Sender<usize>,
    ends: Mutex<Vec<Ended>>,
    ended: watch::Sender<usize>,
}

impl Ends {
    /// An observer without memories, whose clock stands still.
    pub fn new() -> Self {
        let clock = ManualClock::new();
        Self {
            shared: Arc::new(Shared {
                origin: clock.now(),
                clock,
                started: watch::Sender::new(0),
                ends: Mutex::default(),
                ended: watch::Sender::new(0),
            }),
            asks_for_the_head: false,
        }
    }

    /// Asks every response's head for its time. Default: does not.
    #[must_use]
    pub fn asking_for_the_head(mut self) -> Self {
        self.asks_for_the_head = true;
        self
    }

    /// A layer with this observer and its clock.
    pub fn layer(&self) -> ObserveLayer<Self> {
        self.layer_with(self.clone())
    }

    /// A layer with `observer`, which should have this one as a part, and this one's clock.
    pub fn layer_with<O>(&self, observer: O) -> ObserveLayer<O> {
        ObserveLayer::new(observer).clock(self.shared.clock.clock())
    }

    /// Moves time forward by as many seconds.
    pub fn advance(&self, seconds: u64) {
        self.shared.clock.advance(Duration::from_secs(seconds));
    }

    /// How many exchanges began.
    pub fn started(&self) -> usize {
        *self.shared.started.borrow()
    }

    /// How many exchanges ended.
    pub fn ended(&self) -> usize {
        self.lock().len()
    }

    /// Every end, the first one first.
    pub fn all(&self) -> Vec<Ended> {
        self.lock().clone()
    }

    /// Every end without what depends on time.
    pub fn brief(&self) -> Vec<(Ending, Option<u16>, u64)> {
        self.lock().iter().map(Ended::brief).collect()
    }

    /// The only end.
    ///
    /// # Panics
    ///
    /// If not exactly one exchange began and ended.
    #[track_caller]
    pub fn only(&self) -> Ended {
        let ends = self.all();
        assert_eq!((self.started(), ends.len()), (1, 1), "{ends:?}");
        ends.into_iter().next().expect("one")
    }

    /// Waits until `count` exchanges have begun.
    ///
    /// # Panics
    ///
    /// If that takes longer than ten seconds.
    pub async fn wait_for_start(&self, count: usize) {
        let reached = reach(&self.shared.started, count).await;
        assert!(reached, "waited for {count} starts: {}", self.started());
    }

    /// Waits until `count` exchanges have ended, and gives them.
    ///
    /// # Panics
    ///
    /// If that takes longer than ten seconds, or if there are more.
    pub async fn wait_for(&self, count: usize) -> Vec<Ended> {
        let reached = reach(&self.shared.ended, count).await;
        let ends = self.all();
        assert!(reached, "waited for {count} ends: {ends:?}");
        assert_eq!(ends.len(), count, "{ends:?}");
        ends
    }

    /// Waits until the only exchange has ended, and gives its end.
    pub async fn wait(&self) -> Ended {
        self.wait_for(1).await;
        self.only()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Ended>> {
        // An end may be recorded while a panic unwinds.
        self.shared
            .ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `counted` comes to `count` in time.
async fn reach(counted: &watch::Sender<usize>, count: usize) -> bool {
    let mut counted = counted.subscribe();
    let reached = counted.wait_for(|counted| *counted >= count);
    let reached = tokio::time::timeout(Duration::from_secs(10), reached).await;
    reached.is_ok()
}

impl Default for Ends {
    fn default() -> Self {
        Self::new()
    }
}

impl Observe for Ends {
    type Exchange = Recording;

    fn start(&self, request: &mut RequestHead<'_>) -> Recording {
        self.shared.started.send_modify(|started| *started += 1);
        Recording {
            ends: self.clone(),
            path: request.uri().path().to_owned(),
            method: request.method().clone(),
        }
    }
}

/// What an [`Ends`] keeps of one exchange until that ends.
#[derive(Debug)]
pub struct Recording {
    ends: Ends,
    path: String,
    method: Method,
}

impl Exchange for Recording {
    fn head(&mut self, response: &mut ResponseHead<'_>) {
        if self.ends.asks_for_the_head {
            response.at();
        }
    }

    fn end(&self, end: &End<'_>) {
        let Shared { origin, ended, .. } = &*self.ends.shared;
        let mut ends = self.ends.lock();
        ends.push(Ended {
            ending: end.ending(),
            status: end.status().map(|status| status.as_u16()),
            bytes: end.bytes(),
            trailers: end.trailers().cloned(),
            started: end.started() - *origin,
            head: end.head_at().map(|at| at - *origin),
            ended: end.ended() - *origin,
            path: self.path.clone(),
            method: self.method.clone(),
        });
        ended.send_replace(ends.len());
    }
}
