//! What a response says of a scan whose handler did not.

use http::StatusCode;
use tower_observe::grpc::Code;

use crate::{Failure, FailureReason, Outcome, RejectReason, ScanReport};

pub(super) fn of_status(status: StatusCode) -> Outcome {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Outcome::TimedOut,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Outcome::Rejected(RejectReason::Forbidden)
        }
        StatusCode::TOO_MANY_REQUESTS => Outcome::Rejected(RejectReason::RateLimited),
        status if status.is_success() => Outcome::Completed(ScanReport::new()),
        status if status.is_server_error() => failed(format!("answered {}", status.as_u16())),
        _ => Outcome::Rejected(RejectReason::Invalid),
    }
}

pub(super) fn of_code(code: Code) -> Outcome {
    match code {
        Code::Ok => Outcome::Completed(ScanReport::new()),
        Code::Cancelled => Outcome::Cancelled,
        Code::DeadlineExceeded => Outcome::TimedOut,
        Code::PermissionDenied | Code::Unauthenticated => {
            Outcome::Rejected(RejectReason::Forbidden)
        }
        Code::ResourceExhausted => Outcome::Rejected(RejectReason::RateLimited),
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented => Outcome::Rejected(RejectReason::Invalid),
        Code::Unknown | Code::Aborted | Code::Internal | Code::Unavailable | Code::DataLoss => {
            failed(format!("answered {code}"))
        }
    }
}

fn failed(why: String) -> Outcome {
    Outcome::Failed(Failure::new(FailureReason::Error).message(why))
}
