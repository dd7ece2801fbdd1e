use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Buf as _;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Instrument,
    age::Age,
    config::RECEIVED,
    key::{Field, Key},
    messages::Messages,
    row::Row,
};

/// Counts the bytes and gRPC messages of request bodies, for a
/// [`RequestMetricsLayer`](crate::RequestMetricsLayer) outside of it.
///
/// It stands on its own because it changes the type of the request's body. Without it
/// [`Instrument::RequestSize`] is what `Content-Length` declares, and [`Instrument::RpcReceived`] and the
/// received bytes of streams are not recorded.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct CountRequestBodyLayer {}

impl CountRequestBodyLayer {
    /// The layer.
    pub const fn new() -> Self {
        Self {}
    }
}

impl<S> Layer<S> for CountRequestBodyLayer {
    type Service = CountRequestBody<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CountRequestBody { inner }
    }
}

/// A service whose request bodies are counted. Made by [`CountRequestBodyLayer`].
#[derive(Clone, Debug)]
pub struct CountRequestBody<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for CountRequestBody<S>
where
    S: Service<Request<RequestBody<B>>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let counter = request.extensions_mut().remove::<Arc<Counter>>();
        if let Some(counter) = &counter {
            counter.taken.store(true, Ordering::Relaxed);
        }
        let messages = counter
            .as_ref()
            .is_some_and(|counter| counter.rpc)
            .then(|| Messages::of(request.headers()));
        self.inner.call(request.map(|inner| RequestBody {
            inner,
            counter,
            messages,
        }))
    }
}

pin_project! {
    /// The request body of a [`CountRequestBody`]. Frames and hints are the inner body's.
    pub struct RequestBody<B> {
        #[pin]
        inner: B,
        counter: Option<Arc<Counter>>,
        messages: Option<Messages>,
    }
}

impl<B: Body> Body for RequestBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let polled = this.inner.poll_frame(cx);
        if let (Poll::Ready(Some(Ok(frame))), Some(counter)) = (&polled, this.counter) {
            if let Some(data) = frame.data_ref() {
                let messages = this
                    .messages
                    .as_mut()
                    .map_or(0, |messages| messages.frame(data));
                counter.add(data.remaining() as u64, messages);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Default> Default for RequestBody<B> {
    fn default() -> Self {
        Self {
            inner: B::default(),
            counter: None,
            messages: None,
        }
    }
}

impl<B: fmt::Debug> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

/// What a request's body was, shared by the body and the exchange.
pub(crate) struct Counter {
    rpc: bool,
    /// Whether anybody counts.
    taken: AtomicBool,
    bytes: AtomicU64,
    /// Messages that came before it was known whose they are.
    early: AtomicU64,
    owner: OnceLock<Owner>,
}

/// Where messages, or the bytes of a stream, are counted as they come.
struct Owner {
    row: Arc<Row>,
    key: Key,
    started: Age,
}

impl Counter {
    pub(crate) fn new(rpc: bool) -> Arc<Self> {
        let (bytes, early) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self {
            rpc,
            taken: AtomicBool::new(false),
            bytes,
            early,
            owner: OnceLock::new(),
        })
    }

    /// How many bytes came, if anybody counted.
    pub(crate) fn bytes(&self) -> Option<u64> {
        let taken = self.taken.load(Ordering::Relaxed);
        taken.then(|| self.bytes.load(Ordering::Relaxed))
    }

    /// From now on messages (of a gRPC call) or bytes (of a stream) are counted as they come, and what
    /// came before is counted now.
    pub(crate) fn own(&self, row: &Arc<Row>, key: Key, started: Age) {
        let key = key.with(Field::Detail, RECEIVED);
        let owner = Owner {
            row: Arc::clone(row),
            key,
            started,
        };
        if self.owner.set(owner).is_ok() {
            self.flush();
        }
    }

    fn add(&self, bytes: u64, messages: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.early
            .fetch_add(if self.rpc { messages } else { bytes }, Ordering::AcqRel);
        self.flush();
    }

    fn flush(&self) {
        let Some(Owner { row, key, started }) = self.owner.get() else {
            return;
        };
        let count = self.early.swap(0, Ordering::AcqRel);
        let instrument = if self.rpc {
            Instrument::RpcReceived
        } else {
            Instrument::StreamBytes
        };
        if count > 0 {
            let now = Age::within(*started);
            row.add(instrument, *key, now, count);
        }
    }
}
