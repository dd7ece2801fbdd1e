//! One connection through a service, with a client that can misbehave.

use std::{error::Error, fmt};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::Empty;
use hyper::{body::Incoming, client, server};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream},
    net::{TcpListener, TcpStream},
    task::{JoinError, JoinHandle},
};
use tower::Service;

/// What became of the server's side of a connection; a [`JoinError`] if it panicked.
pub type Outcome = Result<hyper::Result<()>, JoinError>;

/// Both ends of a TCP connection on the loopback interface, the client's first.
pub async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.expect("connect"), server.expect("accept").0)
}

/// Both ends of a connection in memory, the client's first.
pub fn memory() -> (DuplexStream, DuplexStream) {
    tokio::io::duplex(64 * 1024)
}

/// Serves one HTTP/1 connection, upgrades included, without `Date` headers.
pub fn http1<T, S, B>((client, server): (T, T), service: S) -> Wire<T>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let served = server::conn::http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(TokioIo::new(server), TowerToHyperService::new(service))
        .with_upgrades();
    Wire {
        io: client,
        read: Vec::new(),
        served: tokio::spawn(served),
    }
}

/// Serves one HTTP/2 connection, extended `CONNECT` included, without `Date` headers.
pub async fn http2<T, S, B>((client, server): (T, T), service: S) -> Http2
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let served = server::conn::http2::Builder::new(TokioExecutor::new())
        .auto_date_header(false)
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(server), TowerToHyperService::new(service));
    let served = tokio::spawn(served);
    // hyper's client keeps its connection in tasks of its own; a pipe in front of it can be cut.
    let (near, mut far) = memory();
    let mut client = client;
    let pipe = tokio::spawn(async move {
        let _ = tokio::io::copy_bidirectional(&mut far, &mut client).await;
    });
    let (sender, connection) =
        client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(near))
            .await
            .expect("HTTP/2 handshake");
    tokio::spawn(async move { drop(connection.await) });
    Http2 {
        sender,
        pipe,
        served,
    }
}

/// The client's side of an HTTP/1 connection, in raw bytes.
pub struct Wire<T> {
    io: T,
    read: Vec<u8>,
    served: JoinHandle<hyper::Result<()>>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire<T> {
    /// Sends these bytes.
    pub async fn send(&mut self, bytes: &str) {
        self.io.write_all(bytes.as_bytes()).await.expect("written");
    }

    /// Sends a request without a body.
    pub async fn request(&mut self, method: Method, target: &str) {
        self.send(&request(method, target)).await;
    }

    /// Sends a `GET`.
    pub async fn get(&mut self, target: &str) {
        self.request(Method::GET, target).await;
    }

    /// Reads up to and including `end`.
    pub async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = find(&self.read, end.as_bytes()) {
                let read = self.read.drain(..at + end.len()).collect();
                return String::from_utf8(read).expect("text");
            }
            let more = self.io.read_buf(&mut self.read).await.expect("read");
            let read = String::from_utf8_lossy(&self.read);
            assert_ne!(more, 0, "closed before {end:?}: {read:?}");
        }
    }

    /// Reads a response's head.
    pub async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// Reads all that comes until the server closes.
    pub async fn rest(&mut self) -> String {
        while matches!(self.io.read_buf(&mut self.read).await, Ok(1..)) {}
        String::from_utf8(std::mem::take(&mut self.read)).expect("text")
    }

    /// Reads so many bytes, and forgets them.
    pub async fn skip(&mut self, bytes: u64) {
        let there = self.read.len().min(usize::try_from(bytes).expect("few"));
        self.read.drain(..there);
        let mut rest = (&mut self.io).take(bytes - there as u64);
        let skipped = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
        let skipped = skipped.expect("read") + there as u64;
        assert_eq!(skipped, bytes, "closed before");
    }

    /// Closes the client's side.
    pub async fn close(self) -> Outcome {
        drop(self.io);
        self.served.await
    }

    /// Waits for the server's side, with the client's still open.
    pub async fn served(self) -> Outcome {
        let Self { io, served, .. } = self;
        let outcome = served.await;
        drop(io);
        outcome
    }
}

impl Wire<TcpStream> {
    /// Resets the connection, as a client that crashed does.
    pub async fn reset(self) -> Outcome {
        self.io.set_zero_linger().expect("linger");
        self.close().await
    }
}

impl<T> fmt::Debug for Wire<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

/// A request without a body, as HTTP/1.1 has it, that allows trailers in the response.
pub fn request(method: Method, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nhost: loopback\r\nte: trailers\r\n\r\n")
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// The client's side of an HTTP/2 connection. What it gives resets its stream when dropped.
#[derive(Debug)]
pub struct Http2 {
    sender: client::conn::http2::SendRequest<Empty<Bytes>>,
    pipe: JoinHandle<()>,
    served: JoinHandle<hyper::Result<()>>,
}

impl Http2 {
    /// Sends `request`; on its way once this returns.
    pub fn send(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + Unpin + use<> {
        Box::pin(self.sender.send_request(request))
    }

    /// Sends a request without a body.
    pub fn request(
        &mut self,
        method: Method,
        path: &str,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + Unpin + use<> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://loopback{path}"))
            .body(Empty::new())
            .expect("a request");
        self.send(request)
    }

    /// Sends a `GET`.
    pub fn get(
        &mut self,
        path: &str,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + Unpin + use<> {
        self.request(Method::GET, path)
    }

    /// Cuts the connection, as a client that crashed does.
    pub async fn cut(self) -> Outcome {
        self.pipe.abort();
        self.served.await
    }
}
