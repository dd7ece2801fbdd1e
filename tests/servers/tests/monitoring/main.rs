//! The files in `monitoring/`, by the programs that read them.

mod alerts;
mod checked;
mod elastic;
mod grafana;
mod panels;
mod stack;
