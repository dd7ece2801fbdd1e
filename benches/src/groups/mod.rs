//! What is compared.

pub mod json_line;
pub mod recorder;
pub mod request_metrics;
