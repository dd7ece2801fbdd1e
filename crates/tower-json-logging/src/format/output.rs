//! Where finished lines go.

use std::io::Write as _;

use tracing_core::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    Importance, Sink,
    names::{self, Lost},
};

/// Takes finished lines.
///
/// It counts what it takes and what it loses in the series of [`names`](crate::names). It may not panic;
/// and unless its users mean to wait for it, not block.
pub trait WriteLine: Send + Sync + 'static {
    /// Takes one line.
    fn write_line(&self, line: Line<'_>);
}

/// A finished line.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    bytes: &'a [u8],
    level: Level,
    is_important: bool,
    metadata: Option<&'static Metadata<'static>>,
}

impl<'a> Line<'a> {
    pub(crate) const fn new(
        bytes: &'a [u8],
        level: Level,
        is_important: bool,
        metadata: Option<&'static Metadata<'static>>,
    ) -> Self {
        Self {
            bytes,
            level,
            is_important,
            metadata,
        }
    }

    /// The line, with its newline: one JSON object, valid UTF-8.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its level.
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Whether it is one of those to keep when not all can be kept: a request's, or at `WARN` or `ERROR`.
    pub const fn is_important(&self) -> bool {
        self.is_important
    }
}

/// Writes where a line is logged, by one `write_all`.
#[derive(Debug)]
pub(crate) struct Immediate<W>(pub(crate) W);

impl<W> WriteLine for Immediate<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    fn write_line(&self, line: Line<'_>) {
        let mut writer = match line.metadata {
            Some(metadata) => self.0.make_writer_for(metadata),
            None => self.0.make_writer(),
        };
        let written = writer.write_all(line.bytes);
        // A writer may be a lock, and a recorder may log.
        drop(writer);
        if written.is_ok() {
            names::count_written(line.level);
        } else {
            names::count_lost(line.level, Lost::IoError);
        }
    }
}

impl WriteLine for Sink {
    fn write_line(&self, line: Line<'_>) {
        let importance = if line.is_important {
            Importance::Important
        } else {
            Importance::Normal
        };
        // One that is not taken is counted.
        self.offer(line.bytes, line.level, importance);
    }
}
