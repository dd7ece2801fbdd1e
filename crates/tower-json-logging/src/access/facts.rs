//! What is known of a request and of its end, and how it is written.

use std::{
    borrow::Cow,
    fmt,
    net::IpAddr,
    time::{Duration, Instant},
};

use http::{
    HeaderName, HeaderValue, Method, Uri, Version,
    uri::{PathAndQuery, Scheme},
};
use tower_observe::{Ending, grpc::Code};
use tracing_core::Level;

use crate::{
    access::Settings,
    context::RequestContext,
    format::{
        Limits, escape,
        line::{Line, quoted},
        timestamp::digits,
    },
    redact::{REDACTED, is_credential},
    schema::{Durations, Fact, Step},
};

/// What is known of a request when it begins.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) method: Method,
    pub(crate) route: Option<Route>,
    /// What the policies let through, as text.
    pub(crate) path: Option<Text>,
    pub(crate) query: Option<Text>,
    pub(crate) scheme: Option<Scheme>,
    pub(crate) version: Version,
    pub(crate) bytes_in: Option<u64>,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) request_headers: Headers,
}

/// Headers that were asked for.
pub(crate) type Headers = Vec<(HeaderName, HeaderValue)>;

/// A part of the request's target.
pub(crate) enum Text {
    /// As it was sent.
    Path(PathAndQuery),
    Query(PathAndQuery),
    Edited(String),
}

pub(crate) enum Route {
    Text(String),
    #[cfg(feature = "axum")]
    Matched(axum::extract::MatchedPath),
}

impl Route {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Text(route) => route,
            #[cfg(feature = "axum")]
            Self::Matched(route) => route.as_str(),
        }
    }
}

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Path(target) => target.path(),
            Self::Query(target) => target.query().unwrap_or_default(),
            Self::Edited(text) => text,
        }
    }

    /// What the policies let through of a target.
    pub(crate) fn of(uri: &Uri, settings: &Settings) -> (Option<Self>, Option<Self>) {
        let Some(target) = uri.path_and_query() else {
            return (None, None);
        };
        let path = settings.path.apply(target.path());
        let path = path.map(|path| match path {
            Cow::Borrowed(_) => Self::Path(target.clone()),
            Cow::Owned(path) => Self::Edited(path),
        });
        let query = target
            .query()
            .and_then(|query| settings.query.apply(query))
            .map(|query| match query {
                Cow::Borrowed(_) => Self::Query(target.clone()),
                Cow::Owned(query) => Self::Edited(query),
            });
        (path, query)
    }
}

impl Facts {
    /// Lets go of what is a request's.
    pub(crate) fn clear(&mut self) {
        self.method = Method::GET;
        (self.route, self.scheme, self.user_agent) = (None, None, None);
        (self.path, self.query) = (None, None);
        self.request_headers.clear();
    }

    /// Where the request went, as well as may be said.
    fn place(&self) -> Option<&str> {
        let route = self.route.as_ref().map(Route::as_str);
        route.or_else(|| self.path.as_ref().map(Text::as_str))
    }

    pub(crate) fn user_agent(&self) -> Option<Cow<'_, str>> {
        self.user_agent.as_ref().map(|value| lossy(value, 256))
    }
}

/// What is known of a request when it has ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) at: Instant,
    pub(crate) level: Level,
    pub(crate) ending: Ending,
    pub(crate) status: u16,
    pub(crate) is_failure: bool,
    pub(crate) grpc: Option<Code>,
    pub(crate) duration: Duration,
    pub(crate) time_to_head: Option<Duration>,
    pub(crate) bytes: u64,
    pub(crate) sample_rate: Option<f64>,
}

/// What happened, for people: `GET /scans/{id} 200`.
pub(crate) struct Message<'a>(pub(crate) &'a RequestContext, pub(crate) &'a Ended);

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(facts) = self.0.facts() else {
            return Ok(());
        };
        f.write_str(method(&facts.method).0)?;
        if let Some(place) = facts.place() {
            // Cut, so that a path of many kilobytes is not there twice.
            write!(f, " {place:.256}")?;
        }
        write!(f, " {}", self.1.status)
    }
}

/// Writes [`Message`] as JSON, and tells whether it was cut.
pub(crate) fn message(
    out: &mut Vec<u8>,
    context: &RequestContext,
    ended: &Ended,
    room: usize,
) -> bool {
    out.push(b'"');
    if let Some(facts) = context.facts() {
        out.extend_from_slice(method(&facts.method).0.as_bytes());
        if let Some(place) = facts.place() {
            out.push(b' ');
            escape::Escaper::new(out, room).push(start(place, 256));
        }
        out.push(b' ');
    }
    out.extend_from_slice(itoa::Buffer::new().format(ended.status).as_bytes());
    out.push(b'"');
    false
}

/// Writes a fact of a request, if there is one.
pub(crate) fn fact(
    line: &mut Line<'_>,
    step: &Step,
    fact: Fact,
    context: &RequestContext,
    facts: &Facts,
    ended: &Ended,
    limits: &Limits,
) {
    let room = limits.max_value();
    match fact {
        Fact::Event => line.json(step, &line.schema.event),
        Fact::Method => line.plain(step, method(&facts.method).0),
        Fact::MethodOriginal => {
            if let (_, Some(original)) = method(&facts.method) {
                line.text(step, room, original);
            }
        }
        Fact::Route => {
            if let Some(route) = &facts.route {
                line.text(step, limits.max_line() / 8, route.as_str());
            }
        }
        Fact::Path => {
            if let Some(path) = &facts.path {
                line.text(step, room, path.as_str());
            }
        }
        Fact::Query => {
            if let Some(query) = &facts.query {
                line.text(step, room, query.as_str());
            }
        }
        Fact::Scheme => {
            if let Some(scheme) = facts.scheme.as_ref().and_then(scheme) {
                line.plain(step, scheme);
            }
        }
        Fact::Status => line.number(step, ended.status),
        Fact::Outcome => line.plain(step, ended.ending.as_str()),
        Fact::EventOutcome => line.plain(step, ended.event_outcome()),
        Fact::ErrorType => {
            if !ended.ending.is_whole() {
                line.plain(step, ended.ending.as_str());
            } else if ended.status >= 500 {
                line.plain(step, itoa::Buffer::new().format(ended.status));
            }
        }
        Fact::GrpcStatus => {
            if let Some(code) = ended.grpc {
                line.number(step, code as i32);
            }
        }
        Fact::Duration => duration(line, step, ended.duration),
        Fact::TimeToHead => {
            if let Some(time) = ended.time_to_head {
                duration(line, step, time);
            }
        }
        Fact::BytesIn => {
            if let Some(bytes) = facts.bytes_in {
                line.number(step, bytes);
            }
        }
        Fact::BytesOut => line.number(step, ended.bytes),
        Fact::Protocol => line.plain(step, protocol(facts.version)),
        Fact::ProtocolVersion => line.plain(step, protocol_version(facts.version)),
        Fact::ClientIp => {
            if let Some(ip) = facts.client_ip {
                line.put(step, |out| escape::string(out, room, format_args!("{ip}")));
            }
        }
        Fact::UserAgent => {
            if let Some(agent) = facts.user_agent() {
                line.text(step, room, &agent);
            }
        }
        Fact::RequestHeaders => headers(line, step, &facts.request_headers, room),
        Fact::ResponseHeaders => headers(line, step, context.response_headers(), room),
        Fact::SampleRate => {
            use std::io::Write as _;
            if let Some(rate) = ended.sample_rate {
                line.put(step, |out| {
                    // Writing to memory does not fail.
                    drop(write!(out, "{rate:?}"));
                    false
                });
            }
        }
        _ => {}
    }
}

impl Ended {
    fn event_outcome(&self) -> &'static str {
        if self.is_failure {
            "failure"
        } else if self.ending.is_client_gone() {
            "unknown"
        } else {
            "success"
        }
    }
}

fn number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn duration(line: &mut Line<'_>, step: &Step, duration: Duration) {
    let form = line.schema.durations;
    line.put(step, |out| {
        write_duration(out, duration, form);
        false
    });
}

fn write_duration(out: &mut Vec<u8>, duration: Duration, form: Durations) {
    let nanos = duration
        .as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(duration.subsec_nanos().into())
        .min(i64::MAX.unsigned_abs());
    match form {
        Durations::Milliseconds => {
            let micros = nanos.saturating_add(500) / 1000;
            number(out, micros / 1000);
            let [a, b, c] = digits(micros % 1000);
            out.extend_from_slice(&[b'.', a, b, c]);
        }
        Durations::Nanoseconds => number(out, nanos),
        Durations::Seconds => seconds(out, duration),
        Durations::SecondsText => {
            out.push(b'"');
            seconds(out, duration);
            out.extend_from_slice(b"s\"");
        }
    }
}

fn seconds(out: &mut Vec<u8>, duration: Duration) {
    number(out, duration.as_secs());
    out.push(b'.');
    out.extend_from_slice(&digits::<9>(duration.subsec_nanos().into()));
}

/// An object of headers, those of one name as one; nothing without any.
fn headers(line: &mut Line<'_>, step: &Step, headers: &[(HeaderName, HeaderValue)], room: usize) {
    if headers.is_empty() {
        return;
    }
    line.put(step, |out| {
        let end = out.len().saturating_add(room);
        let mut cut = false;
        out.push(b'{');
        for (at, (name, value)) in headers.iter().enumerate() {
            let start = out.len();
            if at > 0 && out.last() != Some(&b'{') {
                out.push(b',');
            }
            cut |= escape::text(out, usize::MAX, name.as_str());
            out.push(b':');
            if is_credential(name, value) {
                quoted(out, REDACTED);
            } else {
                cut |= escape::text(out, 1024, &lossy(value, 1024));
            }
            if out.len() >= end {
                out.truncate(start);
                cut = true;
                break;
            }
        }
        out.push(b'}');
        cut
    });
}

/// A method of RFC 9110, `PATCH` (RFC 5789) or `QUERY`; else `_OTHER`, and the start of what it was.
pub(crate) fn method(method: &Method) -> (&str, Option<&str>) {
    match method.as_str() {
        known @ ("CONNECT" | "DELETE" | "GET" | "HEAD" | "OPTIONS" | "PATCH" | "POST" | "PUT"
        | "QUERY" | "TRACE") => (known, None),
        other => ("_OTHER", Some(start(other, 32))),
    }
}

pub(crate) const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

const fn protocol_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

// Others are the client's words.
fn scheme(scheme: &Scheme) -> Option<&'static str> {
    match scheme.as_str() {
        "http" => Some("http"),
        "https" => Some("https"),
        _ => None,
    }
}

/// The first characters of a header's value.
fn lossy(value: &HeaderValue, most: usize) -> Cow<'_, str> {
    match String::from_utf8_lossy(value.as_bytes()) {
        Cow::Borrowed(text) => Cow::Borrowed(start(text, most)),
        Cow::Owned(text) => Cow::Owned(String::from(start(&text, most))),
    }
}

/// The first `most` characters.
fn start(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = text.char_indices().nth(most);
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Durations::{Milliseconds, Nanoseconds, Seconds, SecondsText};

    #[test]
    fn a_known_method_is_itself_and_another_is_kept_apart() {
        assert_eq!(method(&Method::GET), ("GET", None));
        let purge = Method::from_bytes(b"PURGE").unwrap();
        assert_eq!(method(&purge), ("_OTHER", Some("PURGE")));
        let long = Method::from_bytes(&[b'A'; 100]).unwrap();
        assert_eq!(method(&long), ("_OTHER", Some(&*"A".repeat(32))));
    }

    #[test]
    fn a_header_is_text_of_so_many_characters() {
        let text = |bytes: &[u8]| lossy(&HeaderValue::from_bytes(bytes).unwrap(), 256).into_owned();
        assert_eq!(text(b"curl/8.4.0"), "curl/8.4.0");
        assert_eq!(text(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(text("é".repeat(300).as_bytes()), "é".repeat(256));
    }

    #[test]
    fn durations_have_the_form_of_the_schema() {
        let with = |form, nanos| {
            let mut out = Vec::new();
            write_duration(&mut out, Duration::from_nanos(nanos), form);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(with(Milliseconds, 12_345_678), "12.346");
        assert_eq!(with(Milliseconds, 86_400_000_000_000), "86400000.000");
        assert_eq!(with(Milliseconds, 0), "0.000");
        assert_eq!(with(Nanoseconds, 12_345_678), "12345678");
        assert_eq!(with(Seconds, 12_345_678), "0.012345678");
        assert_eq!(with(SecondsText, 3_012_345_678), "\"3.012345678s\"");
    }
}
