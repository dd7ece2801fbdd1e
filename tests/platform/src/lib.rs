//! Runs the scan platform as a user does, on loopback, and ends it.

mod http;
mod model;
mod platform;
mod process;

pub use self::{
    http::{Answer, events, get, post},
    model::slow_model,
    platform::{Platform, fixtures, program},
    process::Process,
};
