//! What the fuzz targets run.

pub mod lines;
mod strict;
