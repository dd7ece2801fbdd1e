//! What is known of a request and of its end, and how it is written.

use std::{borrow::Cow, fmt, net::IpAddr, time::Duration};

use http::{
    HeaderName, HeaderValue, Method, Uri, Version,
    uri::{PathAndQuery, Scheme},
};
use tower_observe::{Ending, Moment, grpc::Code};
use tracing_core::Level;

use super::bits::Bits;
use crate::{access::Settings, context::RequestContext, format::escape::is_plain};

/// What is known of a request when it begins.
// What every request has comes first: few lines of memory.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Facts {
    /// What there is; the rest is an earlier request's.
    bits: Bits,
    client_ip: Option<IpAddr>,
    // In memory of their own, which is used again: who counts the users of others' memory does so by instructions
    // that are slow.
    route: String,
    /// UTF-8, but no `String`: bytes of which it is known need not be looked at for that once more.
    user_agent: Vec<u8>,
    bytes_in: u64,
    /// One that has no [number](method_number).
    method: Option<Method>,
    /// What the policies let through, as text.
    path: Option<Text>,
    query: Option<Text>,
    request_headers: Headers,
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
    /// How many bits [`kind`](Self::kind) has.
    pub(super) const KIND_BITS: u32 = Bits::COUNT;
    /// More memory than is kept for the next text.
    const LONG: usize = 512;

    /// Equal for requests that have the same facts, and whose facts differ only where they [vary](super::varies).
    pub(super) const fn kind(&self) -> u32 {
        self.bits.kind()
    }

    pub(crate) fn set_method(&mut self, method: &Method) {
        let number = method_number(method);
        self.bits.set_number(Bits::METHOD, number);
        if number == 0 {
            self.set_other_method(method);
        }
    }

    #[cold]
    fn set_other_method(&mut self, method: &Method) {
        self.method = Some(method.clone());
        self.bits.set(Bits::OTHER_METHOD);
    }

    /// A method that is known; else `_OTHER`.
    pub(crate) fn method(&self) -> &'static str {
        let name = METHODS.get(self.bits.number(Bits::METHOD, 4));
        name.copied().unwrap_or_default()
    }

    /// The start of a method that is not known.
    pub(crate) fn method_original(&self) -> Option<&str> {
        let method = self.method.as_ref()?.as_str();
        self.bits.has(Bits::OTHER_METHOD).then(|| start(method, 32))
    }

    pub(crate) const fn set_version(&mut self, version: Version) {
        self.bits.set_number(
            Bits::VERSION,
            match version {
                // HTTP/1.1 is 0.
                Version::HTTP_09 => 1,
                Version::HTTP_10 => 2,
                Version::HTTP_2 => 3,
                Version::HTTP_3 => 4,
                _ => 0,
            },
        );
    }

    pub(crate) fn protocol(&self) -> &'static str {
        const PROTOCOLS: [&str; 5] = ["HTTP/1.1", "HTTP/0.9", "HTTP/1.0", "HTTP/2.0", "HTTP/3.0"];
        let name = PROTOCOLS.get(self.bits.number(Bits::VERSION, 3));
        name.copied().unwrap_or_default()
    }

    pub(super) fn protocol_version(&self) -> &'static str {
        const VERSIONS: [&str; 5] = ["1.1", "0.9", "1.0", "2", "3"];
        let name = VERSIONS.get(self.bits.number(Bits::VERSION, 3));
        name.copied().unwrap_or_default()
    }

    /// Others than `http` and `https` are the client's words.
    #[inline(never)]
    pub(crate) fn set_scheme(&mut self, scheme: &Scheme) {
        self.bits.set_number(
            Bits::SCHEME,
            match scheme.as_str() {
                "http" => 1,
                "https" => 2,
                _ => 0,
            },
        );
    }

    pub(super) const fn scheme(&self) -> Option<&'static str> {
        match self.bits.number(Bits::SCHEME, 2) {
            1 => Some("http"),
            2 => Some("https"),
            _ => None,
        }
    }

    pub(crate) fn set_route(&mut self, route: &str) {
        self.route.clear();
        self.route.push_str(route);
        let is_plain = route.len() <= LONGEST_PLACE && is_plain(route.as_bytes());
        // Another may have been there.
        self.forget_route();
        self.bits.set(Bits::ROUTE);
        self.bits.set_if(Bits::ROUTE_IS_PLAIN, is_plain);
        self.bits
            .set_if(Bits::LONG, self.route.capacity() > Self::LONG);
    }

    pub(crate) const fn forget_route(&mut self) {
        self.bits.forget(Bits::ROUTE | Bits::ROUTE_IS_PLAIN);
    }

    /// The template of the route, where it is known.
    pub(crate) fn route(&self) -> Option<&str> {
        self.bits.has(Bits::ROUTE).then_some(&*self.route)
    }

    /// As [`route`](Self::route), if it is at most so long, and nothing of it is cut or escaped.
    #[inline]
    pub(crate) fn plain_route(&self, most: usize) -> Option<&[u8]> {
        let is_plain = self.bits.has(Bits::ROUTE_IS_PLAIN) && self.route.len() <= most;
        is_plain.then_some(self.route.as_bytes())
    }

    #[inline]
    pub(crate) fn set_user_agent(&mut self, value: &HeaderValue) {
        let bytes = value.as_bytes();
        if bytes.len() > LONGEST_USER_AGENT || !is_plain(bytes) {
            return self.set_strange_user_agent(value);
        }
        self.user_agent.clear();
        self.user_agent.extend_from_slice(bytes);
        self.bits.set(Bits::USER_AGENT | Bits::USER_AGENT_IS_PLAIN);
    }

    #[cold]
    fn set_strange_user_agent(&mut self, value: &HeaderValue) {
        let text = lossy(value, LONGEST_USER_AGENT);
        self.user_agent.clear();
        self.user_agent.extend_from_slice(text.as_bytes());
        self.bits.forget(Bits::USER_AGENT_IS_PLAIN);
        self.bits.set(Bits::USER_AGENT);
        self.bits
            .set_if(Bits::LONG, self.user_agent.capacity() > Self::LONG);
    }

    /// Its first 256 characters.
    pub(crate) fn user_agent(&self) -> Option<&str> {
        self.bits.has(Bits::USER_AGENT).then_some(())?;
        std::str::from_utf8(&self.user_agent).ok()
    }

    /// As [`user_agent`](Self::user_agent), if it is at most so long, and nothing of it is cut or escaped.
    #[inline]
    pub(crate) fn plain_user_agent(&self, most: usize) -> Option<&[u8]> {
        let is_plain = self.bits.has(Bits::USER_AGENT_IS_PLAIN) && self.user_agent.len() <= most;
        is_plain.then_some(&*self.user_agent)
    }

    pub(crate) const fn set_bytes_in(&mut self, bytes: Option<u64>) {
        if let Some(bytes) = bytes {
            self.bytes_in = bytes;
            self.bits.set(Bits::BYTES_IN);
        }
    }

    pub(super) fn bytes_in(&self) -> Option<u64> {
        self.bits.has(Bits::BYTES_IN).then_some(self.bytes_in)
    }

    pub(crate) const fn set_client_ip(&mut self, ip: Option<IpAddr>) {
        self.client_ip = ip;
        self.bits.forget(Bits::CLIENT_IP);
        self.bits.set_if(Bits::CLIENT_IP, ip.is_some());
    }

    pub(super) fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip.filter(|_| self.bits.has(Bits::CLIENT_IP))
    }

    /// What the policies let through of the request's target.
    pub(crate) fn set_target(&mut self, path: Option<Text>, query: Option<Text>) {
        self.bits.set_if(Bits::PATH, path.is_some());
        self.bits.set_if(Bits::QUERY, query.is_some());
        self.path = path;
        self.query = query;
    }

    pub(super) fn path(&self) -> Option<&str> {
        self.path.as_ref().map(Text::as_str)
    }

    pub(super) fn query(&self) -> Option<&str> {
        self.query.as_ref().map(Text::as_str)
    }

    pub(crate) fn set_request_headers(&mut self, headers: Headers) {
        self.bits.set_if(Bits::REQUEST_HEADERS, !headers.is_empty());
        self.request_headers = headers;
    }

    pub(super) fn request_headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.request_headers
    }

    /// Whether there is memory that came with the request, or more than is kept.
    #[inline]
    pub(crate) const fn holds_memory(&self) -> bool {
        self.bits.has(Bits::HOLDS_MEMORY)
    }

    /// Forgets a request that [holds no memory](Self::holds_memory).
    #[inline]
    pub(crate) fn forget(&mut self) {
        debug_assert!(!self.holds_memory());
        self.bits = Bits::default();
    }

    /// Lets go of the memory.
    pub(crate) fn clear(&mut self) {
        self.bits = Bits::default();
        if self.user_agent.capacity() > Self::LONG {
            self.user_agent = Vec::new();
        }
        if self.route.capacity() > Self::LONG {
            self.route = String::new();
        }
        // One by one: several at once would be moved.
        self.method = None;
        self.path = None;
        self.query = None;
        self.request_headers.clear();
    }

    /// Where the request went, as well as may be said.
    pub(super) fn place(&self) -> Option<&str> {
        self.route().or_else(|| self.path())
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

/// Characters of a place that are in a message.
pub(super) const LONGEST_PLACE: usize = 256;

/// Characters that are kept.
const LONGEST_USER_AGENT: usize = 256;

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(facts) = self.0.facts() else {
            return Ok(());
        };
        f.write_str(facts.method())?;
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
fn method_number(method: &Method) -> u8 {
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

    fn with(set: impl FnOnce(&mut Facts)) -> Facts {
        let mut facts = Facts::default();
        set(&mut facts);
        facts
    }

    #[test]
    fn a_known_method_is_itself_and_another_is_kept_apart() {
        let of = |method: &[u8]| {
            let method = Method::from_bytes(method).unwrap();
            with(|facts| facts.set_method(&method))
        };
        for known in METHODS.iter().skip(1) {
            let facts = of(known.as_bytes());
            assert_eq!(facts.method(), *known);
            assert_eq!(facts.method_original(), None);
            assert!(!facts.holds_memory());
        }
        let purge = of(b"PURGE");
        assert_eq!(purge.method(), "_OTHER");
        assert_eq!(purge.method_original(), Some("PURGE"));
        let long = of(&[b'A'; 100]);
        assert_eq!(long.method_original(), Some(&*"A".repeat(32)));
        assert!(long.holds_memory());
    }

    #[test]
    fn a_version_is_a_protocol() {
        for (version, protocol, number) in [
            (Version::HTTP_09, "HTTP/0.9", "0.9"),
            (Version::HTTP_10, "HTTP/1.0", "1.0"),
            (Version::HTTP_11, "HTTP/1.1", "1.1"),
            (Version::HTTP_2, "HTTP/2.0", "2"),
            (Version::HTTP_3, "HTTP/3.0", "3"),
        ] {
            let facts = with(|facts| facts.set_version(version));
            assert_eq!(facts.protocol(), protocol);
            assert_eq!(facts.protocol_version(), number);
        }
    }

    #[test]
    fn what_is_plain_is_the_text_itself() {
        for (text, plain) in [
            ("", true),
            ("a", true),
            ("\"", false),
            ("é", false),
            ("\u{7f}", false),
            ("curl/8.4.0", true),
            ("Mozilla/5.0 (X11; Linux x86_64)", true),
            ("a \"quoted\" agent", false),
            ("one with an é in it", false),
            (&*"x".repeat(256), true),
            (&*"x".repeat(257), false),
        ] {
            let value = HeaderValue::from_bytes(text.as_bytes());
            let facts = with(|facts| {
                facts.set_route(text);
                if let Ok(value) = &value {
                    facts.set_user_agent(value);
                }
            });
            let plain = plain.then_some(text.as_bytes());
            assert_eq!(facts.plain_route(256), plain, "{text}");
            assert_eq!(facts.route(), Some(text));
            if value.is_ok() {
                assert_eq!(facts.plain_user_agent(256), plain, "{text}");
                assert_eq!(facts.user_agent(), Some(start(text, 256)));
            }
            if let Some(less) = text.len().checked_sub(1) {
                assert_eq!(facts.plain_route(less), None);
                assert_eq!(facts.plain_user_agent(less), None);
            }
        }
    }

    #[test]
    fn a_route_takes_the_place_of_another() {
        let mut facts = with(|facts| facts.set_route("/scans/{id}"));
        for route in ["/a\"b", "/scans"] {
            facts.set_route(route);
            assert_eq!(facts.route(), Some(route));
            let plain = (route == "/scans").then_some(route.as_bytes());
            assert_eq!(facts.plain_route(256), plain);
        }
        facts.forget_route();
        assert_eq!(facts.plain_route(256), None);
    }

    #[test]
    fn a_user_agent_that_is_no_text_becomes_one() {
        for bytes in [
            &b"\xff"[..],
            b"\x80\x80",
            b"an agent that ends with \xe2\x80",
        ] {
            let value = HeaderValue::from_bytes(bytes).unwrap();
            let facts = with(|facts| facts.set_user_agent(&value));
            assert_eq!(facts.user_agent(), Some(&*String::from_utf8_lossy(bytes)));
            assert_eq!(facts.plain_user_agent(256), None);
        }
    }

    #[test]
    fn nothing_is_left_of_a_request_that_is_forgotten() {
        let mut facts = with(|facts| {
            facts.set_method(&Method::GET);
            facts.set_version(Version::HTTP_2);
            facts.set_scheme(&Scheme::HTTPS);
            facts.set_route("/scans/{id}");
            facts.set_user_agent(&HeaderValue::from_static("curl"));
            facts.set_bytes_in(Some(7));
            facts.set_client_ip(Some(IpAddr::from([127, 0, 0, 1])));
        });
        assert!(!facts.holds_memory());
        facts.forget();
        assert_eq!(facts.bits, Bits::default());
        assert_eq!(facts.route(), None);
        assert_eq!(facts.plain_route(256), None);
        assert_eq!(facts.user_agent(), None);
        assert_eq!(facts.plain_user_agent(256), None);
        assert_eq!(facts.bytes_in(), None);
        assert_eq!(facts.client_ip(), None);
        assert_eq!(facts.scheme(), None);
        assert_eq!(facts.place(), None);
    }

    #[test]
    fn long_texts_are_let_go_of() {
        let value = HeaderValue::from_bytes("€".repeat(300).as_bytes()).unwrap();
        let mut facts = with(|facts| {
            facts.set_user_agent(&value);
            facts.set_route(&"/scans".repeat(100));
        });
        assert!(facts.holds_memory());
        facts.clear();
        assert!(!facts.holds_memory());
        assert_eq!(facts.route.capacity(), 0);
        assert_eq!(facts.user_agent.capacity(), 0);
        assert_eq!(facts.route(), None);
    }

    #[test]
    fn a_header_is_text_of_so_many_characters() {
        let text = |bytes: &[u8]| lossy(&HeaderValue::from_bytes(bytes).unwrap(), 256).into_owned();
        assert_eq!(text(b"curl/8.4.0"), "curl/8.4.0");
        assert_eq!(text(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(text("é".repeat(300).as_bytes()), "é".repeat(256));
    }
}
