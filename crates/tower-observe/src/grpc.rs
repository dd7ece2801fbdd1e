//! gRPC status codes, as responses carry them.

use std::fmt;

use http::HeaderMap;

/// A gRPC status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the protocol has these and no more"
)]
pub enum Code {
    /// 0: no error.
    Ok = 0,
    /// 1: the caller gave up.
    Cancelled = 1,
    /// 2: an error without a better code.
    Unknown = 2,
    /// 3: the request is wrong whatever the system's state.
    InvalidArgument = 3,
    /// 4: the deadline passed.
    DeadlineExceeded = 4,
    /// 5: what was asked for is not there.
    NotFound = 5,
    /// 6: what was to be made is there already.
    AlreadyExists = 6,
    /// 7: the caller may not.
    PermissionDenied = 7,
    /// 8: a quota or a resource is used up.
    ResourceExhausted = 8,
    /// 9: the system is not in the state that this needs.
    FailedPrecondition = 9,
    /// 10: aborted, typically by a conflict.
    Aborted = 10,
    /// 11: past the valid range.
    OutOfRange = 11,
    /// 12: no such method here.
    Unimplemented = 12,
    /// 13: an invariant is broken.
    Internal = 13,
    /// 14: not now; a retry may help.
    Unavailable = 14,
    /// 15: data is lost.
    DataLoss = 15,
    /// 16: the caller did not say who it is.
    Unauthenticated = 16,
}

impl Code {
    /// Every code, by number.
    pub const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The specification's spelling, such as `NOT_FOUND` and `CANCELLED`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }

    /// Go's spelling, such as `NotFound` and `Canceled`, which the series of Go services carry.
    pub const fn as_go_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "Canceled",
            Self::Unknown => "Unknown",
            Self::InvalidArgument => "InvalidArgument",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::PermissionDenied => "PermissionDenied",
            Self::ResourceExhausted => "ResourceExhausted",
            Self::FailedPrecondition => "FailedPrecondition",
            Self::Aborted => "Aborted",
            Self::OutOfRange => "OutOfRange",
            Self::Unimplemented => "Unimplemented",
            Self::Internal => "Internal",
            Self::Unavailable => "Unavailable",
            Self::DataLoss => "DataLoss",
            Self::Unauthenticated => "Unauthenticated",
        }
    }

    /// The code in `grpc-status`, in headers or trailers. `None` without that header; a value that is
    /// no code is [`Unknown`](Self::Unknown), as the specification asks.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get("grpc-status")?;
        let number = value
            .to_str()
            .ok()
            .and_then(|text| text.parse::<usize>().ok());
        Some(
            number
                .and_then(|number| Self::ALL.get(number).copied())
                .unwrap_or(Self::Unknown),
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn parse(value: &'static [u8]) -> Option<Code> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", HeaderValue::from_bytes(value).unwrap());
        Code::from_headers(&headers)
    }

    #[test]
    fn every_number_gives_its_code() {
        for (number, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, number);
        }
        assert_eq!(parse(b"0"), Some(Code::Ok));
        assert_eq!(parse(b"16"), Some(Code::Unauthenticated));
    }

    #[test]
    fn a_value_that_is_no_code_is_unknown() {
        for value in [
            &b"17"[..],
            b"-1",
            b"",
            b"OK",
            b"\xff",
            b"99999999999999999999999",
        ] {
            assert_eq!(parse(value), Some(Code::Unknown), "{value:?}");
        }
        assert_eq!(Code::from_headers(&HeaderMap::new()), None);
    }
}
