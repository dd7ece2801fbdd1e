//! The spans that are open, as far as lines need them.

use std::{
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
    pub(crate) fields: Fields,
    /// If it is a request's.
    pub(crate) context: Option<RequestContext>,
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
    spare: Vec<Fields>,
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

    pub(crate) fn open(&self, id: u64, fields: &Fields, limits: &Limits, open: Open) {
        let Some(mut stripe) = self.stripe(id) else {
            return;
        };
        let mut kept = stripe.spare.pop().unwrap_or_default();
        kept.overwrite(fields, limits);
        let open = Open {
            fields: kept,
            ..open
        };
        stripe.open.insert(id, open);
    }

    pub(crate) fn close(&self, id: u64) {
        let Some(mut stripe) = self.stripe(id) else {
            return;
        };
        let closed = stripe.open.remove(&id);
        let Some(Open {
            mut fields,
            context,
            ..
        }) = closed
        else {
            return;
        };
        if stripe.spare.len() < Self::MOST_SPARE && fields.capacity() <= Self::LARGE {
            fields.clear();
            stripe.spare.push(fields);
        }
        drop(stripe);
        // May be the last of its request, and take foreign values along.
        drop(context);
    }

    /// Changes an open span.
    pub(crate) fn change(&self, id: u64, f: impl FnOnce(&mut Open)) {
        if let Some(mut stripe) = self.stripe(id) {
            if let Some(open) = stripe.open.get_mut(&id) {
                f(open);
            }
        }
    }

    /// Goes from a span to the outermost that it is in.
    pub(crate) fn visit(&self, first: Option<&Id>, mut f: impl FnMut(&Open)) {
        let mut next = first.map(Id::into_u64);
        while let Some(id) = next {
            next = self.stripe(id).and_then(|stripe| {
                let open = stripe.open.get(&id)?;
                f(open);
                open.parent
            });
        }
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
