//! An output that does what a test says, call by call.

use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use tower_json_logging::{Importance, Sink, SinkStats};
use tracing::Level;

/// Long enough for any machine; nothing waits for it unless it fails.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// What one call does.
#[derive(Clone, Debug)]
pub(crate) enum Do {
    /// Takes this many bytes at most.
    Take(usize),
    Fail(io::ErrorKind),
    Panic,
}

/// Each call takes one instruction, and waits for it; after the last it takes everything.
pub(crate) struct Scripted {
    script: Receiver<Do>,
    called: Sender<usize>,
    taken: Arc<Mutex<Vec<u8>>>,
}

/// The test's side of it.
pub(crate) struct Script {
    /// `None` once the output is to take everything.
    pub(crate) next: Option<Sender<Do>>,
    /// The lengths that it was called with.
    pub(crate) called: Receiver<usize>,
    pub(crate) taken: Arc<Mutex<Vec<u8>>>,
}

pub(crate) fn scripted() -> (Scripted, Script) {
    let (next, script) = channel();
    let (called, calls) = channel();
    let taken = Arc::<Mutex<Vec<u8>>>::default();
    let output = Scripted {
        script,
        called,
        taken: Arc::clone(&taken),
    };
    let script = Script {
        next: Some(next),
        called: calls,
        taken,
    };
    (output, script)
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The test may be over.
        let _ = self.called.send(bytes.len());
        let taken = match self.script.recv() {
            Ok(Do::Take(most)) => bytes.len().min(most),
            Ok(Do::Fail(kind)) => return Err(kind.into()),
            Ok(Do::Panic) => panic!("the script says so"),
            Err(_) => bytes.len(),
        };
        self.taken.lock().unwrap().extend(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Script {
    pub(crate) fn tell(&self, what: Do) {
        self.next.as_ref().unwrap().send(what).unwrap();
    }

    /// Waits for a call of the output.
    pub(crate) fn called(&self) -> usize {
        self.called.recv_timeout(LONG).unwrap()
    }

    /// From now on the output takes everything.
    pub(crate) fn take_all(&mut self) {
        self.next = None;
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.taken.lock().unwrap().clone()).unwrap()
    }
}

/// Offers an ordinary line of this text.
pub(crate) fn info(sink: &Sink, text: &str) -> bool {
    sink.offer(
        format!("{text}\n").as_bytes(),
        Level::INFO,
        Importance::Normal,
    )
}

/// The law, of each level.
#[track_caller]
pub(crate) fn law(stats: &SinkStats) {
    for level in [
        Level::ERROR,
        Level::WARN,
        Level::INFO,
        Level::DEBUG,
        Level::TRACE,
    ] {
        assert_eq!(
            stats.offered().of(level),
            stats.written().of(level) + stats.dropped().of(level) + stats.queued().of(level),
            "{level}: {stats:?}"
        );
    }
}

/// The ordinary lines, and how many the others say were lost.
pub(crate) fn split(text: &str) -> (Vec<&str>, u64) {
    let (announcements, lines): (Vec<_>, Vec<_>) = text
        .lines()
        .partition(|line| line.contains("log lines were lost"));
    let lost = announcements.iter().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["lines_lost"].as_u64().unwrap()
    });
    (lines, lost.sum())
}
