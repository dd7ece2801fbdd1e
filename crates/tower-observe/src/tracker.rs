use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Buf as _;
use http::{HeaderMap, Method, Request, Response, StatusCode, header::CONTENT_LENGTH};
use http_body::{Body, Frame};

use crate::{Clock, End, Ending, Exchange, Moment, Observe, RequestHead, ResponseHead};

/// Follows one exchange and delivers its one end, at the latest when it is dropped.
///
/// Moves from the response future into the response body. Empty once the end was delivered.
pub(crate) struct Tracker<X: Exchange> {
    live: Option<Live<X>>,
}

struct Live<X> {
    exchange: X,
    course: Course,
}

/// What is known of an exchange by now.
struct Course {
    clock: Clock,
    started: Moment,
    /// When the response's head came, if anybody asked.
    head_at: Option<Moment>,
    bytes: u64,
    status: Option<StatusCode>,
    request: RequestKind,
    debt: Debt,
    /// Set while the inner service runs: still set when dropped, it did not return.
    inside: bool,
    /// Set before the end is delivered, so that an observer that panics then is not told again.
    ended: bool,
}

/// What a server takes from the body before it may drop the body unpolled.
#[derive(Clone, Copy)]
enum Debt {
    /// All that the body gives.
    Undeclared,
    /// So many bytes at most.
    Bytes(u64),
    /// Nothing more, since the first moment at which nothing was owed.
    Settled(Moment),
}

/// What the request's method says about the response's body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RequestKind {
    Head,
    Connect,
    Other,
}

impl<X: Exchange> Tracker<X> {
    /// Follows an exchange that begins now.
    #[expect(
        clippy::inline_always,
        reason = "where the type of the request is known, its head need not be asked by way of a table"
    )]
    #[inline(always)]
    pub(crate) fn start<O, B>(observer: &O, request: &mut Request<B>, clock: &Clock) -> Self
    where
        O: Observe<Exchange = X>,
    {
        let started = clock.now();
        let kind = match *request.method() {
            Method::HEAD => RequestKind::Head,
            Method::CONNECT => RequestKind::Connect,
            _ => RequestKind::Other,
        };
        Self {
            live: Some(Live {
                // Made in its place: it is large.
                exchange: observer.start(&mut RequestHead::new(request, started)),
                course: Course {
                    clock: clock.clone(),
                    started,
                    head_at: None,
                    bytes: 0,
                    status: None,
                    request: kind,
                    debt: Debt::Undeclared,
                    inside: false,
                    ended: false,
                },
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

    /// Runs a `call` or `poll` of the inner service in the [scope](Exchange::scope), knowing that a panic may come.
    #[inline]
    pub(crate) fn run<R>(&mut self, inner: impl FnOnce() -> R) -> R {
        self.enter();
        let result = match &self.live {
            Some(live) => live.exchange.scope(inner),
            None => inner(),
        };
        self.leave();
        result
    }

    /// Whether there is something to enter: else what is run need not be moved into a closure.
    #[inline]
    pub(crate) fn scopes(&self) -> bool {
        self.live
            .as_ref()
            .is_some_and(|live| live.exchange.scopes())
    }

    /// The inner service is about to be called.
    #[inline]
    pub(crate) const fn enter(&mut self) {
        if let Some(live) = &mut self.live {
            live.course.inside = true;
        }
    }

    /// The inner service returned.
    #[inline]
    pub(crate) const fn leave(&mut self) {
        if let Some(live) = &mut self.live {
            live.course.inside = false;
        }
    }

    /// Destroys something of the inner service that may not have finished.
    #[inline]
    pub(crate) fn destroy(&self, inner: impl FnOnce()) {
        match &self.live {
            Some(live) if live.exchange.scopes() => live.exchange.scope(inner),
            _ => inner(),
        }
    }

    /// The inner service gave an error.
    pub(crate) fn failed(&mut self) {
        self.end(Ending::ServiceError, None);
    }

    /// The inner service gave a response. Ends the exchange if no body is to come.
    // Out of line: without it `poll` is small enough to be a part of what polls, which then need not move the
    // response once more.
    #[inline(never)]
    pub(crate) fn answered<B: Body>(&mut self, response: &mut Response<B>) {
        let Some(Live { exchange, course }) = &mut self.live else {
            return;
        };
        course.status = Some(response.status());
        // What servers declare for a response without the header. Asking it first saves a look-up.
        let exact = response.body().size_hint().exact();
        let mut at = None;
        let mut head = ResponseHead::new(response, &course.clock, &mut at).with_body_length(exact);
        exchange.head(&mut head);
        if at.is_some() {
            course.head_at = at;
        }
        match exact {
            Some(bytes) if bytes > 0 && course.ending_at_head(response).is_none() => {
                course.debt = Debt::Bytes(bytes);
            }
            _ => self.answered_otherwise(response, exact),
        }
    }

    /// The same of what most responses are not: without a length, or without a body.
    #[inline(never)]
    fn answered_otherwise<B: Body>(&mut self, response: &Response<B>, exact: Option<u64>) {
        let Some(Live { course, .. }) = &mut self.live else {
            return;
        };
        if let Some(ending) = course.ending_at_head(response) {
            return self.end(ending, None);
        }
        if let Some(bytes) = exact.or_else(|| declared_length(response.headers())) {
            course.debt = Debt::Bytes(bytes);
            course.settle();
        }
    }

    /// Polls the inner body, and ends the exchange if that gave the last of it.
    // What is polled is written where the caller wants it: it is large, and to be moved right after it was
    // written is to be waited for.
    #[inline]
    pub(crate) fn poll_frame<B: Body>(
        &mut self,
        mut body: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        // Once, so that a frame is either told of or looked at.
        let (takes_data, scopes) = match &self.live {
            Some(live) => (live.exchange.takes_data(), live.exchange.scopes()),
            None => (false, false),
        };
        self.enter();
        let polled = match &mut self.live {
            Some(Live { exchange, course }) if scopes => exchange.scope(|| {
                let polled = body.as_mut().poll_frame(cx);
                course.inside = false;
                // In the scope of the poll: to enter it once more costs, too.
                course.polled(exchange, &polled, &*body, takes_data);
                polled
            }),
            _ => body.as_mut().poll_frame(cx),
        };
        self.leave();
        if let Some(live) = &mut self.live {
            if !scopes {
                let Live { exchange, course } = live;
                course.polled(exchange, &polled, &*body, takes_data);
            }
            if let (Poll::Ready(Some(Ok(frame))), true) = (&polled, takes_data) {
                if let Some(data) = frame.data_ref() {
                    // Which may change the exchange, and so is outside of its scope.
                    live.exchange.data(data);
                    if body.is_end_stream() {
                        live.end(Ending::Complete, None, None);
                    } else {
                        live.course.settle();
                    }
                }
            }
            if live.course.ended {
                self.live = None;
            }
        }
        polled
    }

    fn end(&mut self, ending: Ending, trailers: Option<&HeaderMap>) {
        if let Some(live) = &mut self.live {
            live.end(ending, trailers, None);
            self.live = None;
        }
    }
}

impl<X: Exchange> Drop for Tracker<X> {
    #[inline]
    fn drop(&mut self) {
        if let Some(live) = &mut self.live {
            live.dropped();
        }
    }
}

impl<X: Exchange> Live<X> {
    #[cold]
    fn dropped(&mut self) {
        // One that has ended, and whose observer panicked at that, is still there.
        if !self.course.ended {
            let (ending, at) = self.course.ending_at_drop();
            self.end(ending, None, at);
        }
    }

    fn end(&mut self, ending: Ending, trailers: Option<&HeaderMap>, at: Option<Moment>) {
        let Self { exchange, course } = self;
        if exchange.scopes() {
            exchange.scope(|| course.end(exchange, ending, trailers, at));
        } else {
            course.end(exchange, ending, trailers, at);
        }
    }
}

impl Course {
    /// Whether the head is all there is, whatever the body says: RFC 9110 §6.4.1, §9.3.2, §9.3.6.
    fn ending_at_head<B: Body>(&self, response: &Response<B>) -> Option<Ending> {
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS
            || (self.request == RequestKind::Connect && status.is_success())
        {
            return Some(Ending::Upgraded);
        }
        let bodiless = self.request == RequestKind::Head
            || !has_body(status)
            || response.body().is_end_stream();
        bodiless.then_some(Ending::Complete)
    }

    /// The inner body gave this. Data that the exchange is yet to be told of is not the end.
    #[inline]
    fn polled<X: Exchange, B: Body>(
        &mut self,
        exchange: &X,
        polled: &Poll<Option<Result<Frame<B::Data>, B::Error>>>,
        body: &B,
        takes_data: bool,
    ) {
        let (ending, trailers) = match polled {
            Poll::Pending => return,
            Poll::Ready(None) => (Ending::Complete, None),
            Poll::Ready(Some(Err(_))) => (Ending::BodyError, None),
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.bytes = self.bytes.saturating_add(data.remaining() as u64);
                    if takes_data {
                        return;
                    }
                    if !body.is_end_stream() {
                        return self.settle();
                    }
                    (Ending::Complete, None)
                } else if let Some(trailers) = frame.trailers_ref() {
                    (Ending::Complete, Some(trailers))
                } else {
                    return;
                }
            }
        };
        self.end(exchange, ending, trailers, None);
    }

    /// Notes when nothing more is owed. Not the end yet: trailers may follow.
    fn settle(&mut self) {
        if matches!(self.debt, Debt::Bytes(owed) if self.bytes >= owed) {
            self.debt = Debt::Settled(self.clock.now());
        }
    }

    fn ending_at_drop(&self) -> (Ending, Option<Moment>) {
        if self.inside {
            (Ending::Panic, None)
        } else if self.status.is_none() {
            (Ending::ClientGoneBeforeHead, None)
        } else if let Debt::Settled(at) = self.debt {
            (Ending::Complete, Some(at))
        } else {
            (Ending::ClientGoneInBody, None)
        }
    }

    // In place: what is followed is large, and moving it costs more than the flag. Once, with the observer's end in it,
    // wherever it is called.
    #[inline(never)]
    fn end<X: Exchange>(
        &mut self,
        exchange: &X,
        ending: Ending,
        trailers: Option<&HeaderMap>,
        at: Option<Moment>,
    ) {
        if mem::replace(&mut self.ended, true) {
            return;
        }
        let ended = at.unwrap_or_else(|| self.clock.now());
        let end = End::new(ending, self.started, ended)
            .with_status(self.status)
            .with_trailers(trailers)
            .with_bytes(self.bytes)
            .with_head_at(self.head_at);
        exchange.end(&end);
    }
}

/// Whether a body follows a head of this status: RFC 9110 §6.4.1.
fn has_body(status: StatusCode) -> bool {
    status >= StatusCode::OK
        && status != StatusCode::NO_CONTENT
        && status != StatusCode::NOT_MODIFIED
}

/// How many bytes `Content-Length` promises, past which a server drops a body unpolled.
fn declared_length(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(CONTENT_LENGTH)?.to_str().ok()?;
    // Digits only (RFC 9110 §8.6): what `parse` takes besides, a sign, servers refuse.
    length
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| length.parse().ok())?
}
