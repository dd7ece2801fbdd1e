//! What probes hear of checks that pass, fail, hang and panic.

#![cfg(feature = "health")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "clippy knows tests, but not what they share; and servers are tasks"
)]

mod checks;
mod common;
#[cfg(feature = "tonic")]
mod grpc;
mod http;
