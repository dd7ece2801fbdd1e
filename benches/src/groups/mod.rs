//! What is compared.

pub mod end_to_end;
pub mod json_line;
pub mod log_sink;
pub mod recorder;
pub mod request_metrics;
pub mod scale;
pub mod scan_lifecycle;
pub mod sinks;
pub mod whole_stack;
