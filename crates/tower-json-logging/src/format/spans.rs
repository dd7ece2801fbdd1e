//! The spans that are open, as far as lines need them.

use std::{
    cell::Cell,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tracing_core::span::Id;

use crate::{
    context::RequestContext,
    format::{Limits, fields::Fields},
};

/// A span that is open.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) parent: Option<u64>,
    pub(crate) name: &'static str,
    pub(crate) module: &'static str,
    /// None if there are none.
    pub(crate) fields: Option<Box<Fields>>,
    /// If it is a request's.
    pub(crate) context: Option<RequestContext>,
}

/// A span that a layer of this number knows by this id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanOfLayer {
    pub(crate) layer: u64,
    pub(crate) id: u64,
}

thread_local! {
    /// What was entered last on this thread, and nothing was left since.
    static ENTERED: Cell<Option<SpanOfLayer>> = const { Cell::new(None) };
}

impl SpanOfLayer {
    /// The span that the thread is in, as far as that is known for nothing: to ask the registry costs.
    pub(crate) fn entered() -> Option<Self> {
        ENTERED.get()
    }

    pub(crate) fn note_entered(self) {
        ENTERED.set(Some(self));
    }

    pub(crate) fn note_left() {
        ENTERED.set(None);
    }
}

/// All spans that are open, and memory for those to come.
///
/// It is in the registry's place, which keeps what a layer adds to a span in a box of its own. Stripes
/// keep threads out of each other's way; no foreign code is run under their locks.
#[derive(Debug)]
pub(crate) struct Spans {
    stripes: Box<[Mutex<Stripe>]>,
}

#[derive(Debug, Default)]
struct Stripe {
    open: HashMap<u64, Open, BuildHasherDefault<IdHasher>>,
    /// Of spans that are closed.
    #[expect(
        clippy::vec_box,
        reason = "they go to a span and come back: that moves a pointer"
    )]
    spare: Vec<Box<Fields>>,
}

impl Spans {
    /// A power of two.
    const STRIPES: usize = 64;
    /// The most that is kept of the memory of closed spans, in a stripe.
    const MOST_SPARE: usize = 16;
    /// More memory than most spans need.
    const LARGE: usize = 4096;

    pub(crate) fn new() -> Self {
        Self {
            stripes: (0..Self::STRIPES).map(|_| Mutex::default()).collect(),
        }
    }

    /// `fields` are copied: they are in memory that is used again.
    pub(crate) fn open(&self, id: u64, fields: Option<(&Fields, &Limits)>, mut open: Open) {
        let Some(mut stripe) = self.stripe(id) else {
            return;
        };
        if let Some((fields, limits)) = fields {
            let mut kept = stripe.spare.pop().unwrap_or_default();
            kept.overwrite(fields, limits);
            open.fields = Some(kept);
        }
        stripe.open.insert(id, open);
    }

    pub(crate) fn close(&self, id: u64) {
        let Some(mut stripe) = self.stripe(id) else {
            return;
        };
        let Some(closed) = stripe.open.remove(&id) else {
            return;
        };
        if let Some(mut fields) = closed.fields {
            if stripe.spare.len() < Self::MOST_SPARE && fields.capacity() <= Self::LARGE {
                fields.clear();
                stripe.spare.push(fields);
            }
        }
        drop(stripe);
        // May be the last of its request.
        if let Some(context) = closed.context {
            context.recycle();
        }
    }

    /// Changes the fields of an open span.
    pub(crate) fn change(&self, id: u64, f: impl FnOnce(&mut Fields)) {
        if let Some(mut stripe) = self.stripe(id) {
            let Stripe { open, spare } = &mut *stripe;
            if let Some(open) = open.get_mut(&id) {
                let fields = &mut open.fields;
                f(fields.get_or_insert_with(|| spare.pop().unwrap_or_default()));
            }
        }
    }

    /// Whether the span is open.
    pub(crate) fn knows(&self, id: &Id) -> bool {
        let id = id.into_u64();
        self.stripe(id)
            .is_some_and(|stripe| stripe.open.contains_key(&id))
    }

    /// Goes from a span to the outermost that it is in. Tells whether there was one.
    pub(crate) fn visit(&self, first: Option<&Id>, mut f: impl FnMut(&Open)) -> bool {
        let mut next = first.map(Id::into_u64);
        let mut found = false;
        while let Some(id) = next {
            next = self.stripe(id).and_then(|stripe| {
                let open = stripe.open.get(&id)?;
                found = true;
                f(open);
                open.parent
            });
        }
        found
    }

    /// The request that a span belongs to.
    pub(crate) fn context(&self, id: &Id) -> Option<RequestContext> {
        let mut found = None;
        self.visit(Some(id), |open| {
            if found.is_none() {
                found.clone_from(&open.context);
            }
        });
        found
    }

    fn stripe(&self, id: u64) -> Option<MutexGuard<'_, Stripe>> {
        let at = usize::try_from(mix(id) >> 32).unwrap_or_default() % Self::STRIPES;
        let stripe = self.stripes.get(at)?;
        Some(stripe.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// The registry's ids differ in few of their bits.
const fn mix(id: u64) -> u64 {
    id.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        let mixed = mix(self.0 ^ id);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
