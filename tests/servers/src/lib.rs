//! Starts real servers and clients for the tests, on loopback, and ends them.
//!
//! `cargo xtask test` fetches them and says where they are in `OBSERVABILITY_TOOLS`. Without that
//! variable the tests fail, and say so: they are never skipped.

mod alertmanager;
mod etcd;
mod grpc_client;
mod mailbox;
mod openmetrics;
mod port;
mod postgres;
mod prometheus;
mod pushgateway;
mod redis;
mod rotel;
mod tools;
mod victoria;

pub use self::{
    alertmanager::Alertmanager,
    etcd::Etcd,
    grpc_client::{Call, GrpcClient, Kind, Outcome},
    mailbox::{Mailbox, Message},
    openmetrics::{OpenMetricsParser, Sample},
    port::free_port,
    postgres::{Lock, Postgres, PostgresExporter},
    prometheus::Prometheus,
    pushgateway::Pushgateway,
    redis::Redis,
    rotel::Rotel,
    tools::{Suite, node, node_modules, piped, promtool_check_metrics, python},
    victoria::VictoriaMetrics,
};
