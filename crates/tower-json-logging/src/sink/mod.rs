//! Where finished lines go: a bounded queue, and a thread that writes.

mod announce;
mod builder;
mod counts;
mod handle;
mod output;
mod queue;
mod record;
mod shared;
mod stats;
mod sync;
mod worker;

pub use self::{
    builder::{Overflow, SinkBuilder, SinkError},
    counts::DropReason,
    handle::{Importance, Sink, SinkGuard, SinkWriter},
    stats::{LineCount, SinkReport, SinkStats},
};
