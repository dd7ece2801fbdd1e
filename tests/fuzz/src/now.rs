use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

/// What a future gives that waits for nothing.
pub fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}
