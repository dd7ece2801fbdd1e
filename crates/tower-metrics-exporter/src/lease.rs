use std::sync::Arc;

use crate::{format::Labels, registry::Family};

/// Keeps a series as long as it lives; see [`Exporter::lease`](crate::Exporter::lease).
#[derive(Debug)]
#[must_use = "dropping a lease gives it back"]
pub struct Lease {
    family: Arc<Family>,
    labels: Labels,
}

impl Lease {
    pub(crate) fn new(family: Arc<Family>, labels: Labels) -> Self {
        family.lease(&labels);
        Self { family, labels }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.family.release(&self.labels);
    }
}
