//! Lifecycle metrics for scans and other long-running work behind a tower Service.
