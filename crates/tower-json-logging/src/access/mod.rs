//! The line of each request.

mod facts;
mod handover;
mod observer;
mod sample;
mod settings;

pub(crate) use self::{
    facts::{Ended, Facts, Headers, fact, message},
    handover::{give_back, take},
    observer::MODULE,
    settings::Settings,
};
pub use self::{
    observer::{JsonLogging, LoggedRequest},
    sample::Sample,
};
