//! A small security-scan platform: real scanners of MCP client configurations and model files behind an
//! HTTP and a gRPC interface, with every layer of this workspace switched on.
//!
//! `scan-platform --help` tells how to run it; `README.md` beside this package shows what it answers.

pub mod api;
pub mod assess;
pub mod auth;
pub mod background;
pub mod doctor;
mod ending;
mod follow;
pub mod grpc;
pub mod keys;
pub mod log;
pub mod oneshot;
pub mod operations;
pub mod platform;
pub mod probe;
pub mod push;
pub mod record;
pub mod scan;
pub mod scanner;
pub mod serve;
pub mod store;
pub mod telemetry;
