//! What is not to be seen in a log.

mod fields;
mod headers;
mod path;
mod query;
mod text;

pub(crate) use self::{
    fields::{Names, is_secret_name},
    headers::is_credential,
    text::redact_text,
};
pub use self::{path::PathPolicy, query::QueryPolicy};

/// What is written in place of a secret.
pub(crate) const REDACTED: &str = "[REDACTED]";
