use std::time::SystemTime;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, VARY,
    },
};

use super::{
    body::MetricsBody,
    gate::{Outcome, Page},
    metrics::Scrape,
    refusal::Refusal,
};
use crate::Format;

const PROCESS_START: HeaderName = HeaderName::from_static("process-start-time-unix");

/// Makes the one response to a scrape, and counts it.
#[derive(Debug)]
pub(super) struct Reply {
    scrape: Scrape,
    is_head: bool,
    process_start: Option<SystemTime>,
}

impl Reply {
    pub(super) const fn new(
        scrape: Scrape,
        is_head: bool,
        process_start: Option<SystemTime>,
    ) -> Self {
        Self {
            scrape,
            is_head,
            process_start,
        }
    }

    pub(super) fn outcome(self, format: Format, outcome: Outcome) -> Response<MetricsBody> {
        match outcome {
            Ok(page) => self.page(format, page),
            Err(refusal) => self.refusal(&refusal),
        }
    }

    fn page(self, format: Format, page: Page) -> Response<MetricsBody> {
        let mut response = self.response(StatusCode::OK, format.header_value(), page.bytes);
        if let Some(encoding) = page.encoding.header_value() {
            response.headers_mut().insert(CONTENT_ENCODING, encoding);
        }
        response
    }

    pub(super) fn refusal(self, refusal: &Refusal) -> Response<MetricsBody> {
        let text = Bytes::from(format!("{refusal}\n"));
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        let mut response = self.response(refusal.status(), plain, text);
        let headers = response.headers_mut();
        match refusal {
            Refusal::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            Refusal::Busy { .. } | Refusal::Held { .. } => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }

    fn response(
        self,
        status: StatusCode,
        content_type: HeaderValue,
        body: Bytes,
    ) -> Response<MetricsBody> {
        self.scrape.answered(status);
        let length = HeaderValue::from(body.len());
        // Not every server strips the body of an answer to `HEAD`.
        let body = if self.is_head { Bytes::new() } else { body };
        let mut response = Response::new(MetricsBody::new(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(CONTENT_LENGTH, length);
        headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let since_epoch = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).ok();
        if let Some(start) = self.process_start.and_then(since_epoch) {
            // Whole seconds, as Prometheus' client for Go writes it.
            headers.insert(PROCESS_START, HeaderValue::from(start.as_secs()));
        }
        response
    }
}
