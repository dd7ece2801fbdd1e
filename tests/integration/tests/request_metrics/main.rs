//! What tower-request-metrics records: by hand, inside and outside of routers, and over real servers.

mod axum_peer;
mod axum_sockets;
mod bounded;
mod builder_errors;
mod common;
mod compose;
mod endings;
mod grpc;
mod grpc_raw;
mod labels;
mod open_telemetry;
mod recorders;
mod routes;
mod semantic_conventions;
mod sizes;
mod sockets;
mod streams;
