//! Starts real servers for the tests, on loopback, and ends them.
//!
//! `cargo xtask test` fetches the servers and says where they are in `OBSERVABILITY_TOOLS`. Without that
//! variable the tests fail, and say so: they are never skipped.

mod prometheus;
mod tools;

pub use self::{
    prometheus::Prometheus,
    tools::{Suite, promtool_check_metrics},
};
