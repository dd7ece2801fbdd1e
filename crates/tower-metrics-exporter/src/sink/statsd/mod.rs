mod encode;
mod socket;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use self::{
    encode::{Dialect, Lines},
    socket::{Address, Peer},
};
use super::{
    DEFAULT_BUFFER, DEFAULT_TIMEOUT, Failure, Keeps, Payload, SendFuture, Sender, Sent, Sink,
    SinkError,
    failure::{Reason, Retry},
};

/// Sends to a `StatsD` server, or a `DogStatsD` one, by datagrams: over UDP (IPv4 and IPv6) or a Unix socket.
///
/// ```
/// use tower_metrics_exporter::{Exporter, SinkError, Statsd};
///
/// # fn start(exporter: &Exporter) -> Result<(), SinkError> {
/// let agent = Statsd::udp("127.0.0.1:8125")?.dogstatsd();
/// let sinks = exporter.sinks().sink(agent).start()?;
/// # drop(sinks);
/// # Ok(())
/// # }
/// ```
///
/// | | |
/// |---|---|
/// | counters | as `c`, by how much they grew since the last time, if they did |
/// | what was before | the first sinks of an exporter tell what was recorded before they were started, too; those that are started later tell what is recorded since. A counter whose beginning is not known, as that of a collector may not be, is told from its second reading on |
/// | gauges | as `g`, each time. To `StatsD` a sign is a change: a negative value is set from zero, in one datagram |
/// | histograms | as counters of the names of a page: `…_bucket` by `le`, `…_count`, `…_sum`. Sums of several instances are right, and quantiles can be had as from a page |
/// | labels | tags of `DogStatsD`; else part of the name: `requests_total.route.orders`, with `_` for what would be taken apart |
/// | datagrams | of many lines up to 1,432 bytes, or 8 KiB to a Unix socket, a millisecond apart |
/// | losses | nobody answers to a datagram: over UDP, what is lost on the way is not noticed. That nobody listens is: on the same machine at once, from another one or a few datagrams later |
#[derive(Clone, Debug)]
#[must_use = "a sink does nothing until it is added to `Sinks`"]
pub struct Statsd {
    address: Address,
    dialect: Dialect,
    prefix: String,
    max_length: usize,
    pause: Duration,
    buffer: usize,
}

/// What is left of an Ethernet frame's 1,500 bytes, with room for tunnels.
const UDP_LENGTH: usize = 1432;
const UNIX_LENGTH: usize = 8192;
const DEFAULT_PAUSE: Duration = Duration::from_millis(1);

impl Statsd {
    /// Sends over UDP to this host and port; 8125 is usual. A name is looked up when there is something to send, and
    /// again each minute, and once nobody listens: each of its addresses is tried.
    ///
    /// # Errors
    ///
    /// If it is no host and port.
    pub fn udp(address: impl Into<String>) -> Result<Self, SinkError> {
        let address = address.into();
        let port = address
            .rsplit_once(':')
            .map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(_))) {
            return Err(SinkError::new(format!(
                "`{address}` is no address of a StatsD server: give a host and a port, such as 127.0.0.1:8125 or \
                 [::1]:8125"
            )));
        }
        Ok(Self::new(Address::Udp(address), UDP_LENGTH))
    }

    /// Sends to the Unix datagram socket at this path.
    #[cfg(unix)]
    pub fn unix(path: impl Into<std::path::PathBuf>) -> Self {
        Self::new(Address::Unix(path.into()), UNIX_LENGTH)
    }

    const fn new(address: Address, max_length: usize) -> Self {
        Self {
            address,
            dialect: Dialect::Statsd,
            prefix: String::new(),
            max_length,
            pause: DEFAULT_PAUSE,
            buffer: DEFAULT_BUFFER,
        }
    }

    /// Speaks `DogStatsD`: labels are tags, and a gauge may be negative.
    pub const fn dogstatsd(mut self) -> Self {
        self.dialect = Dialect::DogStatsd;
        self
    }

    /// Begins every name with this; not at all unless set.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how many bytes a datagram has at most. A single line that is longer is sent alone.
    pub const fn max_length(mut self, bytes: usize) -> Self {
        self.max_length = bytes;
        self
    }

    /// Sets how far apart datagrams are, so that they do not flood the receiver: a millisecond unless set.
    pub const fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Sets how many bytes may wait to be sent: 32 MiB unless set.
    pub const fn buffer(mut self, bytes: usize) -> Self {
        self.buffer = bytes;
        self
    }
}

impl From<Statsd> for Sink {
    fn from(sink: Statsd) -> Self {
        Self {
            name: "statsd",
            keeps: Keeps::All,
            buffer: sink.buffer,
            timeout: DEFAULT_TIMEOUT,
            encoder: Box::new(Lines::new(sink.dialect, sink.prefix, sink.max_length)),
            sender: Box::new(Datagrams {
                peer: Peer::new(&sink.address),
                address: sink.address,
                pause: sink.pause,
                last: None,
            }),
        }
    }
}

struct Datagrams {
    address: Address,
    peer: Peer,
    pause: Duration,
    last: Option<Instant>,
}

impl Datagrams {
    async fn send(&mut self, body: &[u8]) -> std::io::Result<()> {
        if let Some(last) = self.last {
            tokio::time::sleep_until(last + self.pause).await;
        }
        self.peer.send(body).await?;
        self.last = Some(Instant::now());
        Ok(())
    }
}

impl Sender for Datagrams {
    fn send<'a>(&'a mut self, payload: &'a Payload) -> SendFuture<'a> {
        Box::pin(async {
            self.send(&payload.body).await.map_err(|error| {
                let is_too_long = socket::is_too_long(&error);
                Failure {
                    reason: if is_too_long {
                        Reason::Refused
                    } else {
                        Reason::Network
                    },
                    retry: if is_too_long {
                        Retry::Never
                    } else {
                        Retry::Later
                    },
                    text: format!("cannot send to {}: {error}", self.address),
                }
            })?;
            Ok(Sent::default())
        })
    }
}
