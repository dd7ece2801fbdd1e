//! What is read of answers.

use std::time::Duration;

use crate::sink::{Sent, http::excerpt};

// `ExportMetricsServiceResponse` and what is in it, `MESSAGE_FIELD`.
const RESPONSE_PARTIAL_SUCCESS: u32 = 1;
const PARTIAL_SUCCESS_REJECTED: u32 = 1;
const PARTIAL_SUCCESS_MESSAGE: u32 = 2;
// `google.rpc.Status`, and what is in it.
const STATUS_DETAIL: u32 = 3;
const ANY_TYPE_URL: u32 = 1;
const ANY_VALUE: u32 = 2;
const RETRY_INFO_DELAY: u32 = 1;
const DURATION_SECONDS: u32 = 1;
const DURATION_NANOS: u32 = 2;

/// What a response says of the points that were rejected.
pub(super) fn partial_success(response: &[u8]) -> Sent {
    let mut sent = Sent::default();
    for (field, value) in messages(response, RESPONSE_PARTIAL_SUCCESS).flat_map(Fields) {
        match (field, value) {
            // None is negative.
            (PARTIAL_SUCCESS_REJECTED, Value::Number(count)) => {
                sent.rejected = i64::try_from(count).map_or(0, i64::unsigned_abs);
            }
            (PARTIAL_SUCCESS_MESSAGE, Value::Bytes(text)) => {
                sent.why = Some(excerpt(text));
            }
            _ => {}
        }
    }
    sent
}

/// What a status says of when to come again: not at all if there is no `RetryInfo` in it, else after this time.
pub(super) fn retry_delay(status: &[u8]) -> Option<Duration> {
    const NAME: &[u8] = b"/google.rpc.RetryInfo";
    let info = messages(status, STATUS_DETAIL).find(|detail| {
        let mut urls = messages(detail, ANY_TYPE_URL);
        urls.any(|url| url.ends_with(NAME))
    })?;
    let (mut seconds, mut nanos) = (0, 0);
    let delay = messages(info, ANY_VALUE).flat_map(|info| messages(info, RETRY_INFO_DELAY));
    for (field, value) in delay.flat_map(Fields) {
        match (field, value) {
            // None is negative.
            (DURATION_SECONDS, Value::Number(value)) => seconds = i64::try_from(value).unwrap_or(0),
            (DURATION_NANOS, Value::Number(value)) => nanos = u32::try_from(value).unwrap_or(0),
            _ => {}
        }
    }
    let nanos = Duration::from_nanos(nanos.into());
    Some(Duration::from_secs(seconds.unsigned_abs()).saturating_add(nanos))
}

/// The values of this field, as far as they are messages or text.
fn messages(message: &[u8], wanted: u32) -> impl Iterator<Item = &[u8]> {
    Fields(message).filter_map(move |(field, value)| match value {
        Value::Bytes(bytes) if field == wanted => Some(bytes),
        _ => None,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a fixed width, which nothing has that is read here.
    Fixed,
}

/// The fields of a message, as far as it is one.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(usize::try_from(length).ok()?)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some((u32::try_from(tag >> 3).ok()?, value))
    }
}

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for at in 0..10 {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Response {
        #[prost(message, optional, tag = "1")]
        partial_success: Option<PartialSuccess>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct PartialSuccess {
        #[prost(int64, tag = "1")]
        rejected_data_points: i64,
        #[prost(string, tag = "2")]
        error_message: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Status {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(string, tag = "2")]
        message: String,
        #[prost(message, repeated, tag = "3")]
        details: Vec<Detail>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Detail {
        #[prost(string, tag = "1")]
        type_url: String,
        #[prost(bytes = "vec", tag = "2")]
        value: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct RetryInfo {
        #[prost(message, optional, tag = "1")]
        retry_delay: Option<Delay>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Delay {
        #[prost(int64, tag = "1")]
        seconds: i64,
        #[prost(int32, tag = "2")]
        nanos: i32,
    }

    fn detail(name: &str, value: &impl prost::Message) -> Detail {
        Detail {
            type_url: format!("type.googleapis.com/{name}"),
            value: value.encode_to_vec(),
        }
    }

    fn status(details: Vec<Detail>) -> Vec<u8> {
        let status = Status {
            code: 8,
            message: String::from("full"),
            details,
        };
        status.encode_to_vec()
    }

    proptest! {
        #[test]
        fn what_is_rejected_is_read_with_its_reason(count in 0..i64::MAX, text in "[^\\pC\\s]{0,20}") {
            let response = Response {
                partial_success: Some(PartialSuccess {
                    rejected_data_points: count,
                    error_message: text.clone(),
                }),
            };
            let sent = partial_success(&response.encode_to_vec());
            prop_assert_eq!(sent.rejected, count.unsigned_abs());
            prop_assert_eq!(sent.why.unwrap_or_default(), text);
        }

        #[test]
        fn a_delay_is_read_wherever_it_stands(seconds in 0..1_000_000_i64, nanos in 0..1_000_000_000_i32) {
            let info = RetryInfo { retry_delay: Some(Delay { seconds, nanos }) };
            let quota = detail("google.rpc.QuotaFailure", &RetryInfo { retry_delay: None });
            let delay = Duration::new(seconds.unsigned_abs(), nanos.unsigned_abs());
            let details = vec![quota.clone(), detail("google.rpc.RetryInfo", &info), quota];
            prop_assert_eq!(retry_delay(&status(details)), Some(delay));
        }

        #[test]
        fn whatever_comes_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            partial_success(&bytes);
            retry_delay(&bytes);
        }
    }

    #[test]
    fn none_is_rejected_where_the_number_is_negative_and_the_text_is_bounded() {
        let partial_success = Some(PartialSuccess {
            rejected_data_points: -1,
            error_message: "a\nb".repeat(1000),
        });
        let response = Response { partial_success };
        let sent = partial_success_of(&response);
        assert_eq!(sent.rejected, 0);
        let why = sent.why.unwrap();
        assert!(why.len() <= 256 && why.starts_with("a ba b"), "{why}");
    }

    fn partial_success_of(response: &Response) -> Sent {
        partial_success(&prost::Message::encode_to_vec(response))
    }

    #[test]
    fn a_status_without_a_delay_has_none() {
        let nothing = RetryInfo { retry_delay: None };
        assert_eq!(retry_delay(&status(Vec::new())), None);
        let quota = detail("google.rpc.QuotaFailure", &nothing);
        assert_eq!(retry_delay(&status(vec![quota])), None);
        // That it may be tried again is said all the same.
        let info = detail("google.rpc.RetryInfo", &nothing);
        assert_eq!(retry_delay(&status(vec![info])), Some(Duration::ZERO));
        // A name alone, in a text, is none.
        assert_eq!(retry_delay(b"\x1a\x14google.rpc.RetryInfo"), None);
    }
}
