use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::{
    DEFAULT_BUFFER, DEFAULT_TIMEOUT, Encoder, Frame, Keeps, Payload, SendFuture, Sender, Sent, Sink,
};
use crate::Snapshot;

/// A sink that keeps what it is given, for tests. Clones share it.
///
/// ```
/// use std::time::Duration;
///
/// use tower_metrics_exporter::{Exporter, MemorySink, Value};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let exporter = Exporter::builder().build()?;
/// let memory = MemorySink::new();
/// let sinks = exporter.sinks().sink(&memory).start()?;
///
/// metrics::with_local_recorder(&exporter.recorder(), || metrics::counter!("jobs_total").increment(2));
///
/// let report = sinks.shutdown(Duration::from_secs(5)).await;
/// assert!(report.is_complete());
/// let last = memory.last().ok_or("nothing was sent")?;
/// assert_eq!(last.get("jobs_total", &[]), Some(&Value::Counter(2.0)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemorySink {
    kept: Arc<Mutex<VecDeque<Snapshot>>>,
}

/// How many snapshots are kept.
const KEPT: usize = 1000;

impl MemorySink {
    /// One that has nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was sent, the oldest first: the last thousand.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        self.kept().iter().cloned().collect()
    }

    /// What was sent last.
    pub fn last(&self) -> Option<Snapshot> {
        self.kept().back().cloned()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Snapshot>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<&MemorySink> for Sink {
    fn from(sink: &MemorySink) -> Self {
        let read = Arc::default();
        Self {
            name: "memory",
            keeps: Keeps::All,
            buffer: DEFAULT_BUFFER,
            timeout: DEFAULT_TIMEOUT,
            encoder: Box::new(Reader {
                read: Arc::clone(&read),
            }),
            sender: Box::new(Keeper {
                read,
                sink: sink.clone(),
            }),
        }
    }
}

impl From<MemorySink> for Sink {
    fn from(sink: MemorySink) -> Self {
        Self::from(&sink)
    }
}

/// What was read and not sent yet: as many as there are payloads.
type Read = Arc<Mutex<VecDeque<Snapshot>>>;

struct Reader {
    read: Read,
}

impl Encoder for Reader {
    fn encode(&mut self, frame: &Arc<Frame>) -> Vec<Payload> {
        let mut snapshot = Snapshot::default();
        frame.encode(&mut snapshot);
        let points = snapshot.iter().len() as u64;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.push_back(snapshot);
        vec![Payload {
            body: Bytes::new(),
            points,
        }]
    }
}

struct Keeper {
    read: Read,
    sink: MemorySink,
}

impl Sender for Keeper {
    fn send<'a>(&'a mut self, _: &'a Payload) -> SendFuture<'a> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = read.pop_front();
        drop(read);
        let mut kept = self.sink.kept();
        kept.extend(snapshot);
        while kept.len() > KEPT {
            kept.pop_front();
        }
        Box::pin(async { Ok(Sent::default()) })
    }
}
