//! Errors as clients see them: `{"error": {"code", "message"}}`.

use axum::{
    Json,
    extract::rejection::{JsonRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header::WWW_AUTHENTICATE},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{auth::Refusal, platform::AskError, record::Failure, scan::TargetError};

/// An error that a client gets.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    failure: Failure,
}

impl ApiError {
    /// An error with this status, code and sentence.
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            failure: Failure {
                code: code.to_owned(),
                message: message.into(),
            },
        }
    }
}

#[derive(Serialize)]
struct Body {
    error: Failure,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Json(Body {
            error: self.failure,
        });
        let mut response = (self.status, body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let how = HeaderValue::from_static("ApiKey header=\"X-API-Key\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, how);
        }
        response
    }
}

impl From<TargetError> for ApiError {
    fn from(error: TargetError) -> Self {
        let status = match &error {
            TargetError::Invalid { .. } => StatusCode::BAD_REQUEST,
            TargetError::OutsideRoot { .. } => StatusCode::FORBIDDEN,
            TargetError::NotFound { .. } => StatusCode::NOT_FOUND,
            TargetError::NotScannable { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            TargetError::Io { .. } => return anyhow::Error::new(error).into(),
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl From<AskError> for ApiError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Target(error) => error.into(),
            AskError::QueueFull => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "queue_full",
                "too many scans wait already: ask again later",
            ),
            AskError::Platform(error) => error.into(),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Missing | Refusal::Expired => StatusCode::UNAUTHORIZED,
            Refusal::Invalid | Refusal::Revoked | Refusal::Forbidden => StatusCode::FORBIDDEN,
        };
        Self::new(status, refusal.code(), refusal.to_string())
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), "bad_request", rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), "bad_request", rejection.body_text())
    }
}

/// The platform itself failed. The cause goes to the log, not to the client.
impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!(
            error = error.as_ref() as &dyn std::error::Error,
            "request failed"
        );
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the platform failed; its log says why, under this request's x-request-id",
        )
    }
}
