//! The line of each request.

mod bits;
mod facts;
mod handover;
mod headers;
mod kind;
mod observer;
mod sample;
mod settings;
mod write;

#[cfg(test)]
pub(crate) use self::facts::Text;
pub(crate) use self::{
    facts::{Ended, Facts, Headers, Request},
    handover::{begun, with_logged},
    kind::{KIND_BITS, kind, varies},
    observer::is_of_request,
    settings::Settings,
    write::{fact, message, place, short_millis},
};
pub use self::{
    observer::{JsonLogging, LoggedRequest},
    sample::Sample,
};
