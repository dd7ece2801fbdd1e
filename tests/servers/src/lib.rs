//! Starts real servers and clients for the tests, on loopback, and ends them.
//!
//! `cargo xtask test` fetches them and says where they are in `OBSERVABILITY_TOOLS`. Without that
//! variable the tests fail, and say so: they are never skipped.

mod etcd;
mod grpc_client;
mod prometheus;
mod tools;

pub use self::{
    etcd::Etcd,
    grpc_client::{Call, GrpcClient, Kind, Outcome},
    prometheus::Prometheus,
    tools::{Suite, promtool_check_metrics},
};
