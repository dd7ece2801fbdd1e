use std::{
    fmt,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, header::RETRY_AFTER};
use http_body_util::BodyExt as _;

use super::{AnswerBody, BoxError};
use crate::sink::failure::chain;

/// More of an answer is not kept.
const KEPT: usize = 64 * 1024;

/// How much of an answer is read. The connection of one that has more is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sink) enum Length {
    /// As much as is kept.
    Short,
    /// As far as the trailers, if there is no more before them than this.
    ToTrailers(usize),
}

/// What a server answered.
#[derive(Debug, Default)]
pub(in crate::sink) struct Answered {
    pub(in crate::sink) headers: HeaderMap,
    pub(in crate::sink) body: Vec<u8>,
    pub(in crate::sink) trailers: Option<HeaderMap>,
    /// Why it was not read to its end.
    pub(in crate::sink) broken: Option<Broken>,
}

/// An answer has no end.
#[derive(Debug)]
pub(in crate::sink) enum Broken {
    /// None that is read: there is too much before it.
    TooLong(usize),
    Failed(BoxError),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(most) => write!(f, "it has more than {most} bytes"),
            Self::Failed(error) => f.write_str(&chain(&**error)),
        }
    }
}

impl Answered {
    pub(super) async fn read(&mut self, mut body: AnswerBody, length: Length) {
        let most = match length {
            Length::Short => KEPT,
            Length::ToTrailers(most) => most,
        };
        let mut read = 0_usize;
        while let Some(frame) = body.frame().await {
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => {
                    read = read.saturating_add(data.len());
                    let room = KEPT.saturating_sub(self.body.len());
                    self.body
                        .extend_from_slice(data.get(..room).unwrap_or(&data));
                }
                Ok(Err(frame)) => self.trailers = frame.into_trailers().ok(),
                Err(error) => {
                    self.broken = Some(Broken::Failed(error));
                    return;
                }
            }
            if read > most {
                self.broken = Some(Broken::TooLong(most));
                return;
            }
        }
    }
}

/// Seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// The beginning of an answer, for a log.
pub(in crate::sink) fn excerpt(body: &[u8]) -> String {
    const LONGEST: usize = 256;
    let text = String::from_utf8_lossy(body.get(..LONGEST).unwrap_or(body));
    let text = text.trim();
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_come_back_is_seconds_or_a_date() {
        let after = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        assert_eq!(after("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
        assert!(after(&later) > Some(Duration::from_secs(3500)));
        assert_eq!(after("soon"), None);
    }
}
