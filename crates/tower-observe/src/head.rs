use std::fmt;

use http::{Extensions, HeaderMap, Method, Request, Response, StatusCode, Uri, Version};

use crate::{Clock, Moment};

/// What an observer sees of a request before the inner service does.
///
/// Method, target and version are to be read; headers and extensions may also be changed, so that
/// an observer can hand something to the service (a request id, the current scan).
pub struct RequestHead<'a> {
    request: &'a mut (dyn RequestAccess + 'a),
    started: Moment,
}

// One view serves every body type. In the service the concrete type is known, so that the calls
// are resolved and inlined where it counts.
trait RequestAccess {
    fn method(&self) -> &Method;
    fn uri(&self) -> &Uri;
    fn version(&self) -> Version;
    fn headers(&self) -> &HeaderMap;
    fn headers_mut(&mut self) -> &mut HeaderMap;
    fn extensions(&self) -> &Extensions;
    fn extensions_mut(&mut self) -> &mut Extensions;
}

impl<B> RequestAccess for Request<B> {
    fn method(&self) -> &Method {
        self.method()
    }
    fn uri(&self) -> &Uri {
        self.uri()
    }
    fn version(&self) -> Version {
        self.version()
    }
    fn headers(&self) -> &HeaderMap {
        self.headers()
    }
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
    fn extensions(&self) -> &Extensions {
        self.extensions()
    }
    fn extensions_mut(&mut self) -> &mut Extensions {
        self.extensions_mut()
    }
}

impl<'a> RequestHead<'a> {
    /// A view of `request`, whose exchange began at `started`.
    ///
    /// The layer makes these; a test of an observer may, too.
    #[inline]
    pub fn new<B>(request: &'a mut Request<B>, started: Moment) -> Self {
        Self { request, started }
    }

    /// The same view once more.
    #[inline]
    pub(crate) fn again(&mut self) -> RequestHead<'_> {
        RequestHead {
            request: &mut *self.request,
            started: self.started,
        }
    }

    /// When the service was called with this request.
    #[inline]
    pub const fn started(&self) -> Moment {
        self.started
    }

    /// The request's method.
    #[inline]
    pub fn method(&self) -> &Method {
        self.request.method()
    }

    /// The request's target. Chosen by the client: never a label.
    #[inline]
    pub fn uri(&self) -> &Uri {
        self.request.uri()
    }

    /// The protocol version.
    #[inline]
    pub fn version(&self) -> Version {
        self.request.version()
    }

    /// The request's headers.
    #[inline]
    pub fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// The request's headers, to be changed before the inner service sees them.
    #[inline]
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.request.headers_mut()
    }

    /// The request's extensions.
    #[inline]
    pub fn extensions(&self) -> &Extensions {
        self.request.extensions()
    }

    /// The request's extensions, to be changed before the inner service sees them.
    #[inline]
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        self.request.extensions_mut()
    }
}

impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", self.method())
            .field("uri", self.uri())
            .field("version", &self.version())
            .field("headers", self.headers())
            .finish_non_exhaustive()
    }
}

/// What an observer sees of a response before anything outside the layer does.
///
/// Headers and extensions may be changed, for example to echo a request id.
pub struct ResponseHead<'a> {
    response: &'a mut (dyn ResponseAccess + 'a),
    clock: &'a Clock,
    at: &'a mut Option<Moment>,
    body_length: Option<u64>,
}

trait ResponseAccess {
    fn status(&self) -> StatusCode;
    fn version(&self) -> Version;
    fn headers(&self) -> &HeaderMap;
    fn headers_mut(&mut self) -> &mut HeaderMap;
    fn extensions(&self) -> &Extensions;
    fn extensions_mut(&mut self) -> &mut Extensions;
}

impl<B> ResponseAccess for Response<B> {
    fn status(&self) -> StatusCode {
        self.status()
    }
    fn version(&self) -> Version {
        self.version()
    }
    fn headers(&self) -> &HeaderMap {
        self.headers()
    }
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
    fn extensions(&self) -> &Extensions {
        self.extensions()
    }
    fn extensions_mut(&mut self) -> &mut Extensions {
        self.extensions_mut()
    }
}

impl<'a> ResponseHead<'a> {
    /// A view of `response`; `at` keeps the time of the head once somebody asks for it.
    ///
    /// The layer makes these; a test of an observer may, too.
    pub fn new<B>(
        response: &'a mut Response<B>,
        clock: &'a Clock,
        at: &'a mut Option<Moment>,
    ) -> Self {
        Self {
            response,
            clock,
            at,
            body_length: None,
        }
    }

    /// Sets what the body says of its length.
    #[must_use]
    pub const fn with_body_length(mut self, bytes: Option<u64>) -> Self {
        self.body_length = bytes;
        self
    }

    /// When the inner service answered with this head.
    ///
    /// The clock is read at the first call, so that an exchange that nobody asks pays for no
    /// reading. All observers of an exchange see one time, and [`End::head_at`](crate::End::head_at)
    /// repeats it.
    pub fn at(&mut self) -> Moment {
        *self.at.get_or_insert_with(|| self.clock.now())
    }

    /// The response's status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// How many bytes the body will give, if it says so exactly ([`Body::size_hint`]): all of the
    /// response is there then, and it is no stream.
    ///
    /// [`Body::size_hint`]: http_body::Body::size_hint
    pub const fn body_length(&self) -> Option<u64> {
        self.body_length
    }

    /// The protocol version, as the service set it: servers may still change it.
    pub fn version(&self) -> Version {
        self.response.version()
    }

    /// The response's headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The response's headers, to be changed before they are sent.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.response.headers_mut()
    }

    /// The response's extensions.
    pub fn extensions(&self) -> &Extensions {
        self.response.extensions()
    }

    /// The response's extensions, to be changed.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        self.response.extensions_mut()
    }
}

impl fmt::Debug for ResponseHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("status", &self.status())
            .field("headers", self.headers())
            .finish_non_exhaustive()
    }
}
