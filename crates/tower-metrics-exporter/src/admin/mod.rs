//! Metrics and health for those who run a process, on a listener of its own or in another service.

#[cfg(feature = "admin")]
mod accept;
#[cfg(feature = "admin")]
mod connection;
#[cfg(feature = "admin")]
mod credentials;
#[cfg(feature = "admin")]
mod hosts;
#[cfg(feature = "admin")]
mod metrics;
mod names;
#[cfg(feature = "admin")]
mod secret;
#[cfg(feature = "admin")]
mod server;
#[cfg(feature = "admin")]
mod service;

pub(crate) use self::names::specs;
#[cfg(feature = "admin")]
pub(crate) use self::server::Connections;
#[cfg(feature = "admin")]
pub use self::{
    credentials::{Credentials, CredentialsError},
    server::AdminServer,
    service::{AdminFuture, AdminService, NotFound},
};
