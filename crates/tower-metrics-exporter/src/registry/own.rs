use std::sync::Weak;

use metrics::{CounterFn as _, Key, Label};
use tower_observe::Spec;

use super::Registry;
use crate::format::FamilyKind;

/// What the registry tells of itself, in series like all others.
#[derive(Debug)]
pub(crate) struct Own {
    registry: Weak<Registry>,
}

/// Why a series, or a part of it, was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Another instrument has the name.
    Kind,
    /// Another instrument's values, which are of another unit, have the name.
    Unit,
    /// Its samples would have the names of another family's.
    NameClash,
    /// Two labels of one name: the second is left out.
    DuplicateLabel,
    /// A value too long: the observation goes to the overflow.
    LabelTooLong,
}

impl Reason {
    const ALL: [Self; 5] = [
        Self::Kind,
        Self::Unit,
        Self::NameClash,
        Self::DuplicateLabel,
        Self::LabelTooLong,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Unit => "unit",
            Self::NameClash => "name_clash",
            Self::DuplicateLabel => "duplicate_label",
            Self::LabelTooLong => "label_too_long",
        }
    }
}

const REJECTED: &str = "exporter_series_rejected_total";
const OVERFLOW: &str = "exporter_series_overflow_total";
const DROPPED: &str = "exporter_observations_dropped_total";
const COLLISIONS: &str = "exporter_name_collisions_total";

/// What the registry tells of itself.
pub(crate) fn specs() -> [Spec; 4] {
    [
        Spec::counter(REJECTED, "Registrations that were not taken as they were.")
            .labels(["reason"]),
        Spec::counter(OVERFLOW, "Registrations over the limit of their family.").labels(["family"]),
        Spec::counter(DROPPED, "Observations that were no finite number.").labels(["family"]),
        Spec::counter(
            COLLISIONS,
            "Registrations of a name that is another's once it is made valid.",
        )
        .labels(["family"]),
    ]
}

/// No rule hides these.
pub(super) fn is_own(family: &str) -> bool {
    [REJECTED, OVERFLOW, DROPPED, COLLISIONS].contains(&family)
}

impl Own {
    pub(super) const fn new(registry: Weak<Registry>) -> Self {
        Self { registry }
    }

    /// Creates at zero what can be.
    pub(super) fn init(&self) {
        for reason in Reason::ALL {
            self.count(REJECTED, ("reason", reason.as_str()), 0);
        }
    }

    pub(crate) fn rejected(&self, reason: Reason) {
        self.count(REJECTED, ("reason", reason.as_str()), 1);
    }

    pub(crate) fn overflow(&self, family: &str) {
        self.count(OVERFLOW, ("family", family), 1);
    }

    pub(crate) fn dropped(&self, family: &str, count: u64) {
        self.count(DROPPED, ("family", family), count);
    }

    pub(crate) fn collision(&self, family: &str) {
        self.count(COLLISIONS, ("family", family), 1);
    }

    fn count(&self, name: &'static str, (label, value): (&'static str, &str), by: u64) {
        let Some(registry) = self.registry.upgrade() else {
            return;
        };
        let label = Label::new(label, value.to_owned());
        let key = Key::from_parts(name, vec![label]);
        if let Some(series) = registry.series(&key, FamilyKind::Counter) {
            series.increment(by);
        }
    }
}
