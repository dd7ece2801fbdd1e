//! What the modules share beyond `test-support`.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Buf as _;
use http::{Request, Response};
use http_body::Body;
use test_support::drive::poll_frame;
use tower::Service;

/// As many seconds.
pub fn duration(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Reads one data frame, and tells its length.
#[track_caller]
pub fn frame<B: Body + Unpin>(body: &mut B) -> usize {
    match poll_frame(body) {
        Poll::Ready(Some(Ok(frame))) => frame.data_ref().expect("data").remaining(),
        Poll::Ready(Some(Err(_))) => panic!("an error, should be data"),
        Poll::Ready(None) => panic!("nothing, should be data"),
        Poll::Pending => panic!("pending, should be data"),
    }
}

/// Runs when dropped, so also while a panic unwinds.
pub struct OnDrop<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Services that wait at this gate with their one answer until it is opened.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<AtomicBool>);

impl Gate {
    /// A gate that was never shut.
    pub fn opened() -> Self {
        let gate = Self::default();
        gate.open();
        gate
    }

    pub fn open(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn answering<B>(self, response: Response<B>) -> Gated<B, std::convert::Infallible> {
        self.giving(Ok(response))
    }

    pub fn failing<E>(self, error: E) -> Gated<test_support::body::ScriptBody, E> {
        self.giving(Err(error))
    }

    fn giving<B, E>(self, answer: Result<Response<B>, E>) -> Gated<B, E> {
        Gated {
            gate: self,
            answer: Some(answer),
        }
    }
}

/// A service with one answer behind a [`Gate`], and its future. Neither `Clone` nor with bounds.
pub struct Gated<B, E> {
    gate: Gate,
    answer: Option<Result<Response<B>, E>>,
}

impl<B: Unpin, E: Unpin> Service<Request<()>> for Gated<B, E> {
    type Response = Response<B>;
    type Error = E;
    type Future = Self;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self {
        Self {
            gate: self.gate.clone(),
            answer: self.answer.take(),
        }
    }
}

impl<B: Unpin, E: Unpin> Future for Gated<B, E> {
    type Output = Result<Response<B>, E>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if self.gate.0.load(Ordering::SeqCst) {
            Poll::Ready(self.answer.take().expect("answered once"))
        } else {
            Poll::Pending
        }
    }
}
