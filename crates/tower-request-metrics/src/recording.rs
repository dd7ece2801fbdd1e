#![expect(
    clippy::inline_always,
    reason = "of what every request takes, parts that are called pass by memory what else stays in registers"
)]

use std::{fmt, sync::Arc};

use bytes::Buf;
use http::{
    Method, StatusCode, Version,
    header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
};
use tower_observe::{Class, End, Ending, Exchange, RequestHead, ResponseHead, grpc::Code};

use crate::{
    Instrument,
    age::Age,
    config::{Config, SENT},
    instrument::Moment,
    key::{Field, Key},
    messages::Messages,
    request_body::Counter,
    route,
    row::{Row, Start},
    slot::Raised,
};

/// One request being recorded. Made by [`RequestMetrics`](crate::RequestMetrics).
// Moved several times on its way from the call to the response's body, and so kept small: what few
// requests need is behind a pointer that the others leave empty.
pub struct Recording {
    /// Where this request is recorded, if it is at all.
    row: Option<Arc<Row>>,
    key: Key,
    started: Age,
    start: Start,
    /// What raised the gauge of active requests, or that of calls in flight.
    active: Raised,
    rare: Option<Box<Rare>>,
    call: Call,
    /// Whether only the head of the response is sent.
    is_head: bool,
    /// Whether only the usual is recorded, once the response is there in full: if not, its head is to be looked at,
    /// and so is everything when it ends.
    is_usual: bool,
    /// What the head alone said of the class.
    class: Option<Class>,
    code: Option<Code>,
}

enum Call {
    /// An HTTP request, and what `Content-Length` says of its body, `UNDECLARED` if nothing.
    Http(u64),
    /// A gRPC call, and the messages that it sent.
    Rpc(Messages),
}

#[derive(Default)]
struct Rare {
    /// The row on which the gauge of active requests was raised, if the route was not known then.
    active_row: Option<Arc<Row>>,
    /// The gauge of active streams, if this is one.
    stream: Option<Raised>,
    /// The gRPC method, as long as only the client says that there is one.
    unknown: Option<Box<str>>,
    counter: Option<Arc<Counter>>,
}

const UNDECLARED: u64 = u64::MAX;

impl Recording {
    /// Nothing is recorded.
    pub(crate) const fn none() -> Self {
        Self {
            row: None,
            key: Key::EMPTY,
            started: Age::START,
            start: Start::ELSEWHERE,
            active: Raised::ByFirst,
            rare: None,
            call: Call::Http(UNDECLARED),
            is_head: false,
            is_usual: false,
            class: None,
            code: None,
        }
    }

    #[inline(always)]
    pub(crate) fn http(row: &Arc<Row>, key: Key, now: Age, is_head: bool) -> Self {
        let (start, active) = row.start(key, now);
        Self {
            is_usual: row.is_usual() && matches!(active, Raised::ByFirst),
            row: Some(Arc::clone(row)),
            key,
            started: now,
            start,
            active,
            rare: None,
            call: Call::Http(UNDECLARED),
            is_head,
            class: None,
            code: None,
        }
    }

    /// What few configurations need of a request.
    pub(crate) fn look_at_request(&mut self, config: &Config, request: &mut RequestHead<'_>) {
        if config.has(Instrument::RequestSize) {
            self.call = Call::Http(content_length(request));
            self.is_usual = false;
        }
        if config.counts_bodies {
            self.rare = Some(Box::new(Rare::counting(false, request)));
            self.is_usual = false;
        }
    }

    pub(crate) fn rpc(
        row: &Arc<Row>,
        unknown: Option<Box<str>>,
        key: Key,
        now: Age,
        request: &mut RequestHead<'_>,
    ) -> Self {
        let counts_bodies = row.config().counts_bodies;
        let mut recording = Self {
            row: Some(Arc::clone(row)),
            key,
            started: now,
            rare: counts_bodies.then(|| Box::new(Rare::counting(true, request))),
            call: Call::Rpc(Messages::new()),
            ..Self::none()
        };
        match unknown {
            Some(method) => recording.rare().unknown = Some(method),
            None => recording.rpc_started(row, now),
        }
        recording
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn counter(&self) -> Option<&Arc<Counter>> {
        self.rare.as_ref()?.counter.as_ref()
    }
}

fn content_length(request: &RequestHead<'_>) -> u64 {
    if let Some(value) = request.headers().get(CONTENT_LENGTH) {
        let text = value.to_str().ok();
        let length = text.and_then(|text| text.trim().parse().ok());
        return length.unwrap_or(UNDECLARED);
    }
    // Neither length nor coding is no body in HTTP/1 (RFC 9112 §6.3). Later versions need no length for
    // one; there it is the method that tells.
    let has_none = if request.version() < Version::HTTP_2 {
        !request.headers().contains_key(TRANSFER_ENCODING)
    } else {
        request.method().is_safe() || *request.method() == Method::DELETE
    };
    if has_none { 0 } else { UNDECLARED }
}

/// Whether whoever gave this head stands for a method that exists. What the headers call unimplemented
/// is none; a refusal may come from a guard before the methods, and another status from no gRPC at all.
fn names_a_method(status: StatusCode, code: Option<Code>) -> bool {
    let refused = matches!(
        code,
        Some(
            Code::Unimplemented
                | Code::Unauthenticated
                | Code::PermissionDenied
                | Code::ResourceExhausted
                | Code::Unavailable
        )
    );
    status == StatusCode::OK && !refused
}

impl Rare {
    /// Leaves a counter for a [`CountRequestBodyLayer`](crate::CountRequestBodyLayer) inside.
    #[cold]
    fn counting(rpc: bool, request: &mut RequestHead<'_>) -> Self {
        let counter = Counter::new(rpc);
        request.extensions_mut().insert(Arc::clone(&counter));
        Self {
            counter: Some(counter),
            ..Self::default()
        }
    }
}

impl Exchange for Recording {
    #[inline]
    fn scopes(&self) -> bool {
        false
    }

    #[inline]
    fn head(&mut self, response: &mut ResponseHead<'_>) {
        // What is there in full is no stream.
        let is_whole = response.body_length().is_some_and(|bytes| bytes > 0);
        if !(self.is_usual && is_whole) {
            self.look_at_head(response);
        }
    }

    #[inline]
    fn takes_data(&self) -> bool {
        match self.call {
            Call::Http(_) => self.rare.as_ref().is_some_and(|rare| rare.stream.is_some()),
            Call::Rpc(_) => true,
        }
    }

    #[inline]
    fn data<D: Buf>(&mut self, data: &D) {
        let Some(row) = &self.row else { return };
        if let Call::Rpc(sent) = &mut self.call {
            let messages = sent.frame(data);
            if messages > 0 {
                let now = Age::within(self.started);
                row.add(Instrument::RpcSent, self.key, now, messages);
            }
        } else {
            let key = self.key.with(Field::Detail, SENT);
            let now = Age::within(self.started);
            row.add(Instrument::StreamBytes, key, now, data.remaining() as u64);
        }
    }

    #[inline(always)]
    fn end(&self, end: &End<'_>) {
        let Some(row) = &self.row else { return };
        match &self.call {
            Call::Http(declared) => self.http_end(row, end, *declared),
            Call::Rpc(sent) => self.rpc_end(row, end, sent),
        }
    }
}

impl Recording {
    #[inline(never)]
    fn look_at_head(&mut self, response: &mut ResponseHead<'_>) {
        let Some(row) = self.row.take() else { return };
        self.is_usual = false;
        self.row = Some(match self.call {
            Call::Http(_) => self.http_head(row, response),
            Call::Rpc(_) => self.rpc_head(row, response),
        });
    }

    #[inline]
    fn http_head(&mut self, mut row: Arc<Row>, response: &mut ResponseHead<'_>) -> Arc<Row> {
        if row.is_other() {
            // No router had seen the request. One inside of this layer may say so in the response.
            if let Some(template) = route::matched(response.extensions()) {
                let known = Arc::clone(row.named(template, self.started));
                self.rare().active_row = Some(std::mem::replace(&mut row, known));
            }
        }
        let config = row.config();
        if config.reads_heads {
            self.read_head(&row, response);
        }
        if config.splits_streams && !self.is_head && is_stream(response) {
            self.rare().stream = Some(row.raise(Instrument::ActiveStreams, self.key, self.started));
            if let Some(counter) = self.counter() {
                counter.own(&row, self.key, self.started);
            }
        }
        row
    }

    /// What few configurations need of a head.
    #[inline(never)]
    fn read_head(&mut self, row: &Row, response: &mut ResponseHead<'_>) {
        let config = row.config();
        config.response_labels(response, &mut self.key, row, self.started);
        if config.classifies {
            self.class = config.classify.head(response);
        }
        if config.has(Instrument::TimeToHeaders) {
            let status = config.status_id_of(response.status());
            let key = self.key.with(Field::Status, status);
            let now = Age::at(response.at());
            row.record(
                Instrument::TimeToHeaders,
                key,
                now,
                now.seconds_since(self.started),
            );
        }
    }

    #[inline(always)]
    fn http_end(&self, row: &Row, end: &End<'_>, declared: u64) {
        let (true, Ending::Complete, Some(status)) = (self.is_usual, end.ending(), end.status())
        else {
            return self.http_end_otherwise(row, end, declared);
        };
        let started = row.started(self.start);
        let status = row.config().status_id_of_whole(status);
        let now = Age::at(end.ended()).max(self.started);
        row.end(started, self.key.with(Field::Status, status))
            .ended(now, now.seconds_since(self.started), size(end.bytes()));
        row.lower_active(started, self.key);
    }

    /// Of what few requests are or few configurations want.
    #[inline(never)]
    fn http_end_otherwise(&self, row: &Row, end: &End<'_>, declared: u64) {
        let config = row.config();
        let now = Age::at(end.ended()).max(self.started);
        let rare = self.rare.as_deref();
        let active_row = rare
            .and_then(|rare| rare.active_row.as_deref())
            .unwrap_or(row);
        let started = active_row.started(self.start);
        match &self.active {
            Raised::ByFirst => active_row.lower_active(started, self.key),
            Raised::By(handles) => handles.lower(Instrument::Active),
        }
        let class = if config.classifies {
            config.classify.classify(self.class, end)
        } else {
            Class::Success
        };
        let mut key = self.key.with(Field::Status, config.status_id(end, class));
        if config.classifies {
            key.set(Field::ErrorType, Config::error_id(end, class, None));
        }
        // Not where the route became known late: the request started on another row.
        let at = row.end(started.filter(|_| rare.is_none()), key);
        let seconds = now.seconds_since(self.started);
        let upgraded = end.ending() == Ending::Upgraded;
        if let Some(stream) = rare.and_then(|rare| rare.stream.as_ref()) {
            at.add(Instrument::Requests, now, 1);
            match stream {
                Raised::ByFirst => row.lower(Instrument::ActiveStreams, self.key),
                Raised::By(handles) => handles.lower(Instrument::ActiveStreams),
            }
            row.record(Instrument::StreamDuration, key, now, seconds);
            if end.status().is_some() && !upgraded {
                at.record(Instrument::ResponseSize, now, size(end.bytes()));
            }
        } else if upgraded {
            at.add(Instrument::Requests, now, 1);
            if !config.splits_streams {
                at.record(Instrument::Duration, now, seconds);
            }
        } else if end.status().is_some() {
            at.ended(now, seconds, size(end.bytes()));
        } else {
            at.add(Instrument::Requests, now, 1);
            at.record(Instrument::Duration, now, seconds);
        }
        if upgraded {
            row.add(Instrument::Upgrades, key, now, 1);
        }
        let declared = Some(declared).filter(|bytes| *bytes != UNDECLARED);
        let counted = self.counter().and_then(|counter| counter.bytes());
        if let Some(bytes) = counted.or(declared) {
            at.record(Instrument::RequestSize, now, size(bytes));
        }
    }

    fn rpc_started(&mut self, row: &Arc<Row>, now: Age) {
        row.add(Instrument::RpcStarted, self.key, now, 1);
        self.active = row.raise(Instrument::RpcInFlight, self.key, now);
        if let Some(counter) = self.counter() {
            counter.own(row, self.key, now);
        }
    }

    #[inline]
    fn rpc_head(&mut self, mut row: Arc<Row>, response: &mut ResponseHead<'_>) -> Arc<Row> {
        let config = row.config();
        config.response_labels(response, &mut self.key, &row, self.started);
        self.class = config.classify_rpc.head(response);
        self.code = Code::from_headers(response.headers());
        self.call = Call::Rpc(Messages::of(response.headers()));
        if let Some(method) = self.rare.as_mut().and_then(|rare| rare.unknown.take()) {
            if names_a_method(response.status(), self.code) {
                row = Arc::clone(row.named(&method, self.started));
            }
            self.rpc_started(&row, self.started);
        }
        row
    }

    #[inline(never)]
    fn rpc_end(&self, row: &Arc<Row>, end: &End<'_>, sent: &Messages) {
        let config = row.config();
        let now = Age::at(end.ended()).max(self.started);
        let rare = self.rare.as_ref();
        match &self.active {
            // It ended before it was known which method it was, if any.
            _ if rare.is_some_and(|rare| rare.unknown.is_some()) => {
                row.add(Instrument::RpcStarted, self.key, now, 1);
            }
            Raised::ByFirst => row.lower(Instrument::RpcInFlight, self.key),
            Raised::By(handles) => handles.lower(Instrument::RpcInFlight),
        }
        let web = sent.web_trailers();
        let end = &match &web {
            Some(trailers) => end.clone().with_trailers(Some(trailers)),
            None => end.clone(),
        };
        let class = config.classify_rpc.classify(self.class, end);
        let code = Code::of_end(self.code, end);
        let mut key = self.key;
        key.set(Field::RpcCode, code as u16 + 1);
        key.set(Field::ErrorType, Config::error_id(end, class, Some(code)));
        let at = row.at(Moment::RpcEnd, key);
        at.add(Instrument::RpcHandled, now, 1);
        at.record(
            Instrument::RpcDuration,
            now,
            now.seconds_since(self.started),
        );
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let route = self.row.as_ref().map(|row| row.name());
        f.debug_struct("Recording")
            .field("route", &route)
            .finish_non_exhaustive()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "sizes past 8 PiB may be off by a byte"
)]
const fn size(bytes: u64) -> f64 {
    bytes as f64
}

/// Server-sent events, lines of JSON, gRPC, and multipart pushes: responses that last as long as there is
/// something to tell, so that their duration says nothing about latency. What is there in full is none.
#[inline]
fn is_stream(response: &ResponseHead<'_>) -> bool {
    response.body_length().is_none_or(|bytes| bytes == 0) && is_stream_by_type(response)
}

#[inline(never)]
fn is_stream_by_type(response: &ResponseHead<'_>) -> bool {
    let Some(value) = response.headers().get(CONTENT_TYPE) else {
        return false;
    };
    let starts_with = |stream: &[u8]| {
        let start = value.as_bytes().get(..stream.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(stream))
    };
    // The type first: most responses are `text/html` or `application/json`.
    let subtypes: &[&[u8]] = match value.as_bytes().first().map(u8::to_ascii_lowercase) {
        Some(b't') => &[b"text/event-stream"],
        Some(b'a') => &[
            b"application/x-ndjson",
            b"application/ndjson",
            b"application/jsonl",
            b"application/json-seq",
            b"application/grpc",
        ],
        Some(b'm') => &[b"multipart/x-mixed-replace"],
        _ => &[],
    };
    subtypes.iter().any(|subtype| starts_with(subtype))
}
