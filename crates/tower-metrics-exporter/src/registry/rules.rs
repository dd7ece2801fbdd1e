use std::{collections::HashMap, sync::Arc, time::Duration};

use metrics::Key;

use super::{FamilyOptions, Naming, own};
use crate::{
    cell::{ExemplarSource, HistogramOptions, NativeOptions},
    format::{Bounds, FamilyKind},
};

/// Upper bounds, in seconds, of the buckets of a histogram that nothing else is said of.
///
/// Never a summary: summaries of several instances cannot be put together, and no
/// `histogram_quantile` finds them.
pub const DEFAULT_BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Upper bounds of the buckets of a histogram whose name ends in `_bytes`, if nothing else is said of it:
/// from 256 bytes to 64 MiB, each four times the one before.
pub const DEFAULT_SIZE_BUCKETS: [f64; 10] = [
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// How many series a family may have unless something else is said of it.
pub const DEFAULT_LIMIT: usize = 10_000;

/// Says which families a rule is for, by the names that they have on the page.
///
/// Where several rules match, the most specific decides: the full name, then the longest prefix or suffix,
/// then any; of equals the last that was given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Matcher {
    /// The family of this name.
    Full(String),
    /// Families whose names start with this.
    Prefix(String),
    /// Families whose names end with this.
    Suffix(String),
    /// Every family.
    Any,
}

impl Matcher {
    /// The family of this name.
    pub fn full(name: impl Into<String>) -> Self {
        Self::Full(name.into())
    }

    /// Families whose names start with this.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self::Prefix(prefix.into())
    }

    /// Families whose names end with this.
    pub fn suffix(suffix: impl Into<String>) -> Self {
        Self::Suffix(suffix.into())
    }

    /// What it looks for, for messages.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Full(text) | Self::Prefix(text) | Self::Suffix(text) => text,
            Self::Any => "every histogram",
        }
    }

    /// Whether it matches, and how specific it is.
    fn weight(&self, name: &str) -> Option<usize> {
        let matches = match self {
            Self::Full(full) => return (full == name).then_some(usize::MAX),
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()).then_some(prefix),
            Self::Suffix(suffix) => name.ends_with(suffix.as_str()).then_some(suffix),
            Self::Any => return Some(0),
        };
        matches.map(|text| text.len() + 1)
    }
}

/// Rules for families; see [`Matcher`] for which of several counts.
#[derive(Clone, Debug)]
pub(crate) struct Matched<T>(Vec<(Matcher, T)>);

impl<T> Default for Matched<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Matched<T> {
    pub(crate) fn push(&mut self, matcher: Matcher, rule: T) {
        self.0.push((matcher, rule));
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        let weighed = self.0.iter().filter_map(|(matcher, rule)| {
            let weight = matcher.weight(name)?;
            Some((weight, rule))
        });
        // The last of the greatest.
        weighed
            .max_by_key(|(weight, _)| *weight)
            .map(|(_, rule)| rule)
    }

    pub(crate) fn rules(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, rule)| rule)
    }
}

/// What the builder was told.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) buckets: Matched<Arc<Bounds>>,
    pub(crate) native: Matched<NativeOptions>,
    pub(crate) limits: Matched<usize>,
    pub(crate) ttls: Matched<Duration>,
    /// Whether a family is shown.
    pub(crate) shown: Matched<bool>,
    pub(crate) renamed: HashMap<String, String>,
    pub(crate) dropped_labels: Vec<(Matcher, String)>,
    /// The only ones that stay.
    pub(crate) kept_labels: Matched<Vec<String>>,
    pub(crate) renamed_labels: Vec<(Matcher, String, String)>,
    pub(crate) global_labels: Vec<(String, String)>,
    pub(crate) base_units: bool,
    pub(crate) exemplars: Option<ExemplarSource>,
}

impl Default for Rules {
    fn default() -> Self {
        let mut buckets = Matched::default();
        buckets.push(Matcher::Any, Arc::new(Bounds::new(DEFAULT_BUCKETS)));
        let sizes = Arc::new(Bounds::new(DEFAULT_SIZE_BUCKETS));
        buckets.push(Matcher::suffix("_bytes"), sizes);
        Self {
            buckets,
            native: Matched::default(),
            limits: Matched::default(),
            ttls: Matched::default(),
            shown: Matched::default(),
            renamed: HashMap::new(),
            dropped_labels: Vec::new(),
            kept_labels: Matched::default(),
            renamed_labels: Vec::new(),
            global_labels: Vec::new(),
            base_units: true,
            exemplars: None,
        }
    }
}

impl Rules {
    pub(crate) fn naming<'a>(&'a self, name: &'a str) -> Naming<'a> {
        match self.renamed.get(name) {
            Some(renamed) => Naming::new(renamed, false),
            None => Naming::new(name, self.base_units),
        }
    }

    pub(crate) fn denies(&self, family: &str) -> bool {
        !own::is_own(family) && self.shown.get(family).is_some_and(|shown| !shown)
    }

    /// The labels of a series of this family, with those of every series, but for those that this one has
    /// itself.
    pub(crate) fn labels<'a>(&'a self, family: &str, key: &'a Key) -> Vec<(&'a str, &'a str)> {
        let own = key.labels().filter_map(|label| {
            let name = self.label(family, label.key())?;
            Some((name, label.value()))
        });
        let mut labels: Vec<_> = own.collect();
        let own = labels.len();
        for (name, value) in &self.global_labels {
            if !labels.iter().take(own).any(|(own, _)| own == name) {
                labels.push((name, value));
            }
        }
        labels
    }

    /// What becomes of a label's name, if the label stays.
    fn label<'a>(&'a self, family: &str, name: &'a str) -> Option<&'a str> {
        if own::is_own(family) {
            return Some(name);
        }
        let of_this = |matcher: &Matcher| matcher.weight(family).is_some();
        let mut dropped = self.dropped_labels.iter();
        if dropped.any(|(matcher, dropped)| dropped == name && of_this(matcher)) {
            return None;
        }
        let kept = self.kept_labels.get(family);
        if kept.is_some_and(|kept| !kept.iter().any(|kept| kept == name)) {
            return None;
        }
        // The last word counts.
        let mut renamed = self.renamed_labels.iter().rev();
        let renamed = renamed.find(|(matcher, from, _)| from == name && of_this(matcher));
        Some(renamed.map_or(name, |(_, _, to)| to))
    }

    pub(crate) fn options(&self, naming: &Naming<'_>, kind: FamilyKind) -> FamilyOptions {
        let name = &*naming.name;
        let bounds = self.buckets.get(name).cloned();
        // What is told of limits has none: its own overflow would have to be told, too.
        let limit = if own::is_own(name) {
            usize::MAX
        } else {
            self.limits.get(name).copied().unwrap_or(DEFAULT_LIMIT)
        };
        FamilyOptions {
            kind,
            scale: naming.scale,
            histogram: HistogramOptions {
                bounds: bounds.unwrap_or_else(|| Arc::new(Bounds::new(DEFAULT_BUCKETS))),
                scale: naming.scale,
                native: self.native.get(name).copied(),
                exemplars: self.exemplars.clone(),
            },
            limit,
            ttl: self.ttls.get(name).copied(),
        }
    }

    /// The shortest time to live of all families.
    pub(crate) fn shortest_ttl(&self) -> Option<Duration> {
        self.ttls.rules().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_rule_decides_and_of_equals_the_last() {
        let mut rules = Matched::default();
        rules.push(Matcher::Any, 0);
        rules.push(Matcher::full("api_request_seconds"), 1);
        rules.push(Matcher::prefix("api_"), 2);
        rules.push(Matcher::suffix("_seconds"), 3);
        rules.push(Matcher::suffix("_seconds"), 4);
        assert_eq!(rules.get("api_request_seconds"), Some(&1));
        assert_eq!(rules.get("api_wait_seconds"), Some(&4));
        assert_eq!(rules.get("api_requests_total"), Some(&2));
        assert_eq!(rules.get("scans_total"), Some(&0));
    }
}
