use std::{fmt, io};

use tokio::net::UdpSocket;
#[cfg(unix)]
use tokio::net::UnixDatagram;

#[derive(Clone, Debug)]
pub(super) enum Address {
    /// A host and a port.
    Udp(String),
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => f.write_str(address),
            #[cfg(unix)]
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// A socket whose datagrams go to one address.
#[derive(Debug)]
pub(super) enum Socket {
    Udp(UdpSocket),
    #[cfg(unix)]
    Unix(UnixDatagram),
}

impl Socket {
    pub(super) async fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Udp(address) => Self::udp(address).await,
            #[cfg(unix)]
            Address::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Ok(Self::Unix(socket))
            }
        }
    }

    /// The first of its addresses that there is a way to.
    async fn udp(address: &str) -> io::Result<Self> {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in tokio::net::lookup_host(address).await? {
            let any = if address.is_ipv4() {
                "0.0.0.0:0"
            } else {
                "[::]:0"
            };
            let connected = async {
                let socket = UdpSocket::bind(any).await?;
                socket.connect(address).await?;
                io::Result::Ok(socket)
            };
            match connected.await {
                Ok(socket) => return Ok(Self::Udp(socket)),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    pub(super) async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let sent = match self {
            Self::Udp(socket) => socket.send(datagram).await?,
            #[cfg(unix)]
            Self::Unix(socket) => socket.send(datagram).await?,
        };
        debug_assert_eq!(sent, datagram.len());
        Ok(())
    }
}

/// Whether the datagram is longer than the system can send: it will always be.
pub(super) fn is_too_long(error: &io::Error) -> bool {
    // As Linux, the BSDs, and Windows number it.
    matches!(error.raw_os_error(), Some(90 | 40 | 10040))
}
