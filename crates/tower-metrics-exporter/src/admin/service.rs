use std::{
    convert::Infallible,
    fmt,
    future::{Future, Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::WWW_AUTHENTICATE};
use http_body::Body;
use tokio::{sync::watch, time::Instant};
use tower_service::Service;

use super::{
    Credentials,
    credentials::Verdict,
    hosts::{HostError, Hosts},
    metrics::{AdminMetrics, Refused},
};
use crate::{
    Exporter, HealthService, MetricsBody, MetricsService, RouteBody, health::is_probe,
    service::plain,
};

/// What a process says of itself to those who run it: metrics and health, and what is added, for whom may ask.
///
/// ```
/// use http::{Request, StatusCode};
/// use tower::ServiceExt as _;
/// use tower_metrics_exporter::{AdminService, Credentials, Exporter, HealthHandle};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let exporter = Exporter::builder().build()?;
/// let health = HealthHandle::builder().recorder(exporter.recorder()).build();
/// let admin = AdminService::new(&exporter)
///     .health(health.service())
///     .credentials(Credentials::bearer("4hF8sYc0")?);
///
/// for (path, token, status) in [
///     ("/metrics", "Bearer 4hF8sYc0", StatusCode::OK),
///     ("/metrics", "Bearer guess", StatusCode::UNAUTHORIZED),
///     ("/readyz", "", StatusCode::OK),
/// ] {
///     let request = Request::builder().uri(path).header("host", "localhost");
///     let request = request.header("authorization", token).body(())?;
///     let Ok(response) = admin.clone().oneshot(request).await;
///     assert_eq!(response.status(), status);
/// }
/// # Ok(())
/// # }
/// ```
///
/// It composes into any hyper, axum or tonic service; [`AdminServer`](crate::AdminServer) is a listener of its own
/// for it.
///
/// # Answers
///
/// | path | who may ask | |
/// |---|---|---|
/// | `/metrics` | whoever has [credentials](Self::credentials), if there are any | as [`MetricsService`] |
/// | `/livez`, `/readyz`, `/startupz`, `/healthz` | anybody, as a kubelet has no credentials to give, unless [told otherwise](Self::guard_probes) | as [`HealthService`]; why a check failed is told only to who has credentials |
/// | all others | only who has credentials: nobody, if there are none | the [fallback](Self::fallback)'s answer, or 404 |
///
/// Paths are taken as they are: `//metrics`, `/metrics/` and `/%6detrics` are others.
///
/// | status | when |
/// |---|---|
/// | 400 | no `Host`, more than one, or one that is none |
/// | 401 | no credentials, or wrong ones, with a challenge for each scheme that there is |
/// | 421 | `Host`, or the target, names somebody else: see [`allow_host`](Self::allow_host) |
///
/// These are counted in `exporter_admin_refused_total{reason}`: `host`, `missing_credentials`,
/// `wrong_credentials`.
#[derive(Clone)]
pub struct AdminService<S = NotFound> {
    metrics: MetricsService,
    health: Option<HealthService>,
    hosts: Hosts,
    credentials: Option<Credentials>,
    guards_probes: bool,
    own: Arc<AdminMetrics>,
    scraped: watch::Sender<Option<Instant>>,
    fallback: S,
}

impl AdminService {
    /// Shows the metrics of this exporter.
    pub fn new(exporter: &Exporter) -> Self {
        Self {
            metrics: exporter.service(),
            health: None,
            hosts: Hosts::Named(Vec::new()),
            credentials: None,
            guards_probes: false,
            own: Arc::new(AdminMetrics::new(&exporter.recorder())),
            scraped: watch::Sender::default(),
            fallback: NotFound,
        }
    }
}

impl<S> AdminService<S> {
    /// Answers scrapes by this service: with other limits, or of another source.
    #[must_use]
    pub fn metrics(mut self, metrics: MetricsService) -> Self {
        self.metrics = metrics;
        self
    }

    /// Answers probes by this service. Without, there are no probes.
    #[must_use]
    pub fn health(mut self, health: HealthService) -> Self {
        self.health = Some(health);
        self
    }

    /// Answers only who has these, but for probes. Without, metrics are everybody's: then something else has to keep
    /// out who is not to see them, such as an address that only Prometheus reaches.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Asks for credentials before probes, too.
    #[must_use]
    pub const fn guard_probes(mut self) -> Self {
        self.guards_probes = true;
        self
    }

    /// Answers to this name, too, without a port: may be called for each. Addresses and `localhost` are always
    /// answered to, and no other name, so that no page in a browser gets at what listens on loopback by a name of
    /// its own that points there.
    #[must_use]
    pub fn allow_host(mut self, name: impl Into<String>) -> Self {
        if let Hosts::Named(names) = &mut self.hosts {
            names.push(name.into());
        }
        self
    }

    /// Answers to any name, as behind something that has looked at it.
    #[must_use]
    pub fn allow_any_host(mut self) -> Self {
        self.hosts = Hosts::Any;
        self
    }

    /// Answers other paths by this service, for whom has credentials. Without credentials nobody gets there.
    #[must_use]
    pub fn fallback<T>(self, fallback: T) -> AdminService<T> {
        AdminService {
            metrics: self.metrics,
            health: self.health,
            hosts: self.hosts,
            credentials: self.credentials,
            guards_probes: self.guards_probes,
            own: self.own,
            scraped: self.scraped,
            fallback,
        }
    }

    /// When that scrape began which was answered last with a page, by this or a clone.
    pub(crate) fn scraped(&self) -> watch::Receiver<Option<Instant>> {
        self.scraped.subscribe()
    }

    fn refusal_of_host<B>(&self, request: &Request<B>) -> Option<Response<MetricsBody>> {
        let error = self.hosts.check(request).err()?;
        self.own.refused(Refused::Host);
        Some(match error {
            HostError::Malformed => {
                let text = "one Host is needed, and has to be one";
                plain(StatusCode::BAD_REQUEST, text, false)
            }
            HostError::Foreign => {
                let text = "this server does not go by that name; it can be allowed";
                plain(StatusCode::MISDIRECTED_REQUEST, text, false)
            }
        })
    }

    fn unauthorized(&self, why: Refused) -> Response<MetricsBody> {
        self.own.refused(why);
        let text = "credentials are needed";
        let mut response = plain(StatusCode::UNAUTHORIZED, text, false);
        for challenge in self.credentials.iter().flat_map(Credentials::challenges) {
            response.headers_mut().append(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Metrics,
    Probe,
    Fallback,
}

impl<S, A, B> Service<Request<A>> for AdminService<S>
where
    S: Service<Request<A>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    A: Send + 'static,
    B: Body + 'static,
    B::Data: From<Bytes>,
{
    type Response = Response<RouteBody<B>>;
    type Error = S::Error;
    type Future = AdminFuture<B, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.fallback.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let fallback = self.fallback.clone();
        let mut this = self.clone();
        // The one that is ready.
        this.fallback = std::mem::replace(&mut self.fallback, fallback);
        AdminFuture {
            response: Box::pin(this.answer(request)),
        }
    }
}

impl<S> AdminService<S> {
    async fn answer<A, B>(mut self, request: Request<A>) -> Result<Response<RouteBody<B>>, S::Error>
    where
        S: Service<Request<A>, Response = Response<B>>,
    {
        let ours = |response: Response<MetricsBody>| Ok(response.map(RouteBody::metrics));
        if let Some(refusal) = self.refusal_of_host(&request) {
            return ours(refusal);
        }
        let verdict = match &self.credentials {
            Some(credentials) => Some(credentials.check(request.headers()).await),
            None => None,
        };
        let path = request.uri().path();
        let route = match &self.health {
            _ if path == "/metrics" => Route::Metrics,
            Some(_) if is_probe(path) => Route::Probe,
            _ => Route::Fallback,
        };
        let is_open = route == Route::Probe && !self.guards_probes;
        match (verdict, route) {
            (Some(Verdict::Missing), _) if !is_open => {
                return ours(self.unauthorized(Refused::MissingCredentials));
            }
            (Some(Verdict::Wrong), _) if !is_open => {
                return ours(self.unauthorized(Refused::WrongCredentials));
            }
            (None, Route::Fallback) => return ours(not_found()),
            _ => {}
        }
        match (route, self.health) {
            (Route::Metrics, _) => {
                let begun = Some(Instant::now());
                let Ok(response) = self.metrics.call(request).await;
                if response.status() == StatusCode::OK {
                    self.scraped.send_modify(|last| *last = begun.max(*last));
                }
                ours(response)
            }
            (Route::Probe, Some(health)) => {
                let mut health = match verdict {
                    Some(Verdict::Admitted) => health.reasons(true),
                    _ => health,
                };
                let Ok(response) = health.call(request).await;
                ours(response)
            }
            _ => {
                let response = self.fallback.call(request).await?;
                Ok(response.map(RouteBody::inner))
            }
        }
    }
}

// By hand: a fallback need not be `Debug`.
impl<S> fmt::Debug for AdminService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminService")
            .field("metrics", &self.metrics)
            .field("health", &self.health)
            .field("hosts", &self.hosts)
            .field("credentials", &self.credentials)
            .field("guards_probes", &self.guards_probes)
            .finish_non_exhaustive()
    }
}

/// The response future of an [`AdminService`].
#[must_use = "futures do nothing unless polled"]
pub struct AdminFuture<B, E> {
    response: Pin<Box<dyn Future<Output = Result<Response<RouteBody<B>>, E>> + Send>>,
}

impl<B, E> Future for AdminFuture<B, E> {
    type Output = Result<Response<RouteBody<B>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.response.as_mut().poll(cx)
    }
}

impl<B, E> fmt::Debug for AdminFuture<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminFuture").finish_non_exhaustive()
    }
}

/// Answers 404: what an [`AdminService`] has for other paths unless it is [given
/// something](AdminService::fallback).
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NotFound;

impl<A> Service<Request<A>> for NotFound {
    type Response = Response<MetricsBody>;
    type Error = Infallible;
    type Future = Ready<Result<Response<MetricsBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<A>) -> Self::Future {
        ready(Ok(not_found()))
    }
}

fn not_found() -> Response<MetricsBody> {
    plain(StatusCode::NOT_FOUND, "there is nothing here", false)
}
