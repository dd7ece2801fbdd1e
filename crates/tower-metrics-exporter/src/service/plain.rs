//! Answers that are a line or two of text for people.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};

use super::MetricsBody;

pub(crate) fn plain(status: StatusCode, text: &str, is_head: bool) -> Response<MetricsBody> {
    let body = Bytes::from(format!("{text}\n"));
    let length = HeaderValue::from(body.len());
    // Not every server strips the body of an answer to `HEAD`.
    let body = if is_head { Bytes::new() } else { body };
    let mut response = Response::new(MetricsBody::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, text);
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

pub(crate) fn method_not_allowed() -> Response<MetricsBody> {
    let text = "probes are asked by GET or HEAD";
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, text, false);
    let allow = HeaderValue::from_static("GET, HEAD");
    response.headers_mut().insert(ALLOW, allow);
    response
}
