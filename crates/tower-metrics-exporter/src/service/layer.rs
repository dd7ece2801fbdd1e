use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{MetricsService, RouteBody, RouteFuture};

/// Answers scrapes on one path in front of a service that has no router, or whose router is not asked:
/// tonic's, or any tower service.
///
/// Only that very path is answered, without regard to what follows a `?`; everything else passes
/// through untouched, with its body and its errors. The data of the inner body must be had from
/// [`Bytes`], as those of hyper, axum and tonic are `Bytes`. Readiness is the inner service's: where that
/// is full, a scrape waits, too, so the layer belongs outside of what limits or sheds load.
///
/// tonic: `Server::builder().accept_http1(true).layer(layer)`, as Prometheus scrapes by HTTP/1.
///
/// ```
/// use std::convert::Infallible;
///
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::{BodyExt as _, Full};
/// use tower::{Layer as _, ServiceExt as _, service_fn};
/// use tower_metrics_exporter::{Filter, Format, MetricsLayer, MetricsService, Source};
///
/// # struct Up;
/// # impl Source for Up {
/// #     fn formats(&self) -> &[Format] { &[Format::Text] }
/// #     fn encode(&self, _: Format, _: &Filter, page: &mut Vec<u8>) { page.extend(b"up 1\n"); }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let inner = service_fn(|_: Request<()>| async {
///     Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello"))))
/// });
/// let service = MetricsLayer::new(MetricsService::new(Up)).layer(inner);
///
/// for (path, answer) in [("/metrics", "up 1\n"), ("/metrics/", "hello"), ("/", "hello")] {
///     let request = Request::builder().uri(path).body(()).unwrap();
///     let response = service.clone().oneshot(request).await.unwrap();
///     assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), answer);
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MetricsLayer {
    metrics: MetricsService,
    path: Arc<str>,
}

impl MetricsLayer {
    /// Answers by this service.
    pub fn new(metrics: MetricsService) -> Self {
        Self {
            metrics,
            path: Arc::from("/metrics"),
        }
    }

    /// Answers on this path, which begins with a `/`. Default: `/metrics`.
    #[must_use]
    pub fn path(mut self, path: impl Into<Arc<str>>) -> Self {
        self.path = path.into();
        self
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = RouteService<S>;

    fn layer(&self, inner: S) -> RouteService<S> {
        RouteService {
            inner,
            metrics: self.metrics.clone(),
            path: Arc::clone(&self.path),
        }
    }
}

/// A service with metrics on one path. Made by a [`MetricsLayer`].
#[derive(Clone, Debug)]
pub struct RouteService<S> {
    inner: S,
    metrics: MetricsService,
    path: Arc<str>,
}

impl<S, A, B> Service<Request<A>> for RouteService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Body,
    B::Data: From<Bytes>,
{
    type Response = Response<RouteBody<B>>;
    type Error = S::Error;
    type Future = RouteFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        if request.uri().path() == &*self.path {
            RouteFuture::metrics(self.metrics.call(request))
        } else {
            RouteFuture::inner(self.inner.call(request))
        }
    }
}
