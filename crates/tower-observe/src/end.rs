use std::{fmt, time::Duration};

use http::{HeaderMap, StatusCode};

use crate::Moment;

/// How an exchange ended. Every exchange ends in exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// The whole response went to the transport: body and trailers, or all that the request's
    /// method, the status and the declared length allow.
    Complete,
    /// The response's head switched protocols (`101`, or `2xx` to `CONNECT`); what follows is not
    /// an HTTP body.
    Upgraded,
    /// The response body gave an error.
    BodyError,
    /// The service gave an error instead of a response.
    ServiceError,
    /// A `call`, `poll` or `poll_frame` of the inner service did not return.
    Panic,
    /// The response future was dropped before the response's head: the client went away, or
    /// something outside (a timeout layer, a shutdown) gave up waiting.
    ClientGoneBeforeHead,
    /// The response body was dropped while some of it was still owed: the client went away, or
    /// something outside threw the body away.
    ClientGoneInBody,
}

impl Ending {
    /// Every ending.
    pub const ALL: [Self; 7] = [
        Self::Complete,
        Self::Upgraded,
        Self::BodyError,
        Self::ServiceError,
        Self::Panic,
        Self::ClientGoneBeforeHead,
        Self::ClientGoneInBody,
    ];

    /// The name for labels and log fields: `complete`, `upgraded`, `body_error`, `service_error`,
    /// `panic`, `client_gone_before_head`, `client_gone_in_body`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Upgraded => "upgraded",
            Self::BodyError => "body_error",
            Self::ServiceError => "service_error",
            Self::Panic => "panic",
            Self::ClientGoneBeforeHead => "client_gone_before_head",
            Self::ClientGoneInBody => "client_gone_in_body",
        }
    }

    /// Whether the client got all that it was owed: `Complete` or `Upgraded`.
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::Complete | Self::Upgraded)
    }

    /// Whether whoever waited for the response went away, before or in the body.
    pub const fn is_client_gone(self) -> bool {
        matches!(self, Self::ClientGoneBeforeHead | Self::ClientGoneInBody)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The end of one exchange: how, when, and what was sent until then.
#[derive(Clone, Debug)]
pub struct End<'a> {
    ending: Ending,
    status: Option<StatusCode>,
    trailers: Option<&'a HeaderMap>,
    bytes: u64,
    started: Moment,
    head_at: Option<Moment>,
    ended: Moment,
}

impl<'a> End<'a> {
    /// An end without a status, trailers or bytes.
    ///
    /// The layer makes these; a test of an observer or of a [`Classify`](crate::Classify) may, too.
    pub const fn new(ending: Ending, started: Moment, ended: Moment) -> Self {
        Self {
            ending,
            status: None,
            trailers: None,
            bytes: 0,
            started,
            head_at: None,
            ended,
        }
    }

    /// Sets the status that was sent.
    #[must_use]
    pub const fn with_status(mut self, status: Option<StatusCode>) -> Self {
        self.status = status;
        self
    }

    /// Sets the trailers that were sent.
    #[must_use]
    pub const fn with_trailers(mut self, trailers: Option<&'a HeaderMap>) -> Self {
        self.trailers = trailers;
        self
    }

    /// Sets the number of body bytes that were sent.
    #[must_use]
    pub const fn with_bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// Sets the time of the response's head.
    #[must_use]
    pub const fn with_head_at(mut self, head_at: Option<Moment>) -> Self {
        self.head_at = head_at;
        self
    }

    /// How the exchange ended.
    pub const fn ending(&self) -> Ending {
        self.ending
    }

    /// The status of the response's head, if there was one.
    pub const fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// The status that tells how the exchange went, also where none or a rosier one was sent.
    ///
    /// The status sent, if the exchange is [`Complete`](Ending::Complete) or
    /// [`Upgraded`](Ending::Upgraded); `499` if the client went away, before or in the body; `500`
    /// for a service error, a panic, or a body error. `499` is nginx's "client closed request";
    /// no response carries it.
    pub fn effective_status(&self) -> StatusCode {
        match (self.ending, self.status) {
            (Ending::Complete | Ending::Upgraded, Some(status)) => status,
            (ending, _) if ending.is_client_gone() => client_closed_request(),
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The trailers, where the response had any and the exchange is complete.
    pub const fn trailers(&self) -> Option<&'a HeaderMap> {
        self.trailers
    }

    /// How many bytes of the response's body were handed to the transport, as the layer saw them:
    /// before a compression outside of it, after one inside.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the service was called.
    pub const fn started(&self) -> Moment {
        self.started
    }

    /// When the response's head was ready, if an observer asked with
    /// [`ResponseHead::at`](crate::ResponseHead::at).
    pub const fn head_at(&self) -> Option<Moment> {
        self.head_at
    }

    /// When the exchange ended: the last frame was handed over, or what else ended it happened.
    pub const fn ended(&self) -> Moment {
        self.ended
    }

    /// From the call of the service to the end.
    ///
    /// "The end" is the last frame handed to the transport, not its arrival at the client.
    pub fn duration(&self) -> Duration {
        self.ended.saturating_duration_since(self.started)
    }

    /// From the call of the service to the response's head, if [`head_at`](Self::head_at) is known.
    pub fn time_to_head(&self) -> Option<Duration> {
        self.head_at
            .map(|at| at.saturating_duration_since(self.started))
    }
}

fn client_closed_request() -> StatusCode {
    // 499 is within the range that `StatusCode` takes, so the fallback is never used.
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn end(ending: Ending, status: Option<StatusCode>) -> End<'static> {
        let now = crate::Clock::system().now();
        End::new(ending, now, now).with_status(status)
    }

    #[test]
    fn names_of_endings_are_distinct() {
        let names: HashSet<_> = Ending::ALL.iter().map(|ending| ending.as_str()).collect();
        assert_eq!(names.len(), Ending::ALL.len());
    }

    #[test]
    fn a_whole_exchange_keeps_its_status() {
        for status in [
            StatusCode::OK,
            StatusCode::NOT_FOUND,
            StatusCode::BAD_GATEWAY,
        ] {
            assert_eq!(
                end(Ending::Complete, Some(status)).effective_status(),
                status
            );
        }
        let switched = Some(StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(end(Ending::Upgraded, switched).effective_status(), 101);
    }

    #[test]
    fn a_rosy_status_does_not_hide_a_bad_end() {
        let sent = Some(StatusCode::OK);
        assert_eq!(end(Ending::BodyError, sent).effective_status(), 500);
        assert_eq!(end(Ending::Panic, sent).effective_status(), 500);
        assert_eq!(end(Ending::ServiceError, None).effective_status(), 500);
        assert_eq!(
            end(Ending::ClientGoneBeforeHead, None).effective_status(),
            499
        );
        assert_eq!(end(Ending::ClientGoneInBody, sent).effective_status(), 499);
    }
}
