//! What becomes of what is recorded.

#![allow(
    clippy::cast_precision_loss,
    clippy::float_cmp,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its numbers are exact as floats"
)]

mod common;
mod conservation;
mod defects;
mod facade;
mod lifetime;
mod limits;
mod rules;
