//! One unary call of gRPC.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
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
/// A `google.rpc.Status`, whose details may include a `google.rpc.RetryInfo`.
const DETAILS: &str = "grpc-status-details-bin";

/// Whether the server says that the call may be made again.
fn has_retry_info(headers: &HeaderMap) -> bool {
    const NAME: &[u8] = b"google.rpc.RetryInfo";
    // Padding is left to the sender.
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let details = headers
        .get(DETAILS)
        .and_then(|text| BASE64.decode(text).ok());
    details.is_some_and(|details| details.windows(NAME.len()).any(|part| part == NAME))
}

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
        // RESOURCE_EXHAUSTED passes only if the server says so.
        8 if has_retry_info(headers) => (Reason::Throttled, Retry::Later),
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
        let of = |code: u32, details: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(STATUS, code.into());
            if let Some(details) = details {
                let details = base64::engine::general_purpose::STANDARD_NO_PAD.encode(details);
                headers.insert(DETAILS, details.parse().unwrap());
            }
            outcome(Some(&headers)).map_err(|failure| failure.retry)
        };
        assert_eq!(of(0, None), Ok(()));
        for code in [1, 4, 10, 11, 14, 15] {
            assert_eq!(of(code, None), Err(Retry::Later), "{code}");
        }
        for code in [2, 3, 5, 7, 8, 12, 13, 16, 99] {
            assert_eq!(of(code, None), Err(Retry::Never), "{code}");
        }
        let retry_info = "\x1a\x28\x0a\x28type.googleapis.com/google.rpc.RetryInfo";
        assert_eq!(of(8, Some(retry_info)), Err(Retry::Later));
        let quota = "\x1a\x2b\x0a\x2btype.googleapis.com/google.rpc.QuotaFailure";
        assert_eq!(of(8, Some(quota)), Err(Retry::Never));
        let broken = outcome(None).unwrap_err();
        assert_eq!(broken.retry, Retry::Later);
    }
}
