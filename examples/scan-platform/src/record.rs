//! A scan as clients and the database see it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::{
    assess::Drift,
    scan::{Finding, ScanType, Severities},
};

/// Where a scan stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScanStatus {
    /// It waits for its turn.
    Queued,
    /// It runs.
    InProgress,
    /// It ran to its end; `passed` says what the policy made of it.
    Completed,
    /// It gave an error, which `error` tells.
    Failed,
    /// It took longer than its type may.
    TimedOut,
    /// The client went away, or the process stopped.
    Cancelled,
}

impl ScanStatus {
    /// The word that clients and the database see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the scan will not change any more.
    pub const fn is_end(self) -> bool {
        !matches!(self, Self::Queued | Self::InProgress)
    }
}

/// Why a scan, or a request, failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable code.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// A scan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScanRecord {
    /// A UUID, later ones greater.
    pub id: String,
    /// Which scanner ran.
    #[serde(rename = "type")]
    pub scan_type: ScanType,
    /// Where the scan stands.
    pub status: ScanStatus,
    /// Whether the policy let it pass; `null` unless the scan completed.
    pub passed: Option<bool>,
    /// How many findings there are of each severity.
    pub severities: Severities,
    /// What was found, the most severe first.
    pub findings: Vec<Finding>,
    /// How the findings differ from the target's baseline; `null` unless the scan completed and the
    /// target has one.
    #[serde(default)]
    pub drift: Option<Drift>,
    /// What was scanned, relative to the scan root.
    pub path: String,
    /// When the scan was asked for: RFC 3339, UTC.
    #[serde(with = "rfc3339")]
    pub created_at: SystemTime,
    /// Why the scan has no findings. Absent unless it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

impl ScanRecord {
    /// A scan that waits from now on.
    pub fn queued(scan_type: ScanType, path: &str) -> Self {
        Self {
            status: ScanStatus::Queued,
            ..Self::start(scan_type, path)
        }
    }

    /// A scan that starts now.
    pub fn start(scan_type: ScanType, path: &str) -> Self {
        Self {
            id: uuid::Uuid::now_v7().to_string(),
            scan_type,
            status: ScanStatus::InProgress,
            passed: None,
            severities: Severities::default(),
            findings: Vec::new(),
            drift: None,
            path: path.to_owned(),
            created_at: SystemTime::now(),
            error: None,
        }
    }
}

mod rfc3339 {
    use std::time::SystemTime;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(at: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_rfc3339_millis(*at))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_rfc3339(&text).map_err(D::Error::custom)
    }
}
