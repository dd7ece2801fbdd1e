//! What tower-scan-lifecycle records: how scans end, in code, behind services and behind routes.

mod common;
mod grpc;
mod http;
mod interleavings;
mod options;
mod queues;
mod rules;
mod tracing;
