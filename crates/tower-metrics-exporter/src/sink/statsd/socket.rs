use std::{
    collections::VecDeque,
    fmt, io,
    net::{SocketAddr, ToSocketAddrs as _},
    sync::Arc,
    time::Duration,
};

#[cfg(unix)]
use tokio::net::UnixDatagram;
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout},
};

use crate::sink::blocking::Blocking;

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

/// Where datagrams go.
pub(super) enum Peer {
    Udp(UdpPeer),
    #[cfg(unix)]
    Unix(UnixPeer),
}

impl Peer {
    pub(super) fn new(address: &Address) -> Self {
        match address {
            Address::Udp(name) => Self::Udp(UdpPeer::new(name, |name| {
                Ok(name.to_socket_addrs()?.collect())
            })),
            #[cfg(unix)]
            Address::Unix(path) => Self::Unix(UnixPeer {
                path: path.clone(),
                socket: None,
            }),
        }
    }

    pub(super) async fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(peer) => peer.send(datagram).await,
            #[cfg(unix)]
            Self::Unix(peer) => peer.send(datagram).await,
        }
    }
}

/// A Unix socket, connected to when it is needed, and anew after a failure.
#[cfg(unix)]
pub(super) struct UnixPeer {
    path: std::path::PathBuf,
    socket: Option<UnixDatagram>,
}

#[cfg(unix)]
impl UnixPeer {
    async fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let socket = if let Some(socket) = self.socket.take() {
            socket
        } else {
            let socket = UnixDatagram::unbound()?;
            socket.connect(&self.path)?;
            socket
        };
        socket.send(datagram).await?;
        self.socket = Some(socket);
        Ok(())
    }
}

type Lookup = Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// The addresses of a name, of which one is sent to, until it is refused there.
pub(super) struct UdpPeer {
    name: String,
    lookup: Lookup,
    looking: Blocking<io::Result<Vec<SocketAddr>>>,
    /// Since when what is known of the name is so.
    looked: Option<Instant>,
    current: Option<(SocketAddr, UdpSocket)>,
    /// Which of its addresses are to be tried next.
    others: VecDeque<SocketAddr>,
}

/// How old what is known of a name may be: it may come to stand for another address, and nothing else would tell.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long a datagram waits for news of a name whose address works.
const PATIENCE: Duration = Duration::from_secs(1);

impl UdpPeer {
    pub(super) fn new(
        name: &str,
        lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            lookup: Arc::new(lookup),
            looking: Blocking::default(),
            looked: None,
            current: None,
            others: VecDeque::new(),
        }
    }

    /// Sends to the address that took the last one, else to each of the others in turn. Once none is left, the name
    /// is looked up anew the next time.
    pub(super) async fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.look().await?;
        loop {
            let (address, socket) = match self.current.take() {
                Some(current) => current,
                None => self.connect().await?,
            };
            match send(&socket, datagram).await {
                Ok(()) => {
                    self.current = Some((address, socket));
                    return Ok(());
                }
                // Whoever it goes to.
                Err(error) if is_too_long(&error) => {
                    self.current = Some((address, socket));
                    return Err(error);
                }
                Err(error) if self.others.is_empty() => {
                    self.looked = None;
                    return Err(error);
                }
                Err(_) => {}
            }
        }
    }

    /// Connects to the first of the others that there is a way to.
    async fn connect(&mut self) -> io::Result<(SocketAddr, UdpSocket)> {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        while let Some(address) = self.others.pop_front() {
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
                Ok(socket) => return Ok((address, socket)),
                Err(error) => failure = error,
            }
        }
        self.looked = None;
        Err(failure)
    }

    /// Looks the name up, if it is time to. An address that is still of the name stays.
    async fn look(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let age = self
            .looked
            .map(|looked| now.saturating_duration_since(looked));
        if age.is_some_and(|age| age < LOOK_EVERY) {
            return Ok(());
        }
        let (lookup, name) = (Arc::clone(&self.lookup), self.name.clone());
        let found = self.looking.run(move || lookup(&name));
        let found = if self.current.is_some() {
            // What works goes on working, however long the name server takes.
            self.looked = Some(now);
            match timeout(PATIENCE, found).await {
                Ok(Some(Ok(found))) if !found.is_empty() => found,
                _ => return Ok(()),
            }
        } else {
            let panicked = || Err(io::Error::other("the lookup panicked"));
            found.await.unwrap_or_else(panicked)?
        };
        self.looked = Some(now);
        self.others = found.into();
        if let Some((current, _)) = &self.current {
            let before = self.others.len();
            self.others.retain(|address| address != current);
            if self.others.len() == before {
                self.current = None;
            }
        }
        Ok(())
    }
}

/// Sends to one address. On the same machine a refusal is known at once; from another, it is told at one of
/// the next datagrams.
async fn send(socket: &UdpSocket, datagram: &[u8]) -> io::Result<()> {
    socket.send(datagram).await?;
    socket.take_error()?.map_or(Ok(()), Err)
}

/// Whether the datagram is longer than the system can send: it will always be.
pub(super) fn is_too_long(error: &io::Error) -> bool {
    // `EMSGSIZE`, which has another number on each.
    const EMSGSIZE: i32 = if cfg!(windows) {
        10040
    } else if cfg!(any(target_os = "linux", target_os = "android")) {
        90
    } else {
        40
    };
    error.raw_os_error() == Some(EMSGSIZE)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    async fn receiver(address: &str) -> (UdpSocket, SocketAddr) {
        let receiver = UdpSocket::bind(address).await.unwrap();
        let address = receiver.local_addr().unwrap();
        (receiver, address)
    }

    /// An address that refuses.
    async fn nobody(address: &str) -> SocketAddr {
        receiver(address).await.1
    }

    async fn received(receiver: &UdpSocket) -> Vec<u8> {
        let mut datagram = vec![0; 100];
        let length = receiver.recv(&mut datagram).await.unwrap();
        datagram.truncate(length);
        datagram
    }

    /// A name of these addresses, and how often it was looked up.
    type Name = (Arc<Mutex<Vec<SocketAddr>>>, Arc<AtomicUsize>, UdpPeer);

    fn name(addresses: &[SocketAddr]) -> Name {
        let addresses = Arc::new(Mutex::new(addresses.to_vec()));
        let count = Arc::new(AtomicUsize::new(0));
        let peer = UdpPeer::new("agent:8125", {
            let (addresses, count) = (Arc::clone(&addresses), Arc::clone(&count));
            move |name| {
                assert_eq!(name, "agent:8125");
                count.fetch_add(1, Ordering::Relaxed);
                Ok(addresses.lock().unwrap().clone())
            }
        });
        (addresses, count, peer)
    }

    #[tokio::test]
    async fn where_one_address_of_a_name_refuses_the_next_is_sent_to() {
        let (v4, address) = receiver("127.0.0.1:0").await;
        let (_, count, mut peer) = name(&[nobody("[::1]:0").await, address]);
        for datagram in [b"1", b"2"] {
            peer.send(datagram).await.unwrap();
            assert_eq!(received(&v4).await, datagram);
        }
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn once_all_refuse_the_name_is_looked_up_again() {
        let (receiver, address) = receiver("127.0.0.1:0").await;
        let gone = [nobody("127.0.0.1:0").await, nobody("[::1]:0").await];
        let (addresses, count, mut peer) = name(&gone);
        for round in 1..=3 {
            let error = peer.send(b"1").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            assert_eq!(count.load(Ordering::Relaxed), round);
        }
        *addresses.lock().unwrap() = Vec::new();
        let error = peer.send(b"2").await.unwrap_err().to_string();
        assert_eq!(error, "the name has no address");
        *addresses.lock().unwrap() = vec![address];
        peer.send(b"3").await.unwrap();
        assert_eq!(received(&receiver).await, b"3");
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_comes_to_stand_for_another_address_is_followed_in_a_minute() {
        let (before, old) = receiver("127.0.0.1:0").await;
        let (after, new) = receiver("127.0.0.1:0").await;
        let (addresses, count, mut peer) = name(&[old]);
        peer.send(b"1").await.unwrap();
        assert_eq!(received(&before).await, b"1");
        *addresses.lock().unwrap() = vec![new];
        peer.send(b"2").await.unwrap();
        assert_eq!(received(&before).await, b"2");
        tokio::time::advance(LOOK_EVERY).await;
        peer.send(b"3").await.unwrap();
        assert_eq!(received(&after).await, b"3");
        assert_eq!(count.load(Ordering::Relaxed), 2);
        // Nobody knows it for now, so it stays.
        addresses.lock().unwrap().clear();
        tokio::time::advance(LOOK_EVERY).await;
        peer.send(b"4").await.unwrap();
        assert_eq!(received(&after).await, b"4");
        assert_eq!(count.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_server_that_hangs_does_not_hold_up_what_works_and_is_asked_once() {
        let (receiver, address) = receiver("127.0.0.1:0").await;
        let asked = Arc::new(AtomicUsize::new(0));
        let (go, goes) = std::sync::mpsc::channel::<()>();
        let goes = Mutex::new(goes);
        let mut peer = UdpPeer::new("agent:8125", {
            let asked = Arc::clone(&asked);
            move |_| {
                if asked.fetch_add(1, Ordering::Relaxed) > 0 {
                    _ = goes.lock().unwrap().recv();
                }
                Ok(vec![address])
            }
        });
        // The second lookup hangs, and the others wait for it.
        for _ in 0..5 {
            let (sent, ()) = tokio::join!(peer.send(b"1"), tokio::time::advance(LOOK_EVERY));
            sent.unwrap();
            assert_eq!(received(&receiver).await, b"1");
        }
        while asked.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        drop(go);
    }
}
