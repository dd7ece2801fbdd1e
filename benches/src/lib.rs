//! What the benches have in common: the report of a run, the service that is called, and our own layers
//! around it.

pub mod callgrind;
#[cfg(feature = "ours")]
pub mod export;
pub mod report;
#[cfg(feature = "ours")]
pub mod route;
#[cfg(feature = "ours")]
pub mod steady;
