use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    fmt::Display,
    sync::Arc,
};

use metrics::IntoF64;

use crate::format::{
    Encode, FamilyKind, Head, LabelError, Labels, MAX_LABEL_VALUE, Number, valid_name,
};
use crate::{DEFAULT_LIMIT, registry::Matched};

/// Why a run of a collector, or a part of what it gave, is not on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Panic,
    Timeout,
    Error,
    Duplicate,
    DuplicateLabel,
    LabelTooLong,
    Limit,
    Kind,
    Value,
}

impl Reason {
    const ALL: [Self; 9] = [
        Self::Panic,
        Self::Timeout,
        Self::Error,
        Self::Duplicate,
        Self::DuplicateLabel,
        Self::LabelTooLong,
        Self::Limit,
        Self::Kind,
        Self::Value,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Timeout => "timeout",
            Self::Error => "error",
            Self::Duplicate => "duplicate",
            Self::DuplicateLabel => "duplicate_label",
            Self::LabelTooLong => "label_too_long",
            Self::Limit => "limit",
            Self::Kind => "kind",
            Self::Value => "value",
        }
    }
}

/// How often each of them happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults([u64; Reason::ALL.len()]);

impl Faults {
    pub(super) fn add(&mut self, reason: Reason) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count += 1;
        }
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Reason::ALL.into_iter().map(Reason::as_str).zip(self.0)
    }
}

/// Takes what a [collector](crate::Collector) has to say.
///
/// Names and labels are made valid as everywhere. What cannot be shown is left out and counted; see
/// [`Collector`](crate::Collector).
#[derive(Debug, Default)]
pub struct Samples {
    families: BTreeMap<Box<str>, Family>,
    rules: Arc<SampleRules>,
    faults: Faults,
    error: Option<String>,
}

/// All samples of one name; see [`Samples`].
#[derive(Debug)]
#[must_use = "a family without samples is not shown"]
pub struct SampleFamily<'a> {
    /// `None` if the name is another kind's.
    family: Option<&'a mut Family>,
    rules: &'a SampleRules,
    faults: &'a mut Faults,
}

#[derive(Clone, Debug)]
struct Family {
    kind: FamilyKind,
    help: Cow<'static, str>,
    unit: Option<Cow<'static, str>>,
    series: BTreeMap<Labels, f64>,
    /// How many series there may be.
    limit: usize,
}

/// What is done with all samples, whatever gives them.
#[derive(Debug, Default)]
pub(crate) struct SampleRules {
    /// Added to every series that has none of the name.
    pub(crate) common_labels: Vec<(String, String)>,
    /// How many series a family may have.
    pub(crate) limits: Matched<usize>,
}

impl Samples {
    pub(super) fn new(rules: Arc<SampleRules>) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    /// A family of counters: totals that only rise, floats among them. Its name ends in `_total`, by
    /// convention and for OpenMetrics.
    pub fn counter(&mut self, name: &str, help: impl Into<Cow<'static, str>>) -> SampleFamily<'_> {
        self.family(name, help.into(), FamilyKind::Counter)
    }

    /// A family of gauges: values that rise and fall.
    pub fn gauge(&mut self, name: &str, help: impl Into<Cow<'static, str>>) -> SampleFamily<'_> {
        self.family(name, help.into(), FamilyKind::Gauge)
    }

    fn family(
        &mut self,
        name: &str,
        help: Cow<'static, str>,
        kind: FamilyKind,
    ) -> SampleFamily<'_> {
        let name = valid_name(name, true);
        let family = self.families.entry((&*name).into());
        let family = family.or_insert_with(|| Family {
            kind,
            help,
            unit: None,
            series: BTreeMap::new(),
            limit: self
                .rules
                .limits
                .get(&name)
                .copied()
                .unwrap_or(DEFAULT_LIMIT),
        });
        let is_same = family.kind == kind;
        if !is_same {
            self.faults.add(Reason::Kind);
        }
        SampleFamily {
            family: is_same.then_some(family),
            rules: &self.rules,
            faults: &mut self.faults,
        }
    }

    /// Says that something could not be read. It is counted, and logged if the last run was without; what
    /// was given is shown.
    pub fn error(&mut self, error: impl Display) {
        self.faults.add(Reason::Error);
        self.error = Some(error.to_string());
    }

    /// A value that was given, for tests of collectors.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let (labels, _) = Labels::new(labels.iter().copied());
        self.families.get(name)?.series.get(&labels).copied()
    }

    pub(super) fn into_parts(self) -> (Vec<CollectedFamily>, Faults, Option<String>) {
        let families = self.families.into_iter();
        let families = families.filter(|(_, family)| !family.series.is_empty());
        let families = families.map(|(name, family)| CollectedFamily {
            name: name.into(),
            family: Arc::new(family),
        });
        (families.collect(), self.faults, self.error)
    }
}

impl SampleFamily<'_> {
    /// Sets the unit, which the name must end with after a `_` (before `_total`), or it is not shown: in
    /// OpenMetrics, and but for counters in protobuf.
    pub fn unit(&mut self, unit: impl Into<Cow<'static, str>>) -> &mut Self {
        if let Some(family) = &mut self.family {
            family.unit = Some(unit.into());
        }
        self
    }

    /// Adds a sample with labels, in any order. A [`Duration`](std::time::Duration) is in seconds.
    pub fn sample<'l>(
        &mut self,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
        value: impl IntoF64,
    ) -> &mut Self {
        let Some(family) = &mut self.family else {
            return self;
        };
        let value = value.into_f64();
        if family.kind == FamilyKind::Counter && !(0.0..).contains(&value) {
            self.faults.add(Reason::Value);
            return self;
        }
        let labels: Vec<_> = labels.into_iter().collect();
        if labels
            .iter()
            .any(|(_, value)| value.len() > MAX_LABEL_VALUE)
        {
            self.faults.add(Reason::LabelTooLong);
            return self;
        }
        let common = self.rules.common_labels.iter();
        let common = common.map(|(name, value)| (name.as_str(), value.as_str()));
        let common = common.filter(|(name, _)| !labels.iter().any(|(own, _)| own == name));
        let (labels, error) = Labels::new(labels.iter().copied().chain(common));
        if error == Some(LabelError::Duplicate) {
            self.faults.add(Reason::DuplicateLabel);
        }
        let is_full = family.series.len() >= family.limit;
        match family.series.entry(labels) {
            Entry::Vacant(_) if is_full => self.faults.add(Reason::Limit),
            Entry::Vacant(entry) => {
                entry.insert(value);
            }
            Entry::Occupied(_) => self.faults.add(Reason::Duplicate),
        }
        self
    }

    /// Adds a sample without labels.
    pub fn value(&mut self, value: impl IntoF64) -> &mut Self {
        self.sample([], value)
    }
}

/// What all collectors gave for one page.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    families: Vec<CollectedFamily>,
}

/// A family that has samples.
#[derive(Clone, Debug)]
pub(crate) struct CollectedFamily {
    name: Arc<str>,
    family: Arc<Family>,
}

impl Collected {
    /// By name.
    pub(crate) fn families(&self) -> &[CollectedFamily] {
        &self.families
    }

    pub(crate) fn has_family(&self, name: &str) -> bool {
        let found = self
            .families
            .binary_search_by(|family| family.name().cmp(name));
        found.is_ok()
    }
}

impl CollectedFamily {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn encode(&self, has_sibling: bool, out: &mut impl Encode) {
        let Family {
            kind,
            help,
            unit,
            series,
            ..
        } = &*self.family;
        out.family(&Head {
            name: &self.name,
            kind: *kind,
            help,
            unit: unit.as_deref(),
            has_sibling,
        });
        for (labels, value) in series {
            match kind {
                FamilyKind::Counter => out.counter(labels, Number::Float(*value), None, None),
                FamilyKind::Gauge | FamilyKind::Histogram => out.gauge(labels, *value),
            }
        }
    }
}

/// Families of several collectors, put together by name.
#[derive(Debug, Default)]
pub(super) struct Merged(BTreeMap<Arc<str>, CollectedFamily>);

impl Merged {
    /// Takes in what is not there yet, and tells what is not to be had twice.
    pub(super) fn add(&mut self, families: &[CollectedFamily]) -> Faults {
        let mut faults = Faults::default();
        for more in families {
            match self.0.entry(Arc::clone(&more.name)) {
                Entry::Vacant(entry) => {
                    entry.insert(more.clone());
                }
                Entry::Occupied(entry) if entry.get().family.kind != more.family.kind => {
                    faults.add(Reason::Kind);
                }
                Entry::Occupied(mut entry) => {
                    let family = Arc::make_mut(&mut entry.get_mut().family);
                    for (labels, value) in &more.family.series {
                        if family.series.contains_key(labels) {
                            faults.add(Reason::Duplicate);
                        } else {
                            family.series.insert(labels.clone(), *value);
                        }
                    }
                }
            }
        }
        faults
    }

    /// Takes in what is about the collectors themselves, which none of them can replace.
    pub(super) fn replace(&mut self, families: Vec<CollectedFamily>) {
        let families = families.into_iter();
        self.0
            .extend(families.map(|family| (Arc::clone(&family.name), family)));
    }

    pub(super) fn into_collected(self) -> Collected {
        Collected {
            families: self.0.into_values().collect(),
        }
    }
}
