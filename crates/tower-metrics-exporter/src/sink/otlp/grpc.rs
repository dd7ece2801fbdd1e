//! One unary call of gRPC.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{CONTENT_TYPE, TE},
};

use super::encode;
use crate::sink::{
    Failure, Payload, SendFuture, Sender, Sent, SinkError,
    failure::{Reason, Retry},
    http::{Target, Trailers, Verdict},
};

pub(super) const EXPORT: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// A flag for compression, and the length.
const PREFIX: usize = 5;

/// A message as it is on the wire.
pub(super) fn message(mut message: Vec<u8>, is_compressed: bool) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let prefix = std::iter::once(is_compressed.into()).chain(length.to_be_bytes());
    drop(message.splice(..0, prefix));
    Bytes::from(message)
}

pub(super) struct Caller {
    pub(super) target: Target,
    pub(super) gzip: bool,
}

impl Caller {
    async fn export(&self, body: Bytes) -> Result<Sent, Failure> {
        let uri = self.target.uri.clone();
        let mut request = self.target.request(Method::POST, uri)?;
        *request.version_mut() = http::Version::HTTP_2;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        if self.gzip {
            headers.insert("grpc-encoding", HeaderValue::from_static("gzip"));
        }
        let response = self.target.call(request, body, judge).await?;
        let trailers = response.extensions().get::<Trailers>();
        let trailers = trailers.map(|Trailers(trailers)| trailers);
        // An answer that is all status has it in its headers.
        let status = [trailers, Some(response.headers())]
            .into_iter()
            .flatten()
            .find(|headers| headers.contains_key(STATUS));
        outcome(status)?;
        let message = response.body().get(PREFIX..).unwrap_or_default();
        Ok(Sent {
            rejected: encode::rejected(message),
        })
    }
}

impl Sender for Caller {
    fn send<'a>(&'a mut self, payload: &'a Payload) -> SendFuture<'a> {
        Box::pin(self.export(payload.body.clone()))
    }

    fn check(&self) -> Result<(), SinkError> {
        self.target.check("OTLP")
    }
}

/// What stands for a status of gRPC that is not there.
fn judge(status: StatusCode) -> Verdict {
    match status.as_u16() {
        200 => Verdict::Taken,
        429 | 502..=504 => Verdict::Retry,
        _ => Verdict::Refused,
    }
}

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";
/// How long to wait, of `google.rpc.RetryInfo`.
const DETAILS: &str = "grpc-status-details-bin";

fn outcome(status: Option<&HeaderMap>) -> Result<(), Failure> {
    let Some(headers) = status else {
        return Err(Failure {
            reason: Reason::Network,
            retry: Retry::Later,
            text: String::from("the answer ended without a status of gRPC"),
        });
    };
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let code: u32 = text(STATUS)
        .and_then(|code| code.parse().ok())
        .unwrap_or(UNKNOWN);
    let (reason, retry) = match code {
        0 => return Ok(()),
        // CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS
        1 | 4 | 10 | 11 | 14 | 15 => (Reason::Server, Retry::Later),
        // RESOURCE_EXHAUSTED passes only if the server says when.
        8 if headers.contains_key(DETAILS) => (Reason::Throttled, Retry::Later),
        _ => (Reason::Refused, Retry::Never),
    };
    let message = text(MESSAGE).unwrap_or_default();
    Err(Failure {
        reason,
        retry,
        text: format!("the server answered with the status {code} of gRPC: {message}"),
    })
}

const UNKNOWN: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again() {
        let of = |code: u32, details: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(STATUS, code.into());
            if details {
                headers.insert(DETAILS, HeaderValue::from_static("CAg"));
            }
            outcome(Some(&headers)).map_err(|failure| failure.retry)
        };
        assert_eq!(of(0, false), Ok(()));
        for code in [1, 4, 10, 11, 14, 15] {
            assert_eq!(of(code, false), Err(Retry::Later), "{code}");
        }
        for code in [2, 3, 5, 7, 8, 12, 13, 16, 99] {
            assert_eq!(of(code, false), Err(Retry::Never), "{code}");
        }
        assert_eq!(of(8, true), Err(Retry::Later));
        let broken = outcome(None).unwrap_err();
        assert_eq!(broken.retry, Retry::Later);
    }
}
