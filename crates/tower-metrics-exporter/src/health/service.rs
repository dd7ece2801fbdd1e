use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Method, Request, Response, StatusCode};
use tower_service::Service;

use super::{
    HealthHandle, Probe,
    page::{Options, page},
};
use crate::{
    MetricsBody,
    service::{method_not_allowed, plain},
};

/// Answers probes over HTTP, on these very paths.
///
/// | path | probe |
/// |---|---|
/// | `/startupz` | [`Probe::Startup`] |
/// | `/livez` | [`Probe::Live`] |
/// | `/readyz`, and `/healthz` for what knows only that | [`Probe::Ready`] |
///
/// `GET` and `HEAD` get 200 and `ok`, or 503 and what each check said. `?verbose` tells that in any case,
/// `?exclude=NAME`, which may be repeated, leaves a check out. Why a check failed is in the log; a page has it
/// only if [asked to](Self::reasons), as whoever can reach a probe can read it.
///
/// ```text
/// [+]engines ok
/// [-]database failed: reason withheld
/// [+]shutdown ok
/// readyz check failed
/// ```
#[derive(Clone, Debug)]
pub struct HealthService {
    health: HealthHandle,
    has_reasons: bool,
}

impl HealthService {
    pub(super) const fn new(health: HealthHandle) -> Self {
        Self {
            health,
            has_reasons: false,
        }
    }

    /// Whether pages tell why a check failed. Default: no.
    #[must_use]
    pub const fn reasons(mut self, on: bool) -> Self {
        self.has_reasons = on;
        self
    }
}

/// Whether this path is one of a probe.
#[cfg(feature = "admin")]
pub(crate) fn is_probe(path: &str) -> bool {
    probe(path).is_some()
}

fn probe(path: &str) -> Option<(&'static str, Probe)> {
    match path {
        "/startupz" => Some(("startupz", Probe::Startup)),
        "/livez" => Some(("livez", Probe::Live)),
        "/readyz" => Some(("readyz", Probe::Ready)),
        "/healthz" => Some(("healthz", Probe::Ready)),
        _ => None,
    }
}

impl<B> Service<Request<B>> for HealthService {
    type Response = Response<MetricsBody>;
    type Error = Infallible;
    type Future = HealthFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> HealthFuture {
        let is_head = *request.method() == Method::HEAD;
        let Some((name, probe)) = probe(request.uri().path()) else {
            let text = "probes are /startupz, /livez, /readyz and /healthz";
            return HealthFuture::done(plain(StatusCode::NOT_FOUND, text, is_head));
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return HealthFuture::done(method_not_allowed());
        }
        let options = Options::of(request.uri().query());
        let Self {
            health,
            has_reasons,
        } = self.clone();
        HealthFuture::new(async move {
            let (status, text) = page(&health, name, probe, &options, has_reasons).await;
            plain(status, &text, is_head)
        })
    }
}

/// The response future of a [`HealthService`].
#[must_use = "futures do nothing unless polled"]
pub struct HealthFuture {
    response: Pin<Box<dyn Future<Output = Response<MetricsBody>> + Send>>,
}

impl HealthFuture {
    fn new(response: impl Future<Output = Response<MetricsBody>> + Send + 'static) -> Self {
        Self {
            response: Box::pin(response),
        }
    }

    fn done(response: Response<MetricsBody>) -> Self {
        Self::new(std::future::ready(response))
    }
}

impl Future for HealthFuture {
    type Output = Result<Response<MetricsBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.response.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for HealthFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthFuture").finish_non_exhaustive()
    }
}
