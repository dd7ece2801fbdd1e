//! Whether the process works, for those who ask: probes, scrapes, gRPC clients.

#[cfg(feature = "health")]
mod check;
#[cfg(feature = "tonic")]
mod grpc;
#[cfg(feature = "health")]
mod handle;
#[cfg(feature = "health")]
mod join;
#[cfg(feature = "health")]
mod metrics;
mod names;
#[cfg(feature = "health")]
mod page;
#[cfg(feature = "health")]
mod report;
#[cfg(feature = "health")]
mod service;
#[cfg(feature = "health")]
mod slot;

#[cfg(feature = "tonic")]
pub use self::grpc::{GrpcHealth, GrpcHealthStream};
pub(crate) use self::names::specs;
#[cfg(feature = "health")]
use self::report::Failure;
#[cfg(feature = "admin")]
pub(crate) use self::service::is_probe;
#[cfg(feature = "health")]
pub use self::{
    check::Check,
    handle::{HealthBuilder, HealthHandle},
    report::{CheckReport, HealthReport, Probe},
    service::{HealthFuture, HealthService},
};
