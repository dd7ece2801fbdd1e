use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE},
};
use tower_service::Service;

use crate::{Exporter, MetricsBody};

/// The content type of Prometheus' text format. Prometheus 3 fails a scrape without a known one.
const TEXT_0_0_4: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Answers a scrape. Made by [`Exporter::service`].
///
/// `GET` and `HEAD` are answered on every path, so that the router decides where the service stands;
/// other methods get `405` with `Allow`. It never fails and is always ready.
#[derive(Clone, Debug)]
pub struct MetricsService {
    exporter: Exporter,
}

impl MetricsService {
    pub(crate) const fn new(exporter: Exporter) -> Self {
        Self { exporter }
    }

    fn answer(&self, method: &Method) -> Response<MetricsBody> {
        if *method != Method::GET && *method != Method::HEAD {
            let mut response = Response::new(MetricsBody::default());
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let page = Bytes::from(self.exporter.render());
        let length = HeaderValue::from(page.len());
        // The head that `GET` would have. Not every server strips the body of an answer to `HEAD`.
        let body = if *method == Method::HEAD {
            Bytes::new()
        } else {
            page
        };
        let mut response = Response::new(MetricsBody::new(body));
        response.headers_mut().insert(CONTENT_LENGTH, length);
        response.headers_mut().insert(CONTENT_TYPE, TEXT_0_0_4);
        response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl<B> Service<Request<B>> for MetricsService {
    type Response = Response<MetricsBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request.method())))
    }
}
