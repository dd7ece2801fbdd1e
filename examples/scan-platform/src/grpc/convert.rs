//! Between what the platform says and what the `.proto` has for it.

use std::time::{SystemTime, UNIX_EPOCH};

use tonic::Status;

use super::proto;
use crate::{
    assess::Drift,
    auth::Refusal,
    platform::AskError,
    record::{Failure, ScanRecord, ScanStatus},
    scan::{Finding, ScanType, Severities, Severity, TargetError},
};

/// The error that a client gets.
pub(super) fn status(error: AskError) -> Status {
    match error {
        AskError::Target(TargetError::Io { .. }) | AskError::Platform(_) => internal(error.into()),
        AskError::QueueFull => {
            Status::resource_exhausted("too many scans wait already: ask again later")
        }
        AskError::Target(error) => {
            let message = error.to_string();
            match error {
                TargetError::OutsideRoot { .. } => Status::permission_denied(message),
                TargetError::NotFound { .. } => Status::not_found(message),
                TargetError::NotScannable { .. } => Status::failed_precondition(message),
                _ => Status::invalid_argument(message),
            }
        }
    }
}

/// The error of a request whose API key is not let through.
pub(super) fn refused(refusal: Refusal) -> Status {
    match refusal {
        Refusal::Forbidden => Status::permission_denied(refusal.to_string()),
        _ => Status::unauthenticated(refusal.to_string()),
    }
}

/// The platform itself failed. The cause goes to the log, not to the client.
fn internal(error: anyhow::Error) -> Status {
    tracing::error!(
        error = error.as_ref() as &dyn std::error::Error,
        "request failed"
    );
    Status::internal("the platform failed; its log says why, under this request's x-request-id")
}

/// There is no scan of that id, which is not repeated: it may be longer than a header.
pub(super) fn absent() -> Status {
    Status::not_found("there is no scan of this id")
}

pub(super) fn scan_type(request: &proto::ScanRequest) -> Result<ScanType, Status> {
    match request.r#type() {
        proto::ScanType::Mcp => Ok(ScanType::Mcp),
        proto::ScanType::Model => Ok(ScanType::Model),
        proto::ScanType::Unspecified => Err(Status::invalid_argument(
            "there is no such type of scan: give SCAN_TYPE_MCP or SCAN_TYPE_MODEL",
        )),
    }
}

impl From<ScanRecord> for proto::Scan {
    fn from(scan: ScanRecord) -> Self {
        let scan_type = match scan.scan_type {
            ScanType::Mcp => proto::ScanType::Mcp,
            ScanType::Model => proto::ScanType::Model,
        };
        Self {
            id: scan.id,
            r#type: scan_type.into(),
            status: proto::Status::from(scan.status).into(),
            passed: scan.passed,
            severities: Some(scan.severities.into()),
            findings: scan.findings.into_iter().map(Into::into).collect(),
            path: scan.path,
            created_at: Some(timestamp(scan.created_at)),
            error: scan.error.map(Into::into),
            drift: scan.drift.map(Into::into),
        }
    }
}

impl From<ScanRecord> for proto::ScanStatus {
    fn from(scan: ScanRecord) -> Self {
        Self {
            id: scan.id,
            status: proto::Status::from(scan.status).into(),
            passed: scan.passed,
        }
    }
}

impl From<ScanStatus> for proto::Status {
    fn from(status: ScanStatus) -> Self {
        match status {
            ScanStatus::Queued => Self::Queued,
            ScanStatus::InProgress => Self::InProgress,
            ScanStatus::Completed => Self::Completed,
            ScanStatus::Failed => Self::Failed,
            ScanStatus::TimedOut => Self::TimedOut,
            ScanStatus::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Severities> for proto::Severities {
    fn from(found: Severities) -> Self {
        Self {
            critical: found.critical,
            high: found.high,
            medium: found.medium,
            low: found.low,
            info: found.info,
        }
    }
}

impl From<Finding> for proto::Finding {
    fn from(finding: Finding) -> Self {
        let severity = match finding.severity {
            Severity::Info => proto::Severity::Info,
            Severity::Low => proto::Severity::Low,
            Severity::Medium => proto::Severity::Medium,
            Severity::High => proto::Severity::High,
            Severity::Critical => proto::Severity::Critical,
        };
        Self {
            severity: severity.into(),
            rule: finding.rule.into_owned(),
            message: finding.message,
            location: finding.location,
        }
    }
}

impl From<Failure> for proto::Failure {
    fn from(failure: Failure) -> Self {
        Self {
            code: failure.code,
            message: failure.message,
        }
    }
}

impl From<Drift> for proto::Drift {
    fn from(drift: Drift) -> Self {
        Self {
            baseline: drift.baseline,
            added: drift.added,
            removed: drift.removed,
        }
    }
}

/// In milliseconds, as the database has it: a scan says the same whenever it is read.
fn timestamp(at: SystemTime) -> prost_types::Timestamp {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    prost_types::Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_millis() * 1_000_000).unwrap_or_default(),
    }
}
