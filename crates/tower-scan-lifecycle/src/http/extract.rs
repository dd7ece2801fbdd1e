use std::{error::Error, fmt};

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};

use crate::CurrentScan;

/// There is no scan: the layer is not there, or does not know the route as one of scans. As a response it
/// is `500`: the server is put together wrongly.
#[derive(Debug)]
#[non_exhaustive]
pub struct NoScan;

impl fmt::Display for NoScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this request has no scan: add a HttpScanLayer that knows its route")
    }
}

impl Error for NoScan {}

impl IntoResponse for NoScan {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for CurrentScan {
    type Rejection = NoScan;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NoScan> {
        parts.extensions.get().cloned().ok_or(NoScan)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for CurrentScan {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        Ok(parts.extensions.get().cloned())
    }
}
