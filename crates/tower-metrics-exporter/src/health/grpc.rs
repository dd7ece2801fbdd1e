use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio_stream::{Stream, wrappers::WatchStream};
use tonic::{Request, Response, Status, async_trait};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
};

use super::{HealthHandle, Probe, handle};

/// `grpc.health.v1.Health` of a [`HealthHandle`]; see [`HealthHandle::grpc`].
#[derive(Clone, Debug)]
pub struct GrpcHealth {
    health: HealthHandle,
    services: Arc<[String]>,
}

impl HealthHandle {
    /// Readiness for gRPC clients: `grpc.health.v1.Health` says `SERVING` of the server as a whole, and of
    /// these services, while the probe passes.
    ///
    /// `Check` asks the checks as a probe does. `Watch` tells of changes as they are known, which is when
    /// somebody asks: see [`keep_asking`](Self::keep_asking). [Shutting down](Self::shut_down), it says
    /// `NOT_SERVING`, and ends its streams, as they would else hold up the server's end.
    ///
    /// ```no_run
    /// # use tower_metrics_exporter::HealthHandle;
    /// # async fn serve(health: HealthHandle) -> Result<(), tonic::transport::Error> {
    /// tonic::transport::Server::builder()
    ///     .add_service(health.grpc(["shop.v1.Orders"]))
    ///     .serve("127.0.0.1:50051".parse().unwrap())
    ///     .await
    /// # }
    /// ```
    pub fn grpc<N: Into<String>>(
        &self,
        services: impl IntoIterator<Item = N>,
    ) -> HealthServer<GrpcHealth> {
        HealthServer::new(GrpcHealth {
            health: self.clone(),
            services: services.into_iter().map(Into::into).collect(),
        })
    }
}

impl GrpcHealth {
    fn knows(&self, service: &str) -> bool {
        service.is_empty() || self.services.iter().any(|known| known == service)
    }
}

#[async_trait]
impl Health for GrpcHealth {
    type WatchStream = GrpcHealthStream;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !self.knows(&request.get_ref().service) {
            return Err(Status::not_found("there is no such service"));
        }
        let report = self.health.report(Probe::Ready).await;
        Ok(Response::new(response(serving(report.is_passing()))))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<GrpcHealthStream>, Status> {
        let is_known = self.knows(&request.get_ref().service);
        if is_known {
            // So that the first word is not of before anybody asked.
            drop(self.health.report(Probe::Ready).await);
        }
        Ok(Response::new(GrpcHealthStream {
            changes: WatchStream::new(self.health.watch()),
            is_known,
            said: None,
            is_over: false,
        }))
    }
}

const fn serving(is: bool) -> ServingStatus {
    if is {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

/// The stream of a `Watch`: what holds now, and each change.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct GrpcHealthStream {
    changes: WatchStream<handle::Status>,
    is_known: bool,
    said: Option<ServingStatus>,
    is_over: bool,
}

impl Stream for GrpcHealthStream {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.is_over {
            let Some(status) = ready!(Pin::new(&mut self.changes).poll_next(cx)) else {
                break;
            };
            self.is_over = status.is_shutting_down;
            let now = if self.is_known {
                serving(status.is_passing(Probe::Ready))
            } else {
                ServingStatus::ServiceUnknown
            };
            if self.said.replace(now) != Some(now) {
                return Poll::Ready(Some(Ok(response(now))));
            }
        }
        Poll::Ready(None)
    }
}
