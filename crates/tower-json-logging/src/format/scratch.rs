use std::cell::Cell;

use crate::format::{
    fields::Fields,
    stencil::{Note, Stencils},
};

/// Memory that a thread keeps from line to line.
///
/// It is taken out while it is used. A value whose `Debug` logs finds none and makes its own; one that
/// panics takes it along.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) line: Vec<u8>,
    pub(crate) fields: Fields,
    pub(crate) notes: Vec<Note>,
    pub(crate) stencils: Stencils,
}

thread_local! {
    static KEPT: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

impl Scratch {
    /// The most that is kept beside the stencils, which keep a line of their own: some lines of the default's length.
    const MOST: usize = 64 * 1024;

    /// An empty one.
    pub(crate) fn take() -> Box<Self> {
        // A thread that ends has none anymore, but may still log.
        KEPT.try_with(Cell::take).ok().flatten().unwrap_or_default()
    }

    /// Gives it back, to be taken again.
    pub(crate) fn put_back(mut self: Box<Self>) {
        if self.line.capacity() + self.fields.capacity() > Self::MOST {
            return;
        }
        self.line.clear();
        self.fields.clear();
        // On a thread that ends it is dropped.
        let _ = KEPT.try_with(|kept| kept.set(Some(self)));
    }
}
