//! The files in `monitoring/`, by the programs that read them.

mod alerts;
mod checked;
mod panels;
mod stack;
