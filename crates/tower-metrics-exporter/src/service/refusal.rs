use std::{fmt, time::Duration};

use http::StatusCode;

use crate::Format;

/// Why a scrape gets no page. What it is told is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Method,
    LongName {
        at_most: usize,
    },
    ManyNames {
        at_most: usize,
    },
    NoFormat {
        offered: Vec<Format>,
    },
    NoEncoding,
    Busy {
        renders: usize,
    },
    /// Slow readers hold as many pages as there may be.
    Held {
        pages: usize,
    },
    Late {
        after: Duration,
    },
    Panicked,
    /// The runtime is shutting down.
    Abandoned,
}

impl Refusal {
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::LongName { .. } | Self::ManyNames { .. } => StatusCode::BAD_REQUEST,
            Self::NoFormat { .. } | Self::NoEncoding => StatusCode::NOT_ACCEPTABLE,
            Self::Busy { .. } | Self::Held { .. } | Self::Late { .. } | Self::Abandoned => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method => f.write_str("metrics are had by GET or HEAD"),
            Self::LongName { at_most } => {
                write!(f, "a name[] is longer than {at_most} bytes")
            }
            Self::ManyNames { at_most } => write!(f, "there are more than {at_most} name[]"),
            Self::NoFormat { offered } => {
                f.write_str("no format is acceptable; on offer:")?;
                for format in offered {
                    write!(f, "\n{}", format.content_type())?;
                }
                Ok(())
            }
            Self::NoEncoding => f.write_str("no content coding is acceptable, not even identity"),
            Self::Busy { renders } => {
                write!(
                    f,
                    "{renders} other pages are being rendered; try again later"
                )
            }
            Self::Held { pages } => {
                write!(
                    f,
                    "{pages} other pages are still being read; try again later"
                )
            }
            Self::Late { after } => write!(f, "the page was not ready within {after:?}"),
            Self::Panicked => f.write_str("the source of the metrics panicked"),
            Self::Abandoned => f.write_str("the page was given up, as on shutdown"),
        }
    }
}
