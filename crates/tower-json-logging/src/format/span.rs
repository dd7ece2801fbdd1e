use crate::format::{Limits, fields::Fields};

/// The fields of a span, kept in its extensions, ready to be copied into a line.
///
/// A span has one of these however many layers there are, each with rules of its own.
#[derive(Debug)]
pub(crate) struct SpanFields {
    first: (LayerId, Fields),
    others: Vec<(LayerId, Fields)>,
}

/// Which layer some fields were written by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LayerId(pub(crate) u64);

impl SpanFields {
    pub(crate) const fn new(layer: LayerId, fields: Fields) -> Self {
        Self {
            first: (layer, fields),
            others: Vec::new(),
        }
    }

    /// What `layer` wrote of this span.
    pub(crate) fn of(&self, layer: LayerId) -> Option<&Fields> {
        let all = std::iter::once(&self.first).chain(&self.others);
        all.filter(|(id, _)| *id == layer)
            .map(|(_, fields)| fields)
            .next()
    }

    /// Adds what was recorded later, which wins.
    pub(crate) fn record(&mut self, layer: LayerId, values: &Fields, limits: &Limits) {
        let mut all = std::iter::once(&mut self.first).chain(&mut self.others);
        match all.find(|(id, _)| *id == layer) {
            Some((_, fields)) => fields.overwrite(values, limits),
            None => self.others.push((layer, values.clone())),
        }
    }
}
