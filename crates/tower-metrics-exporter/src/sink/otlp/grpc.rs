//! One unary call of gRPC.

use std::time::Duration;

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

use super::answer;
use crate::sink::{
    Failure, Payload, SendFuture, Sender, Sent, SinkError,
    failure::{Reason, Retry},
    http::{Broken, Length, Target, Verdict},
};

pub(super) const EXPORT: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// What gRPC takes of a message unless told otherwise.
pub(super) const LONGEST_MESSAGE: usize = 4 << 20;

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
        let mut request = self.target.request(Method::POST, uri).await?;
        *request.version_mut() = http::Version::HTTP_2;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        if self.gzip {
            headers.insert("grpc-encoding", HeaderValue::from_static("gzip"));
        }
        let length = Length::ToTrailers(LONGEST_MESSAGE);
        let answered = self.target.call(request, body, judge, length).await?;
        // An answer that is all status has it in its headers.
        let status = [answered.trailers.as_ref(), Some(&answered.headers)]
            .into_iter()
            .flatten()
            .find(|headers| headers.contains_key(STATUS));
        outcome(status, answered.broken.as_ref())?;
        let message = answered.body.get(PREFIX..).unwrap_or_default();
        Ok(answer::partial_success(message))
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

/// When the server says that the call may be made again, if it does.
fn retry_info(headers: &HeaderMap) -> Option<Duration> {
    // Padding is left to the sender.
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let details = BASE64.decode(headers.get(DETAILS)?).ok()?;
    answer::retry_delay(&details)
}

/// `broken` is why the answer did not come to its end.
fn outcome(status: Option<&HeaderMap>, broken: Option<&Broken>) -> Result<(), Failure> {
    let Some(headers) = status else {
        let (reason, retry) = match broken {
            // It is no better the next time.
            Some(Broken::TooLong(_)) => (Reason::Refused, Retry::Never),
            _ => (Reason::Network, Retry::Later),
        };
        let broken = broken.map_or_else(String::new, |broken| format!(": {broken}"));
        return Err(Failure {
            reason,
            retry,
            text: format!("the answer ended without a status of gRPC{broken}"),
        });
    };
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let code: u32 = text(STATUS)
        .and_then(|code| code.parse().ok())
        .unwrap_or(UNKNOWN);
    let (reason, retry) = match (code, retry_info(headers)) {
        (0, _) => return Ok(()),
        // CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS
        (1 | 4 | 10 | 11 | 14 | 15, None) => (Reason::Server, Retry::Later),
        (1 | 4 | 10 | 11 | 14 | 15, Some(after)) => (Reason::Server, Retry::After(after)),
        // RESOURCE_EXHAUSTED passes only if the server says so.
        (8, Some(after)) => (Reason::Throttled, Retry::After(after)),
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
    fn what_may_pass_is_tried_again_when_the_server_says() {
        let of = |code: u32, details: Option<&[u8]>| {
            let mut headers = HeaderMap::new();
            headers.insert(STATUS, code.into());
            if let Some(details) = details {
                let details = base64::engine::general_purpose::STANDARD_NO_PAD.encode(details);
                headers.insert(DETAILS, details.parse().unwrap());
            }
            outcome(Some(&headers), None).map_err(|failure| failure.retry)
        };
        assert_eq!(of(0, None), Ok(()));
        // RetryInfo { retry_delay: 30 seconds }, and the same without a delay.
        let delayed =
            b"\x1a\x30\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x04\x0a\x02\x08\x1e";
        let soon = b"\x1a\x2a\x0a\x28type.googleapis.com/google.rpc.RetryInfo";
        for code in [1, 4, 10, 11, 14, 15] {
            assert_eq!(of(code, None), Err(Retry::Later), "{code}");
            let after = Retry::After(Duration::from_secs(30));
            assert_eq!(of(code, Some(delayed)), Err(after), "{code}");
        }
        for code in [2, 3, 5, 7, 8, 12, 13, 16, 99] {
            assert_eq!(of(code, None), Err(Retry::Never), "{code}");
        }
        assert_eq!(
            of(8, Some(delayed)),
            Err(Retry::After(Duration::from_secs(30)))
        );
        assert_eq!(of(8, Some(soon)), Err(Retry::After(Duration::ZERO)));
        let quota = b"\x1a\x2d\x0a\x2btype.googleapis.com/google.rpc.QuotaFailure";
        assert_eq!(of(8, Some(quota)), Err(Retry::Never));
        let broken = Broken::Failed("reset".into());
        let broken = outcome(None, Some(&broken)).unwrap_err();
        assert_eq!(broken.retry, Retry::Later);
        assert!(broken.text.ends_with(": reset"), "{}", broken.text);
        let endless = outcome(None, Some(&Broken::TooLong(7))).unwrap_err();
        assert_eq!(endless.retry, Retry::Never);
    }
}
