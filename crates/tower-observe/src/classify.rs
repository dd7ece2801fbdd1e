use http::StatusCode;

use crate::{End, Ending, ResponseHead, grpc::Code};

/// Whose fault it was, if anybody's.
///
/// Three classes, because error budgets and log levels need the server's own failures apart from
/// what clients did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// It went as it should.
    Success,
    /// The client's doing: a bad request, or it went away.
    ClientError,
    /// The server's failure.
    ServerError,
}

impl Class {
    /// The name for labels and log fields: `success`, `client_error`, `server_error`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
        }
    }
}

/// Decides the [`Class`] of an exchange.
///
/// [`HttpClassify`] and [`GrpcClassify`] are the usual rules. A closure over [`End`] is a
/// classifier too:
///
/// ```
/// use tower_observe::{Class, Classify, End, HttpClassify};
///
/// // In this service a missing page is the server's failure.
/// let classify = |end: &End<'_>| match end.effective_status().as_u16() {
///     404 => Class::ServerError,
///     _ => HttpClassify.end(end),
/// };
/// # fn is_classifier(_: impl Classify) {}
/// # is_classifier(classify);
/// ```
pub trait Classify {
    /// The class that the head alone decides, provided that the exchange then ends whole.
    ///
    /// For what is gone at the end, such as a `grpc-status` in the headers. Default: undecided.
    fn head(&self, response: &ResponseHead<'_>) -> Option<Class> {
        let _ = response;
        None
    }

    /// The class of an exchange that the head left undecided, or that did not end whole.
    fn end(&self, end: &End<'_>) -> Class;

    /// Puts both together; `head` is what [`head`](Self::head) said.
    fn classify(&self, head: Option<Class>, end: &End<'_>) -> Class {
        match head {
            Some(class) if end.ending().is_whole() => class,
            _ => self.end(end),
        }
    }
}

impl<F: Fn(&End<'_>) -> Class> Classify for F {
    fn end(&self, end: &End<'_>) -> Class {
        self(end)
    }
}

/// By the [effective status](End::effective_status): 5xx is a server error, 4xx a client error.
///
/// So a panic, a service error and a body error are server errors, and a client that went away,
/// before or in the body, is a client error.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit value, written by name")]
pub struct HttpClassify;

impl Classify for HttpClassify {
    fn end(&self, end: &End<'_>) -> Class {
        let status = end.effective_status();
        if status.is_server_error() {
            Class::ServerError
        } else if status.is_client_error() {
            Class::ClientError
        } else {
            Class::Success
        }
    }
}

/// By the gRPC status: in the headers, else in the trailers, else what the HTTP status maps to.
///
/// Server errors are those of OpenTelemetry's RPC conventions: `UNKNOWN`, `DEADLINE_EXCEEDED`,
/// `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE`, `DATA_LOSS`. See [`Code::of_end`].
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit value, written by name")]
pub struct GrpcClassify;

impl Classify for GrpcClassify {
    fn head(&self, response: &ResponseHead<'_>) -> Option<Class> {
        Code::from_headers(response.headers()).map(Code::class)
    }

    fn end(&self, end: &End<'_>) -> Class {
        // A broken stream is the server's failure whatever code a peer would make of it.
        match end.ending() {
            Ending::BodyError | Ending::ServiceError | Ending::Panic => Class::ServerError,
            _ => Code::of_end(None, end).class(),
        }
    }
}

impl Code {
    /// Whose fault this code is, by OpenTelemetry's RPC conventions for servers.
    pub const fn class(self) -> Class {
        match self {
            Self::Ok => Class::Success,
            Self::Unknown
            | Self::DeadlineExceeded
            | Self::Unimplemented
            | Self::Internal
            | Self::Unavailable
            | Self::DataLoss => Class::ServerError,
            _ => Class::ClientError,
        }
    }

    /// The code that an HTTP status stands for when a response has no `grpc-status`.
    ///
    /// Source: gRPC's "HTTP to gRPC Status Code Mapping". `200` maps to `UNKNOWN`: a gRPC response
    /// that ends without a status is broken.
    pub const fn from_http(status: StatusCode) -> Self {
        match status.as_u16() {
            400 => Self::Internal,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            429 | 502 | 503 | 504 => Self::Unavailable,
            _ => Self::Unknown,
        }
    }

    /// The code of an ended exchange; `head` is what [`from_headers`](Self::from_headers) said of the
    /// response's headers.
    ///
    /// | ending | code |
    /// |---|---|
    /// | complete, upgraded | `head`, else the trailers', else [`from_http`](Self::from_http) |
    /// | client gone | `CANCELLED` |
    /// | service error, panic | `UNKNOWN` |
    /// | body error | `INTERNAL` |
    pub fn of_end(head: Option<Self>, end: &End<'_>) -> Self {
        match end.ending() {
            Ending::Complete | Ending::Upgraded => head
                .or_else(|| end.trailers().and_then(Self::from_headers))
                .or_else(|| end.status().map(Self::from_http))
                .unwrap_or(Self::Unknown),
            Ending::ClientGoneBeforeHead | Ending::ClientGoneInBody => Self::Cancelled,
            Ending::BodyError => Self::Internal,
            Ending::ServiceError | Ending::Panic => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Response};

    use super::*;
    use crate::Clock;

    fn end(ending: Ending, status: u16) -> End<'static> {
        let now = Clock::system().now();
        End::new(ending, now, now).with_status(StatusCode::from_u16(status).ok())
    }

    #[test]
    fn http_statuses_fall_into_their_classes() {
        let class = |status| HttpClassify.end(&end(Ending::Complete, status));
        assert_eq!(class(200), Class::Success);
        assert_eq!(class(304), Class::Success);
        assert_eq!(class(404), Class::ClientError);
        assert_eq!(class(503), Class::ServerError);
        assert_eq!(
            HttpClassify.end(&end(Ending::Upgraded, 101)),
            Class::Success
        );
        assert_eq!(
            HttpClassify.end(&end(Ending::Panic, 200)),
            Class::ServerError
        );
        assert_eq!(
            HttpClassify.end(&end(Ending::ClientGoneInBody, 200)),
            Class::ClientError
        );
    }

    #[test]
    fn a_grpc_status_in_the_headers_decides_only_a_whole_exchange() {
        let mut response = Response::new(());
        response
            .headers_mut()
            .insert("grpc-status", HeaderValue::from_static("13"));
        let (clock, mut at) = (Clock::system(), None);
        let head = GrpcClassify.head(&ResponseHead::new(&mut response, &clock, &mut at));
        assert_eq!(head, Some(Class::ServerError));

        let whole = GrpcClassify.classify(Some(Class::ServerError), &end(Ending::Complete, 200));
        assert_eq!(whole, Class::ServerError);
        let gone = end(Ending::ClientGoneInBody, 200);
        assert_eq!(
            GrpcClassify.classify(Some(Class::ServerError), &gone),
            Class::ClientError
        );
    }

    #[test]
    fn a_grpc_status_in_the_trailers_is_found() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("5"));
        let end = end(Ending::Complete, 200).with_trailers(Some(&trailers));
        assert_eq!(Code::of_end(None, &end), Code::NotFound);
        assert_eq!(GrpcClassify.end(&end), Class::ClientError);
    }

    #[test]
    fn a_grpc_response_without_a_status_is_unknown() {
        assert_eq!(
            Code::of_end(None, &end(Ending::Complete, 200)),
            Code::Unknown
        );
        assert_eq!(
            Code::of_end(None, &end(Ending::Complete, 503)),
            Code::Unavailable
        );
        assert_eq!(
            Code::of_end(Some(Code::Ok), &end(Ending::Complete, 200)),
            Code::Ok
        );
    }
}
