//! What the fuzz targets run.

mod input;
pub mod lines;
mod now;
mod page;
pub mod scrapes;
mod strict;
