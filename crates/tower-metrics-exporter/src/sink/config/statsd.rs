use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::time;
use crate::{SinkError, Statsd};

/// What an agent speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StatsdDialect {
    /// `StatsD`, without tags.
    #[default]
    Statsd,
    /// `DogStatsD`.
    DogStatsd,
}

/// A [`Statsd`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct StatsdConfig {
    /// The host and the port, for UDP; or give `socket`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The path of a Unix datagram socket; or give `address`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// `statsd` unless set.
    pub dialect: StatsdDialect,
    /// What every name begins with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// How many bytes a datagram has at most: 1,432, or 8,192 to a Unix socket, unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// How far apart datagrams are: a millisecond unless set.
    #[serde(with = "time", skip_serializing_if = "Option::is_none")]
    pub pause: Option<Duration>,
    /// How many bytes may wait to be sent: 32 MiB unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer: Option<usize>,
}

impl StatsdConfig {
    /// What it describes.
    ///
    /// # Errors
    ///
    /// If it cannot be: the error names the key, what was given, and what would be right.
    pub fn sink(&self) -> Result<Statsd, SinkError> {
        let mut sink = match (&self.address, &self.socket) {
            (Some(address), None) => Statsd::udp(address).map_err(|error| error.of("address"))?,
            #[cfg(unix)]
            (None, Some(path)) => Statsd::unix(path),
            #[cfg(not(unix))]
            (None, Some(_)) => {
                return Err(SinkError::new("socket: it is for Unix only: give address"));
            }
            (None, None) => {
                return Err(SinkError::new(
                    "address: it is not there: give a host and a port such as 127.0.0.1:8125, or the path of a socket \
                     as socket",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(SinkError::new(
                    "socket: address is there, too: give one of them",
                ));
            }
        };
        if self.dialect == StatsdDialect::DogStatsd {
            sink = sink.dogstatsd();
        }
        sink = sink.prefix(&*self.prefix);
        if let Some(bytes) = self.max_length {
            sink = sink.max_length(bytes);
        }
        if let Some(pause) = self.pause {
            sink = sink.pause(pause);
        }
        if let Some(bytes) = self.buffer {
            sink = sink.buffer(bytes);
        }
        Ok(sink)
    }
}
