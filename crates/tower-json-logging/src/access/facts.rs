//! What is known of a request and of its end, and how it is written.

use std::{borrow::Cow, fmt, net::IpAddr, time::Duration};

use http::{
    HeaderName, HeaderValue, Method, Uri, Version,
    uri::{PathAndQuery, Scheme},
};
use tower_observe::{Ending, grpc::Code};
use tracing_core::Level;

use crate::{
    access::Settings,
    context::RequestContext,
    format::{Limits, escape},
    redact::{REDACTED, is_credential},
    schema::{Compiled, Fact},
};

/// What is known of a request when it begins.
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

/// Writes the value of a fact, if there is one, and tells whether it was cut.
pub(crate) fn fact(
    out: &mut Vec<u8>,
    fact: Fact,
    context: &RequestContext,
    ended: &Ended,
    schema: &Compiled,
    limits: &Limits,
) -> Option<bool> {
    let facts = context.facts()?;
    let room = limits.max_value();
    match fact {
        Fact::Event => out.extend_from_slice(&schema.event),
        Fact::Method => quoted(out, method(&facts.method).0),
        Fact::MethodOriginal => return Some(escape::text(out, room, method(&facts.method).1?)),
        Fact::Route => {
            let route = facts.route.as_ref()?;
            return Some(escape::text(out, limits.max_line() / 8, route.as_str()));
        }
        Fact::Path => return Some(escape::text(out, room, facts.path.as_ref()?.as_str())),
        Fact::Query => return Some(escape::text(out, room, facts.query.as_ref()?.as_str())),
        Fact::Scheme => quoted(out, scheme(facts.scheme.as_ref()?)?),
        Fact::Status => number(out, ended.status),
        Fact::Outcome => quoted(out, ended.ending.as_str()),
        Fact::EventOutcome => quoted(out, ended.event_outcome()),
        Fact::ErrorType => {
            if !ended.ending.is_whole() {
                quoted(out, ended.ending.as_str());
            } else if ended.status >= 500 {
                quoted(out, itoa::Buffer::new().format(ended.status));
            } else {
                return None;
            }
        }
        Fact::GrpcStatus => number(out, ended.grpc? as i32),
        Fact::Duration => duration(out, ended.duration, schema),
        Fact::TimeToHead => duration(out, ended.time_to_head?, schema),
        Fact::BytesIn => number(out, facts.bytes_in?),
        Fact::BytesOut => number(out, ended.bytes),
        Fact::Protocol => quoted(out, protocol(facts.version)),
        Fact::ProtocolVersion => quoted(out, protocol_version(facts.version)),
        Fact::ClientIp => {
            return Some(escape::string(
                out,
                room,
                format_args!("{}", facts.client_ip?),
            ));
        }
        Fact::UserAgent => return Some(escape::text(out, room, &facts.user_agent()?)),
        Fact::RequestHeaders => return headers(out, &facts.request_headers, room),
        Fact::ResponseHeaders => return headers(out, context.response_headers(), room),
        Fact::SampleRate => {
            use std::io::Write as _;
            // Writing to memory does not fail.
            drop(write!(out, "{:?}", ended.sample_rate?));
        }
        _ => return None,
    }
    Some(false)
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

/// A text that needs no escaping.
fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn duration(out: &mut Vec<u8>, duration: Duration, schema: &Compiled) {
    use crate::schema::Durations;

    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(i64::MAX.unsigned_abs());
    match schema.durations {
        Durations::Milliseconds => {
            let micros = nanos.saturating_add(500) / 1000;
            number(out, micros / 1000);
            out.push(b'.');
            crate::format::timestamp::digits::<3>(out, micros % 1000);
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
    crate::format::timestamp::digits::<9>(out, u64::from(duration.subsec_nanos()));
}

/// An object of headers, those of one name as one; `None` without any.
fn headers(out: &mut Vec<u8>, headers: &[(HeaderName, HeaderValue)], room: usize) -> Option<bool> {
    if headers.is_empty() {
        return None;
    }
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
    Some(cut)
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
    use crate::schema::{
        Durations::{Nanoseconds, Seconds, SecondsText},
        Schema,
    };

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
        let written = |schema: Schema, nanos| {
            let mut out = Vec::new();
            duration(
                &mut out,
                Duration::from_nanos(nanos),
                &Compiled::new(&schema),
            );
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(Schema::seed(), 12_345_678), "12.346");
        assert_eq!(written(Schema::seed(), 86_400_000_000_000), "86400000.000");
        assert_eq!(written(Schema::seed(), 0), "0.000");
        let with = |durations, nanos| written(Schema::seed().durations(durations), nanos);
        assert_eq!(with(Nanoseconds, 12_345_678), "12345678");
        assert_eq!(with(Seconds, 12_345_678), "0.012345678");
        assert_eq!(with(SecondsText, 3_012_345_678), "\"3.012345678s\"");
    }
}
