//! Runs the scan platform as a user does, on loopback, and ends it.

pub mod cases;
mod http;
mod logged;
mod model;
mod platform;
mod process;
mod worker;
pub mod worker_cases;

pub use self::{
    http::{Answer, events, get, get_with, post, post_with, put, put_with},
    model::{slow_model, sparse_model},
    platform::{Platform, Setup, fixtures, program},
    process::Process,
    worker::{Queue, Worker, worker_program},
};
