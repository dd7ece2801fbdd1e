//! JSON lines of `tracing`'s events.

pub(crate) mod core;
pub(crate) mod escape;
pub(crate) mod fields;
mod layer;
mod limits;
pub(crate) mod line;
pub(crate) mod number;
pub(crate) mod output;
pub(crate) mod piece;
pub(crate) mod plan;
mod scratch;
pub(crate) mod spans;
mod stencil;
pub(crate) mod timestamp;
pub(crate) mod value;
mod wall;

pub use self::{
    layer::JsonLayer,
    limits::Limits,
    output::{Line, WriteLine},
};
