//! Where series are sent to, for who is not scraped.

#![cfg_attr(
    not(all(
        feature = "otlp",
        feature = "pushgateway",
        feature = "remote-write",
        feature = "statsd"
    )),
    allow(
        dead_code,
        unused_imports,
        unused_macros,
        reason = "each sink needs other parts of what they share"
    )
)]

mod backoff;
mod blocking;
#[cfg(feature = "serde")]
mod config;
mod driver;
mod environment;
mod failure;
mod frame;
#[cfg(feature = "_http")]
mod http;
mod memory;
mod metrics;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "pushgateway")]
mod pushgateway;
mod queue;
#[cfg(feature = "remote-write")]
mod remote_write;
#[cfg(feature = "statsd")]
mod statsd;

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;

#[cfg(feature = "serde")]
pub use self::config::*;
use self::failure::Failure;
#[cfg(feature = "_http")]
pub use self::http::HttpClient;
#[cfg(feature = "otlp")]
pub use self::otlp::Otlp;
#[cfg(feature = "pushgateway")]
pub use self::pushgateway::Pushgateway;
#[cfg(feature = "remote-write")]
pub use self::remote_write::RemoteWrite;
#[cfg(feature = "statsd")]
pub use self::statsd::Statsd;
pub use self::{
    driver::{SinkReport, Sinks, SinksHandle, SinksReport},
    failure::SinkError,
    memory::MemorySink,
};
pub(crate) use self::{frame::Frame, metrics::specs};

/// Something that series can be sent to: made from [`MemorySink`], and from what the features bring
/// (`Otlp`, `Pushgateway`, `RemoteWrite`,
/// `Statsd`).
pub struct Sink {
    /// The value of the label `sink` in the series about it.
    name: &'static str,
    keeps: Keeps,
    /// How many bytes may wait.
    buffer: usize,
    /// How long an attempt may take.
    timeout: Duration,
    encoder: Box<dyn Encoder>,
    sender: Box<dyn Sender>,
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_BUFFER: usize = 32 << 20;

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Which of what could not be sent yet is still worth sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    /// All: each has a time of its own.
    All,
    /// The last: it replaces what was before.
    Latest,
}

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Payload {
    body: Bytes,
    /// How many samples are in it.
    points: u64,
}

/// Makes payloads of what is recorded. Runs on a thread that may block.
trait Encoder: Send + 'static {
    fn encode(&mut self, frame: &Arc<Frame>) -> Vec<Payload>;

    /// Whether it tells by how much values changed, and not the values.
    fn tells_changes(&self) -> bool {
        false
    }

    /// What there is when it begins, for one that tells changes. The first of a recorder is to tell what was
    /// recorded so far, too.
    fn begin(&mut self, _frame: &Frame, _is_first: bool) {}
}

type SendFuture<'a> = Pin<Box<dyn Future<Output = Result<Sent, Failure>> + Send + 'a>>;

/// Sends payloads, one after the other.
trait Sender: Send + 'static {
    fn send<'a>(&'a mut self, payload: &'a Payload) -> SendFuture<'a>;

    /// After the last one.
    fn close(&mut self) -> SendFuture<'_> {
        Box::pin(async { Ok(Sent::default()) })
    }

    /// Why it can never work, as far as that is known beforehand.
    fn check(&self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// What became of a payload that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sent {
    /// How many of its points were refused nevertheless.
    rejected: u64,
    /// What the server says of that.
    why: Option<String>,
}
