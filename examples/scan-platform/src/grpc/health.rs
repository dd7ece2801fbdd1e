//! gRPC's own health service: it serves as long as the database answers.

use std::time::Duration;

use tokio::sync::watch;
use tonic::server::NamedService;
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

use super::{ScanService, ScansServer};
use crate::store::Store;

/// How often the database is asked.
const ASK: Duration = Duration::from_secs(5);

/// The server as a whole, and its service.
const NAMES: [&str; 2] = ["", <ScansServer<ScanService> as NamedService>::NAME];

pub(super) struct Health {
    reporter: HealthReporter,
    store: Store,
    /// What was said last.
    told: Option<ServingStatus>,
}

impl Health {
    /// Asks the database for the first time.
    pub(super) async fn start(store: Store) -> Self {
        let mut health = Self {
            reporter: HealthReporter::new(),
            store,
            told: None,
        };
        health.ask().await;
        health
    }

    pub(super) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }

    /// Keeps what the service says true until the sender of `stopped` is gone. Who watches is told of
    /// that, too, and its stream ends, as it would else hold up the server's end.
    pub(super) async fn watch(mut self, mut stopped: watch::Receiver<()>) {
        let asking = async {
            let mut ticks = tokio::time::interval(ASK);
            loop {
                ticks.tick().await;
                self.ask().await;
            }
        };
        tokio::select! {
            () = asking => {}
            // An error tells that the sender is gone.
            () = async { while stopped.changed().await.is_ok() {} } => {}
        }
        self.set(ServingStatus::NotServing).await;
        for name in NAMES {
            self.reporter.clear_service_status(name).await;
        }
    }

    async fn ask(&mut self) {
        let status = match self.store.ping().await {
            Ok(()) => ServingStatus::Serving,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the database does not answer");
                ServingStatus::NotServing
            }
        };
        self.set(status).await;
    }

    /// Who watches is told of changes only.
    async fn set(&mut self, status: ServingStatus) {
        if self.told.replace(status) == Some(status) {
            return;
        }
        for name in NAMES {
            self.reporter.set_service_status(name, status).await;
        }
    }
}
