//! Where the lines of a side go.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tower_json_logging::JsonLayer;
use tracing::{Dispatch, dispatcher};
use tracing_subscriber::{Registry, filter::LevelFilter, layer::SubscriberExt as _};

use crate::backend::Backend;

/// A subscriber, and the lines that it wrote.
pub struct Logged {
    dispatch: Dispatch,
    lines: Lines,
    lines_each: u64,
}

impl Logged {
    /// A layer that writes a line for each operation, at INFO.
    pub fn new<L>(layer: L, lines: Lines) -> Self
    where
        L: tracing_subscriber::Layer<Registry> + Send + Sync,
    {
        Self::some(layer.with_filter(LevelFilter::INFO), lines, 1)
    }

    /// A layer that writes so many lines for each operation.
    pub fn some<L>(layer: L, lines: Lines, lines_each: u64) -> Self
    where
        L: tracing_subscriber::Layer<Registry> + Send + Sync,
    {
        Self {
            dispatch: Dispatch::new(tracing_subscriber::registry().with(layer)),
            lines,
            lines_each,
        }
    }
}

impl Backend for Logged {
    fn within(&self, work: &mut dyn FnMut()) {
        dispatcher::with_default(&self.dispatch, work);
    }

    fn recorded(&self) -> Option<u64> {
        let lines = self.lines.0.load(Ordering::Relaxed);
        lines.checked_div(self.lines_each)
    }
}

/// Counts lines, and throws them away.
#[derive(Clone, Default)]
pub struct Lines(Arc<AtomicU64>);

impl Lines {
    /// Makes writers that count here.
    pub fn maker(&self) -> impl Fn() -> Self + Send + Sync + 'static {
        let writer = self.clone();
        move || writer.clone()
    }

    /// Our layer, which writes here.
    pub fn layer(&self) -> JsonLayer {
        JsonLayer::new(self.maker())
    }
}

/// Lines that are written without a subscriber.
impl Backend for Lines {
    fn within(&self, work: &mut dyn FnMut()) {
        work();
    }

    fn recorded(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed))
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.ends_with(b"\n") {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
