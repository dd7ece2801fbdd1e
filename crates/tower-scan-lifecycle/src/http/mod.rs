//! Scans behind HTTP and gRPC routes.

mod current;
#[cfg(feature = "axum")]
mod extract;
mod layer;
mod observer;
mod status;

#[cfg(feature = "axum")]
pub use self::extract::NoScan;
pub use self::{
    current::CurrentScan,
    layer::HttpScanLayer,
    observer::{HttpScan, HttpScans},
};
