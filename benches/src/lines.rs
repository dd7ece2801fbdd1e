//! Where the lines of a side go.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tower_json_logging::JsonLayer;
use tracing::{Dispatch, Subscriber, callsite, dispatcher};
use tracing_subscriber::{
    Registry,
    filter::LevelFilter,
    layer::{Layered, SubscriberExt as _},
};

use crate::backend::Backend;

/// A subscriber, and the lines that it wrote.
///
/// It is known to `tracing` only while it is used: else the spans that other sides make would be made for it,
/// also where they have no subscriber.
pub struct Logged {
    dispatch: Box<dyn Fn() -> Dispatch>,
    lines: Lines,
    lines_each: u64,
}

/// What `tracing_subscriber::fmt().json()` makes as well: its level is that of all layers.
type Filtered = Layered<LevelFilter, Registry>;

impl Logged {
    /// A layer that writes a line for each operation, at INFO.
    pub fn new<L>(layer: L, lines: Lines) -> Self
    where
        L: tracing_subscriber::Layer<Filtered> + Send + Sync,
    {
        let filtered = tracing_subscriber::registry().with(LevelFilter::INFO);
        Self::of(filtered.with(layer), lines, 1)
    }

    /// A layer that writes so many lines for each operation.
    pub fn some<L>(layer: L, lines: Lines, lines_each: u64) -> Self
    where
        L: tracing_subscriber::Layer<Registry> + Send + Sync,
    {
        Self::of(
            tracing_subscriber::registry().with(layer),
            lines,
            lines_each,
        )
    }

    fn of(subscriber: impl Subscriber + Send + Sync, lines: Lines, lines_each: u64) -> Self {
        let subscriber = Arc::new(subscriber);
        Self {
            dispatch: Box::new(move || Dispatch::new(Arc::clone(&subscriber))),
            lines,
            lines_each,
        }
    }
}

impl Backend for Logged {
    fn within(&self, work: &mut dyn FnMut()) {
        dispatcher::with_default(&(self.dispatch)(), work);
        callsite::rebuild_interest_cache();
    }

    fn recorded(&self) -> Option<u64> {
        let lines = self.lines.0.0.load(Ordering::Relaxed);
        lines.checked_div(self.lines_each)
    }
}

/// Counts lines, and throws them away.
#[derive(Clone, Default)]
pub struct Lines(Arc<Count>);

#[derive(Default)]
pub struct Count(AtomicU64);

impl Lines {
    /// Makes writers that count here, at no cost to who asks for one.
    pub fn maker(&self) -> Arc<Count> {
        Arc::clone(&self.0)
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
        Some(self.0.0.load(Ordering::Relaxed))
    }
}

impl Write for &Count {
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
