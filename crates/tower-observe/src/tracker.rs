use std::{mem, time::Instant};

use bytes::Buf;
use http::{HeaderMap, Method, Response, StatusCode, header::CONTENT_LENGTH};
use http_body::Body;

use crate::{Clock, End, Ending, Exchange, ResponseHead};

/// Follows one exchange and delivers its one end, at the latest when it is dropped.
///
/// Moves from the response future into the response body. Empty once the end was delivered.
pub(crate) struct Tracker<X: Exchange> {
    live: Option<Live<X>>,
}

struct Live<X> {
    exchange: X,
    clock: Clock,
    started: Instant,
    head_at: Option<Instant>,
    /// The first moment at which nothing more was owed by length.
    satisfied_at: Option<Instant>,
    /// What the transport will take at most, where that is declared.
    owed: Option<u64>,
    bytes: u64,
    status: Option<StatusCode>,
    request: RequestKind,
    /// Set while the inner service runs: still set when dropped, it did not return.
    inside: bool,
}

/// What the request's method says about the response's body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RequestKind {
    Head,
    Connect,
    Other,
}

impl<X: Exchange> Tracker<X> {
    pub(crate) fn new(exchange: X, clock: Clock, started: Instant, method: &Method) -> Self {
        let request = match *method {
            Method::HEAD => RequestKind::Head,
            Method::CONNECT => RequestKind::Connect,
            _ => RequestKind::Other,
        };
        Self {
            live: Some(Live {
                exchange,
                clock,
                started,
                head_at: None,
                satisfied_at: None,
                owed: None,
                bytes: 0,
                status: None,
                request,
                inside: false,
            }),
        }
    }

    /// A tracker of nothing, for a body that nobody follows.
    pub(crate) const fn none() -> Self {
        Self { live: None }
    }

    /// Takes what is followed, to be moved from future to body.
    pub(crate) const fn take(&mut self) -> Self {
        mem::replace(self, Self::none())
    }

    /// Runs a `call` or `poll` of the inner service, knowing that a panic may come.
    pub(crate) fn run<R>(&mut self, inner: impl FnOnce() -> R) -> R {
        let Some(live) = &mut self.live else {
            return inner();
        };
        live.inside = true;
        let result = live.exchange.scope(inner);
        live.inside = false;
        result
    }

    /// Destroys something of the inner service that may not have finished.
    pub(crate) fn destroy(&self, inner: impl FnOnce()) {
        match &self.live {
            Some(live) => live.exchange.scope(inner),
            None => inner(),
        }
    }

    /// The inner service gave an error.
    pub(crate) fn failed(&mut self) {
        self.end(Ending::ServiceError, None);
    }

    /// The inner service gave a response. Ends the exchange if no body is to come.
    pub(crate) fn answered<B: Body>(&mut self, response: &mut Response<B>) {
        let Some(live) = &mut self.live else { return };
        live.status = Some(response.status());
        live.exchange.head(&mut ResponseHead::new(
            response,
            &live.clock,
            &mut live.head_at,
        ));
        if let Some(ending) = live.ending_at_head(response) {
            return self.end(ending, None);
        }
        live.owed = declared_length(response);
        if live.owed == Some(0) {
            live.satisfied_at = Some(live.clock.now());
        }
    }

    /// The inner body gave data; `last` tells that it has nothing more.
    pub(crate) fn data<D: Buf>(&mut self, data: &D, last: bool) {
        let Some(live) = &mut self.live else { return };
        live.bytes = live.bytes.saturating_add(data.remaining() as u64);
        if X::FRAMES {
            live.exchange.data(data);
        }
        if last {
            self.end(Ending::Complete, None);
        } else if live.satisfied_at.is_none() && live.owed.is_some_and(|owed| live.bytes >= owed) {
            // Not the end yet: trailers may follow. But a server may now drop the body unpolled.
            live.satisfied_at = Some(live.clock.now());
        }
    }

    /// The inner body gave its trailers, or said that there is nothing more.
    pub(crate) fn completed(&mut self, trailers: Option<&HeaderMap>) {
        self.end(Ending::Complete, trailers);
    }

    /// The inner body gave an error.
    pub(crate) fn body_failed(&mut self) {
        self.end(Ending::BodyError, None);
    }

    // Taking the value first makes a second end impossible, also if an observer panics.
    fn end(&mut self, ending: Ending, trailers: Option<&HeaderMap>) {
        if let Some(live) = self.live.take() {
            live.end(ending, trailers, None);
        }
    }
}

impl<X: Exchange> Drop for Tracker<X> {
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            let (ending, at) = live.ending_at_drop();
            live.end(ending, None, at);
        }
    }
}

impl<X: Exchange> Live<X> {
    /// Whether the head is all there is, whatever the body says: RFC 9110 §6.4.1, §9.3.2, §9.3.6.
    fn ending_at_head<B: Body>(&self, response: &Response<B>) -> Option<Ending> {
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS
            || (self.request == RequestKind::Connect && status.is_success())
        {
            return Some(Ending::Upgraded);
        }
        let bodiless = self.request == RequestKind::Head
            || status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED
            || response.body().is_end_stream();
        bodiless.then_some(Ending::Complete)
    }

    fn ending_at_drop(&self) -> (Ending, Option<Instant>) {
        if self.inside {
            (Ending::Panic, None)
        } else if self.status.is_none() {
            (Ending::ClientGoneBeforeHead, None)
        } else if self.satisfied_at.is_some() {
            (Ending::Complete, self.satisfied_at)
        } else {
            (Ending::ClientGoneInBody, None)
        }
    }

    fn end(self, ending: Ending, trailers: Option<&HeaderMap>, at: Option<Instant>) {
        let ended = at.unwrap_or_else(|| self.clock.now());
        let end = End::new(ending, self.started, ended)
            .with_status(self.status)
            .with_trailers(trailers)
            .with_bytes(self.bytes)
            .with_head_at(self.head_at);
        self.exchange.scope(|| self.exchange.end(&end));
    }
}

/// How many bytes a server will take from the body before it drops it unpolled.
///
/// The exact size hint, where there is one, is what servers declare for a response without the
/// header; asking it first saves a look-up.
fn declared_length<B: Body>(response: &Response<B>) -> Option<u64> {
    response.body().size_hint().exact().or_else(|| {
        let length = response.headers().get(CONTENT_LENGTH)?.to_str().ok()?;
        // Digits only (RFC 9110 §8.6): what `parse` takes besides, a sign, servers refuse.
        length
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| length.parse().ok())?
    })
}
