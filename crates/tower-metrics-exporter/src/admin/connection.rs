use std::{
    error::Error,
    future::{Future as _, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
};
use tokio_io_timeout::TimeoutStream;
use tower_service::Service;

type BoxError = Box<dyn Error + Send + Sync>;

/// What a connection may take.
#[derive(Clone)]
pub(super) struct Limits {
    /// For the head of a request, and before that for a handshake.
    pub(super) header_timeout: Duration,
    /// While a client does not read.
    pub(super) write_timeout: Duration,
    pub(super) header_bytes: usize,
    #[cfg(feature = "admin-tls")]
    pub(super) tls: Option<tokio_rustls::TlsAcceptor>,
}

/// Serves one connection until it ends. Once `stop` says so, what is being answered is answered to its end, and
/// nothing more.
pub(super) async fn serve<S, B>(
    connection: TcpStream,
    service: S,
    limits: Limits,
    stop: watch::Receiver<bool>,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    // Answers are written whole. Without, they are only later.
    connection.set_nodelay(true).unwrap_or_default();
    let mut connection = TimeoutStream::new(connection);
    connection.set_write_timeout(Some(limits.write_timeout));
    let connection = Box::pin(connection);
    #[cfg(feature = "admin-tls")]
    if let Some(tls) = &limits.tls {
        let mut handshake = pin!(tokio::time::timeout(
            limits.header_timeout,
            tls.accept(connection)
        ));
        let mut stopped = pin!(stopped(stop.clone()));
        let shaken = poll_fn(|cx| match handshake.as_mut().poll(cx) {
            Poll::Ready(shaken) => Poll::Ready(Some(shaken)),
            Poll::Pending => stopped.as_mut().poll(cx).map(|()| None),
        });
        match shaken.await {
            Some(Ok(Ok(connection))) => serve_http(connection, service, &limits, stop).await,
            Some(Ok(Err(error))) => log(&error),
            // Too late, or too late for us.
            Some(Err(_)) | None => {}
        }
        return;
    }
    serve_http(connection, service, &limits, stop).await;
}

async fn serve_http<I, S, B>(
    connection: I,
    service: S,
    limits: &Limits,
    stop: watch::Receiver<bool>,
) where
    I: AsyncRead + AsyncWrite + Unpin,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    let was_asked = Arc::new(AtomicBool::new(false));
    let service = Asked {
        inner: service,
        was_asked: Arc::clone(&was_asked),
    };
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes);
    let service = TowerToHyperService::new(service);
    let mut connection = pin!(http.serve_connection(TokioIo::new(connection), service));
    let mut stopped = pin!(stopped(stop));
    let mut is_stopping = false;
    let ended = poll_fn(|cx| {
        // First, so that a request that has arrived is known.
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(ended);
        }
        if is_stopping {
            return Poll::Pending;
        }
        ready!(stopped.as_mut().poll(cx));
        is_stopping = true;
        // Hyper would wait for the first request of a connection until its timeout.
        if !was_asked.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        connection.as_mut().graceful_shutdown();
        connection.as_mut().poll(cx)
    });
    if let Err(error) = ended.await {
        log(&error);
    }
}

/// Clients that break off are no business of who runs this.
fn log(error: &(dyn Error + 'static)) {
    tracing::debug!(error, "an admin connection broke");
}

/// Ends once `stop` says so, or nobody can say it any more.
pub(super) async fn stopped(mut stop: watch::Receiver<bool>) {
    while !*stop.borrow_and_update() {
        if stop.changed().await.is_err() {
            return;
        }
    }
}

/// Remembers whether there was a request.
#[derive(Clone)]
struct Asked<S> {
    inner: S,
    was_asked: Arc<AtomicBool>,
}

impl<S: Service<R>, R> Service<R> for Asked<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.was_asked.store(true, Ordering::Relaxed);
        self.inner.call(request)
    }
}
