use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use super::Family;
use crate::format::{FamilyKind, valid_name};

/// What a name of the facade becomes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Naming<'a> {
    /// The name of the family.
    pub(crate) name: Cow<'a, str>,
    /// What values are multiplied with.
    pub(crate) scale: f64,
}

/// Units that a name may end with, and what Prometheus has instead: the base unit, and how many of it
/// they are.
const UNITS: [(&str, &str, f64); 14] = [
    ("_nanoseconds", "_seconds", 1e-9),
    ("_microseconds", "_seconds", 1e-6),
    ("_milliseconds", "_seconds", 1e-3),
    ("_minutes", "_seconds", 60.0),
    ("_hours", "_seconds", 3600.0),
    ("_days", "_seconds", 86_400.0),
    ("_kilobytes", "_bytes", 1e3),
    ("_megabytes", "_bytes", 1e6),
    ("_gigabytes", "_bytes", 1e9),
    ("_kibibytes", "_bytes", 1024.0),
    ("_mebibytes", "_bytes", 1_048_576.0),
    ("_gibibytes", "_bytes", 1_073_741_824.0),
    ("_percent", "_ratio", 0.01),
    ("_millivolts", "_volts", 1e-3),
];

impl<'a> Naming<'a> {
    /// Makes a name valid, and with `base_units` its unit a base unit.
    pub(crate) fn new(name: &'a str, base_units: bool) -> Self {
        let name = valid_name(name, true);
        if base_units {
            let (stem, total) = match name.strip_suffix("_total") {
                Some(stem) => (stem, "_total"),
                None => (&*name, ""),
            };
            let unit = UNITS.iter().find_map(|(suffix, base, scale)| {
                let stem = stem.strip_suffix(suffix)?;
                Some((format!("{stem}{base}{total}"), *scale))
            });
            if let Some((name, scale)) = unit {
                let name = Cow::Owned(name);
                return Self { name, scale };
            }
        }
        Self { name, scale: 1.0 }
    }
}

/// What a histogram appends to its name; the last is kept for it by OpenMetrics.
pub(crate) const HISTOGRAM_SUFFIXES: [&str; 4] = ["_bucket", "_sum", "_count", "_created"];

/// Whether a new family would write samples of the same name as one that is there.
pub(super) fn clashes(
    families: &BTreeMap<Box<str>, Arc<Family>>,
    name: &str,
    kind: FamilyKind,
) -> bool {
    let is_histogram = |stem| {
        let family: Option<&Arc<Family>> = families.get(stem);
        family.is_some_and(|family| family.kind() == FamilyKind::Histogram)
    };
    let is_sample_of = |suffix| name.strip_suffix(suffix).is_some_and(is_histogram);
    let would_write = |suffix| {
        kind == FamilyKind::Histogram && families.contains_key(&*format!("{name}{suffix}"))
    };
    HISTOGRAM_SUFFIXES
        .into_iter()
        .any(|suffix| is_sample_of(suffix) || would_write(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_become_base_units() {
        for (name, expected, scale) in [
            ("lat_milliseconds", "lat_seconds", 1e-3),
            ("busy_nanoseconds_total", "busy_seconds_total", 1e-9),
            ("sent_kibibytes_total", "sent_bytes_total", 1024.0),
            ("used_percent", "used_ratio", 0.01),
            ("lat_seconds", "lat_seconds", 1.0),
            ("milliseconds", "milliseconds", 1.0),
            ("subtotal", "subtotal", 1.0),
            ("http.server.duration", "http_server_duration", 1.0),
        ] {
            let naming = Naming::new(name, true);
            assert_eq!((&*naming.name, naming.scale), (expected, scale));
        }
        assert_eq!(
            Naming::new("lat_milliseconds", false).name,
            "lat_milliseconds"
        );
    }
}
