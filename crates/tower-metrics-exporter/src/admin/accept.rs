use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{Sleep, sleep},
};

/// Where connections come from.
pub(super) trait Accept {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>>;
}

impl Accept for TcpListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        Self::poll_accept(self, cx).map_ok(|(connection, _)| connection)
    }
}

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(1);

/// Accepts connections, and pauses where that fails: a process that is out of file descriptors would else do
/// nothing but fail to accept.
#[derive(Debug)]
pub(super) struct Accepting<A> {
    from: A,
    /// How long the next pause is.
    pause: Duration,
    pausing: Option<Pin<Box<Sleep>>>,
}

impl<A: Accept> Accepting<A> {
    pub(super) const fn new(from: A) -> Self {
        Self {
            from,
            pause: SHORTEST,
            pausing: None,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<TcpStream> {
        loop {
            if let Some(pausing) = &mut self.pausing {
                ready!(pausing.as_mut().poll(cx));
                self.pausing = None;
            }
            let error = match ready!(self.from.poll_accept(cx)) {
                Ok(connection) => {
                    self.pause = SHORTEST;
                    return Poll::Ready(connection);
                }
                Err(error) => error,
            };
            // Of that connection, and of none that comes next.
            if is_of_connection(&error) {
                continue;
            }
            if self.pause == SHORTEST {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "no connection can be accepted for now");
            }
            self.pausing = Some(Box::pin(sleep(self.pause)));
            self.pause = (self.pause * 2).min(LONGEST);
        }
    }
}

fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{Instant, timeout};

    use super::*;

    /// Fails until it has done so often enough, and then has a connection.
    struct Fails {
        left: u32,
        kind: io::ErrorKind,
        listener: TcpListener,
        calls: u32,
    }

    impl Accept for &mut Fails {
        fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
            self.calls += 1;
            if self.left > 0 {
                self.left -= 1;
                return Poll::Ready(Err(self.kind.into()));
            }
            Accept::poll_accept(&mut self.listener, cx)
        }
    }

    async fn fails(left: u32, kind: io::ErrorKind) -> (Fails, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let fails = Fails {
            left,
            kind,
            listener,
            calls: 0,
        };
        (fails, client)
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_accept_pauses_longer_and_longer() {
        let (mut fails, _client) = fails(u32::MAX, io::ErrorKind::Other).await;
        let mut accepting = Accepting::new(&mut fails);
        let minute = Duration::from_secs(60);
        let accepted = timeout(minute, poll_fn(|cx| accepting.poll(cx))).await;
        assert!(accepted.is_err());
        // 10 ms, 20 ms, … 640 ms, and then every second.
        assert_eq!(fails.calls, 7 + 59);
    }

    #[tokio::test(start_paused = true)]
    async fn it_accepts_as_soon_as_it_can_and_the_next_pause_is_short() {
        let (mut fails, _client) = fails(3, io::ErrorKind::Other).await;
        let start = Instant::now();
        let mut accepting = Accepting::new(&mut fails);
        drop(poll_fn(|cx| accepting.poll(cx)).await);
        assert_eq!(start.elapsed(), Duration::from_millis(10 + 20 + 40));
        assert_eq!(accepting.pause, SHORTEST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_broke_is_no_reason_to_pause() {
        let (mut fails, _client) = fails(100, io::ErrorKind::ConnectionAborted).await;
        let start = Instant::now();
        let mut accepting = Accepting::new(&mut fails);
        drop(poll_fn(|cx| accepting.poll(cx)).await);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
