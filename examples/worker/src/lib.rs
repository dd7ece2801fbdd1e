//! Scans from a queue that several workers share, each counted once, whatever becomes of its worker.
//!
//! The queue is [apalis](https://docs.rs/apalis), whose jobs are calls of a tower service: what records
//! scans around any service, `tower_scan_lifecycle::ScanLayer`, records them here. `scan-worker --help`
//! tells how to run it; `README.md` beside this package, what it does with a scan that takes its worker
//! along.

pub mod ask;
mod job;
mod ledger;
mod once;
mod queue;
mod scan;
pub mod work;

pub use self::queue::QueueUrl;
