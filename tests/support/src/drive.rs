//! Polling by hand.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use http_body::{Body, Frame};

/// Polls `future` once, with a waker that does nothing.
pub fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// What polling a body gives.
pub type Polled<B> = Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

/// Polls `body` once, with a waker that does nothing.
pub fn poll_frame<B: Body + Unpin>(body: &mut B) -> Polled<B> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// Polls `future` once, and takes what it gives.
///
/// # Panics
///
/// If it is pending.
#[track_caller]
pub fn ready<F: Future + Unpin>(future: &mut F) -> F::Output {
    match poll(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("pending, should be ready"),
    }
}

/// Reads `body` until it gives nothing more, or an error; tells how many bytes of data it gave.
///
/// # Panics
///
/// If it is pending a thousand times.
#[track_caller]
pub fn read<B: Body + Unpin>(body: &mut B) -> Result<u64, B::Error> {
    use bytes::Buf as _;

    let mut bytes = 0;
    let mut pending = 0;
    loop {
        match poll_frame(body) {
            Poll::Ready(None) => return Ok(bytes),
            Poll::Ready(Some(frame)) => {
                bytes += frame?.data_ref().map_or(0, |data| data.remaining() as u64);
            }
            Poll::Pending => pending += 1,
        }
        assert!(pending < 1000, "the body does not go on");
    }
}

/// Waits for `test`, at most 20 seconds: what hangs has failed.
///
/// # Panics
///
/// If it takes longer.
pub async fn bounded<F: Future>(test: F) -> F::Output {
    tokio::time::timeout(std::time::Duration::from_secs(20), test)
        .await
        .expect("done within 20 seconds")
}
