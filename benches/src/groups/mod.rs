//! What is compared.

pub mod json_line;
pub mod request_metrics;
