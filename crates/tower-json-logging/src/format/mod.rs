//! JSON lines of `tracing`'s events.

mod escape;
mod fields;
pub(crate) mod keys;
mod layer;
mod limits;
mod line;
mod scratch;
mod span;
pub(crate) mod timestamp;
mod value;

pub use self::{layer::JsonLayer, limits::Limits};
