//! What is known of a request and of its end, and how it is written.

use std::{borrow::Cow, fmt, net::IpAddr, time::Duration};

use http::{
    HeaderName, HeaderValue, Method, Uri, Version,
    uri::{PathAndQuery, Scheme},
};
use tower_observe::{Ending, Moment, grpc::Code};
use tracing_core::Level;

use crate::{access::Settings, context::RequestContext};

/// What is known of a request when it begins.
// What every request has comes first: few lines of memory.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Facts {
    pub(crate) version: Version,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) method: Method,
    route: Copied,
    user_agent: Copied,
    pub(crate) bytes_in: Option<u64>,
    pub(crate) scheme: Option<Scheme>,
    /// What the policies let through, as text.
    pub(crate) path: Option<Text>,
    pub(crate) query: Option<Text>,
    pub(crate) request_headers: Headers,
}

/// A text in memory of its own, which is used again: who counts the users of others' memory does so by
/// instructions that are slow.
#[derive(Default)]
struct Copied {
    text: String,
    is_there: bool,
}

impl Copied {
    /// More memory than is kept for the next one.
    const LONG: usize = 512;

    fn set(&mut self, text: &str) {
        self.text.clear();
        self.text.push_str(text);
        self.is_there = true;
    }

    fn get(&self) -> Option<&str> {
        self.is_there.then_some(&*self.text)
    }

    fn is_long(&self) -> bool {
        self.text.capacity() > Self::LONG
    }

    fn clear(&mut self) {
        self.is_there = false;
        if self.is_long() {
            self.text = String::new();
        }
    }
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
    pub(crate) fn set_route(&mut self, route: &str) {
        self.route.set(route);
    }

    /// The template of the route, where it is known.
    pub(crate) fn route(&self) -> Option<&str> {
        self.route.get()
    }

    pub(crate) fn forget_route(&mut self) {
        self.route.is_there = false;
    }

    pub(crate) fn set_user_agent(&mut self, value: &HeaderValue) {
        self.user_agent.set(&lossy(value, 256));
    }

    #[inline(never)]
    pub(crate) fn set_scheme(&mut self, scheme: &Scheme) {
        self.scheme = Some(scheme.clone());
    }

    /// Its first 256 characters.
    pub(crate) fn user_agent(&self) -> Option<&str> {
        self.user_agent.get()
    }

    /// Whether there is memory that came with the request, or more than is kept.
    pub(crate) fn holds_memory(&self) -> bool {
        self.path.is_some()
            || self.query.is_some()
            || self.scheme.as_ref().is_some_and(|at| scheme(at).is_none())
            || !self.request_headers.is_empty()
            || self.route.is_long()
            || self.user_agent.is_long()
    }

    /// Forgets a request that [holds no memory](Self::holds_memory).
    #[inline]
    pub(crate) fn forget(&mut self) {
        self.route.is_there = false;
        self.user_agent.is_there = false;
        self.bytes_in = None;
        self.client_ip = None;
        if self.scheme.is_some() {
            self.scheme = None;
        }
    }

    /// Lets go of the memory.
    pub(crate) fn clear(&mut self) {
        self.method = Method::GET;
        self.route.clear();
        self.user_agent.clear();
        // One by one: several at once would be moved.
        self.scheme = None;
        self.path = None;
        self.query = None;
        self.request_headers.clear();
    }

    /// Where the request went, as well as may be said.
    pub(super) fn place(&self) -> Option<&str> {
        self.route()
            .or_else(|| self.path.as_ref().map(Text::as_str))
    }
}

/// What is known of a request when it has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) at: Moment,
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

impl Ended {
    pub(super) const fn event_outcome(&self) -> &'static str {
        if self.is_failure {
            "failure"
        } else if self.ending.is_client_gone() {
            "unknown"
        } else {
            "success"
        }
    }
}

/// A request that has ended, and whose line is written.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) context: &'a RequestContext,
    pub(crate) facts: &'a Facts,
    pub(crate) ended: &'a Ended,
}

/// What happened, for people: `GET /scans/{id} 200`.
pub(crate) struct Message<'a>(pub(crate) &'a RequestContext, pub(crate) u16);

/// Characters of it that are in a message.
pub(super) const LONGEST_PLACE: usize = 256;

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(facts) = self.0.facts() else {
            return Ok(());
        };
        f.write_str(method(&facts.method))?;
        if let Some(place) = facts.place() {
            // Cut, so that a path of many kilobytes is not there twice.
            write!(f, " {place:.LONGEST_PLACE$}")?;
        }
        write!(f, " {}", self.1)
    }
}

/// What methods are called, by their [numbers](method_number).
const METHODS: [&str; 11] = [
    "_OTHER", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE",
    "QUERY",
];

/// The number of a method of RFC 9110, `PATCH` (RFC 5789) or `QUERY`; 0 of others.
pub(super) fn method_number(method: &Method) -> u8 {
    match *method {
        Method::GET => 1,
        Method::POST => 2,
        Method::PUT => 3,
        Method::PATCH => 4,
        Method::DELETE => 5,
        Method::HEAD => 6,
        Method::OPTIONS => 7,
        Method::CONNECT => 8,
        Method::TRACE => 9,
        _ => 10 * u8::from(method.as_str() == "QUERY"),
    }
}

/// A method that is known; else `_OTHER`.
pub(crate) fn method(method: &Method) -> &'static str {
    let name = METHODS.get(usize::from(method_number(method)));
    name.copied().unwrap_or_default()
}

/// The start of a method that is not known.
pub(crate) fn method_original(method: &Method) -> Option<&str> {
    (method_number(method) == 0).then(|| start(method.as_str(), 32))
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

pub(super) const fn protocol_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

// Others are the client's words.
pub(super) fn scheme(scheme: &Scheme) -> Option<&'static str> {
    match scheme.as_str() {
        "http" => Some("http"),
        "https" => Some("https"),
        _ => None,
    }
}

/// The first characters of a header's value.
#[inline]
pub(super) fn lossy(value: &HeaderValue, most: usize) -> Cow<'_, str> {
    let bytes = value.as_bytes();
    // Nearly all are text: then nothing is looked for that has to be replaced.
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(start(text, most)),
        Err(_) => Cow::Owned(String::from(start(&String::from_utf8_lossy(bytes), most))),
    }
}

/// The first `most` characters.
pub(super) fn start(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = text.char_indices().nth(most);
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_method_is_itself_and_another_is_kept_apart() {
        for known in METHODS.iter().skip(1) {
            let method = Method::from_bytes(known.as_bytes()).unwrap();
            assert_eq!(super::method(&method), *known);
            assert_eq!(method_original(&method), None);
        }
        let purge = Method::from_bytes(b"PURGE").unwrap();
        assert_eq!(method(&purge), "_OTHER");
        assert_eq!(method_original(&purge), Some("PURGE"));
        let long = Method::from_bytes(&[b'A'; 100]).unwrap();
        assert_eq!(method_original(&long), Some(&*"A".repeat(32)));
    }

    #[test]
    fn a_header_is_text_of_so_many_characters() {
        let text = |bytes: &[u8]| lossy(&HeaderValue::from_bytes(bytes).unwrap(), 256).into_owned();
        assert_eq!(text(b"curl/8.4.0"), "curl/8.4.0");
        assert_eq!(text(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(text("é".repeat(300).as_bytes()), "é".repeat(256));
    }
}
