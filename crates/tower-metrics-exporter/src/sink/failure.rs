use std::{error::Error, fmt, time::Duration};

/// A sink cannot be made or started of what was given.
///
/// The text is for people, and names what was given and what would be right; its wording may change.
#[derive(Debug)]
pub struct SinkError {
    text: String,
}

impl SinkError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for SinkError {}

/// An attempt failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: Reason,
    /// Whether the next may not.
    pub(super) retry: Retry,
    pub(super) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    Never,
    /// When the time has come.
    Later,
    /// The server says when.
    After(Duration),
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// There is no answer: no address, no connection, or it broke.
    Network,
    /// There was none in time.
    Timeout,
    /// The server has enough for now.
    Throttled,
    /// The server has a fault.
    Server,
    /// The server does not take this.
    Refused,
    /// The file with the credentials cannot be read.
    Credentials,
}

impl Reason {
    pub(super) const ALL: [Self; 6] = [
        Self::Network,
        Self::Timeout,
        Self::Throttled,
        Self::Server,
        Self::Refused,
        Self::Credentials,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::Throttled => "throttled",
            Self::Server => "server",
            Self::Refused => "refused",
            Self::Credentials => "credentials",
        }
    }
}

impl Failure {
    pub(super) fn timeout(after: Duration) -> Self {
        Self {
            reason: Reason::Timeout,
            retry: Retry::Later,
            text: format!("no answer within {after:?}"),
        }
    }
}

/// An error, and what it comes from.
#[cfg(feature = "_http")]
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}
