use std::{
    error::Error,
    fmt,
    future::{Future, poll_fn},
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::{
    net::{TcpListener, ToSocketAddrs},
    sync::watch,
    task::JoinSet,
};
use tower_service::Service;

use super::{
    accept::Accepting,
    connection::{self, Limits, stopped},
};

type BoxError = Box<dyn Error + Send + Sync>;

/// A listener for an [`AdminService`](crate::AdminService), or any other service: HTTP/1.1, for few clients, some of
/// which may be up to no good.
///
/// | limit | default | |
/// |---|---|---|
/// | [`max_connections`](Self::max_connections) | 64 | more wait to be accepted |
/// | [`header_timeout`](Self::header_timeout) | 10 s | for the head of a request, from when the connection is ready for it; before that, for the TLS handshake |
/// | [`write_timeout`](Self::write_timeout) | 30 s | while a client does not read what it asked for |
/// | [`max_header_bytes`](Self::max_header_bytes) | 16 KiB | 431 to longer heads |
///
/// ```
/// use tower_metrics_exporter::{AdminServer, AdminService, Exporter};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let exporter = Exporter::builder().build()?;
/// let server = AdminServer::loopback(0).await?;
/// assert!(server.local_addr().ip().is_loopback());
///
/// // Until the process is told to stop.
/// let told_to_stop = async {};
/// server.serve(AdminService::new(&exporter), told_to_stop).await;
/// # Ok(())
/// # }
/// ```
pub struct AdminServer {
    listener: TcpListener,
    address: SocketAddr,
    max_connections: usize,
    limits: Limits,
}

impl AdminServer {
    /// Listens on this port, where nothing outside this machine reaches it; on any free one if it is 0.
    ///
    /// # Errors
    ///
    /// If the port cannot be had.
    pub async fn loopback(port: u16) -> io::Result<Self> {
        Self::bind((Ipv4Addr::LOCALHOST, port)).await
    }

    /// Listens on this address. Whoever can reach it can ask: see
    /// [`credentials`](crate::AdminService::credentials).
    ///
    /// # Errors
    ///
    /// If the address cannot be had.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::from_listener(TcpListener::bind(address).await?)
    }

    /// Takes what comes from this listener.
    ///
    /// # Errors
    ///
    /// If it has no address.
    pub fn from_listener(listener: TcpListener) -> io::Result<Self> {
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            max_connections: 64,
            limits: Limits {
                header_timeout: Duration::from_secs(10),
                write_timeout: Duration::from_secs(30),
                header_bytes: 16 << 10,
                #[cfg(feature = "admin-tls")]
                tls: None,
            },
        })
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves at most so many connections at a time, and at least one. Default: 64.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections.max(1);
        self
    }

    /// Closes connections whose request, or whose next one, has no whole head by then. Default: 10 s.
    #[must_use]
    pub const fn header_timeout(mut self, timeout: Duration) -> Self {
        self.limits.header_timeout = timeout;
        self
    }

    /// Closes connections whose client reads nothing for this long, of what there is for it. Default: 30 s.
    #[must_use]
    pub const fn write_timeout(mut self, timeout: Duration) -> Self {
        self.limits.write_timeout = timeout;
        self
    }

    /// Answers 431 to requests with a longer head. At least 8 KiB. Default: 16 KiB.
    #[must_use]
    pub fn max_header_bytes(mut self, bytes: usize) -> Self {
        self.limits.header_bytes = bytes.max(8 << 10);
        self
    }

    /// Serves TLS, with this configuration, whose provider, certificates and demands on clients' certificates are
    /// the caller's. Only its protocols are set: to HTTP/1.1.
    #[cfg(feature = "admin-tls")]
    #[must_use]
    pub fn tls(mut self, config: impl Into<Arc<tokio_rustls::rustls::ServerConfig>>) -> Self {
        let mut config = Arc::unwrap_or_clone(config.into());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        self.limits.tls = Some(Arc::new(config).into());
        self
    }

    /// Serves until `stop` is ready; accepts no more from then on, and ends once all that was asked is answered.
    /// Dropped, it breaks off everything. It has tasks, and they end with it.
    pub async fn serve<S, B>(self, service: S, stop: impl Future<Output = ()>)
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let (told, receiver) = watch::channel(false);
        let mut serving = pin!(self.run(service, receiver, Connections::default()));
        let mut stop = pin!(stop);
        let mut is_told = false;
        poll_fn(|cx| {
            if !is_told && stop.as_mut().poll(cx).is_ready() {
                is_told = true;
                told.send_replace(true);
            }
            serving.as_mut().poll(cx)
        })
        .await;
    }

    pub(crate) async fn run<S, B>(
        self,
        service: S,
        stop: watch::Receiver<bool>,
        connections: Connections,
    ) where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let mut accepting = Accepting::new(self.listener);
        let mut tasks = JoinSet::new();
        let mut is_stopped = Box::pin(stopped(stop.clone()));
        loop {
            let accepted = poll_fn(|cx| {
                while let Poll::Ready(Some(_)) = tasks.poll_join_next(cx) {}
                if is_stopped.as_mut().poll(cx).is_ready() {
                    Poll::Ready(None)
                } else if tasks.len() >= self.max_connections {
                    Poll::Pending
                } else {
                    accepting.poll(cx).map(Some)
                }
            });
            let Some(accepted) = accepted.await else {
                break;
            };
            let served =
                connection::serve(accepted, service.clone(), self.limits.clone(), stop.clone());
            let counted = connections.clone();
            tasks.spawn(async move {
                served.await;
                drop(counted);
            });
        }
        drop(accepting);
        while tasks.join_next().await.is_some() {}
    }
}

impl fmt::Debug for AdminServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminServer")
            .field("address", &self.address)
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

/// Counts connections: each has a clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections(Arc<()>);

impl Connections {
    /// How many there are, as long as the server has one, too.
    pub(crate) fn count(&self) -> usize {
        Arc::strong_count(&self.0).saturating_sub(2)
    }
}
