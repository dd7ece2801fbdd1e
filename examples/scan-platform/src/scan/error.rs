//! Why a scan has no findings to give.

use std::fmt;
use std::io;

/// Why a scan has no findings to give. Findings made before the failure are never traded for one of these.
#[derive(Debug)]
pub enum ScanError {
    /// Not something this scan type can judge.
    Unparseable {
        /// The file, relative to the root.
        path: String,
        /// What is wrong with it, or what was looked for.
        reason: String,
    },
    /// Beyond one of the [`Limits`](super::Limits).
    TooLarge {
        /// The file, relative to the root.
        path: String,
        /// Name of the field in [`Limits`](super::Limits).
        limit: &'static str,
        /// That field's value.
        allowed: u64,
    },
    /// The caller's cancel flag was set.
    Cancelled,
    /// The file could not be read.
    Io {
        /// The file, relative to the root.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

impl ScanError {
    /// A stable code: `unparseable`, `too_large`, `cancelled` or `io`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unparseable { .. } => "unparseable",
            Self::TooLarge { .. } => "too_large",
            Self::Cancelled => "cancelled",
            Self::Io { .. } => "io",
        }
    }

    pub(super) fn unparseable(path: &str, reason: impl Into<String>) -> Self {
        Self::Unparseable {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    pub(super) fn too_large(path: &str, limit: &'static str, allowed: u64) -> Self {
        Self::TooLarge {
            path: path.to_owned(),
            limit,
            allowed,
        }
    }

    /// A failed read, unless it failed because the scan was cancelled.
    pub(super) fn io(path: &str, source: io::Error) -> Self {
        if super::source::is_cancelled(&source) {
            return Self::Cancelled;
        }
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unparseable { path, reason } => write!(f, "cannot scan {path:?}: {reason}"),
            Self::TooLarge {
                path,
                limit,
                allowed,
            } => {
                write!(
                    f,
                    "cannot scan {path:?}: it exceeds {limit} = {allowed}; raise that limit to scan it"
                )
            }
            Self::Cancelled => f.write_str("the scan was cancelled"),
            Self::Io { path, .. } => write!(
                f,
                "cannot read {path:?}: check that it still exists and is readable"
            ),
        }
    }
}

impl std::error::Error for ScanError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Unparseable { .. } | Self::TooLarge { .. } | Self::Cancelled => None,
        }
    }
}
