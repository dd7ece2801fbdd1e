//! When a scan's findings block.

use serde::{Deserialize, Serialize};

use super::finding::{Severities, Severity};

/// How many findings of each severity are tolerated; `None` tolerates any number.
///
/// By default critical 0, high 10, medium 50, low 100. Info never blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Most critical findings that still pass.
    pub critical: Option<u64>,
    /// Most high findings that still pass.
    pub high: Option<u64>,
    /// Most medium findings that still pass.
    pub medium: Option<u64>,
    /// Most low findings that still pass.
    pub low: Option<u64>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            critical: Some(0),
            high: Some(10),
            medium: Some(50),
            low: Some(100),
        }
    }
}

impl Policy {
    /// Whether these counts are within every maximum.
    pub fn passed(&self, found: &Severities) -> bool {
        self.blocked_by(found).is_none()
    }

    /// The most severe severity whose maximum is exceeded.
    pub fn blocked_by(&self, found: &Severities) -> Option<Severity> {
        Severity::ALL.into_iter().find(|&severity| {
            self.maximum(severity)
                .is_some_and(|maximum| found.get(severity) > maximum)
        })
    }

    const fn maximum(&self, severity: Severity) -> Option<u64> {
        match severity {
            Severity::Critical => self.critical,
            Severity::High => self.high,
            Severity::Medium => self.medium,
            Severity::Low => self.low,
            Severity::Info => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_severe_exceeded_maximum_is_named() {
        let policy = Policy::default();
        assert!(policy.passed(&Severities {
            high: 10,
            medium: 50,
            low: 100,
            info: u64::MAX,
            critical: 0
        }));
        let found = Severities {
            critical: 1,
            high: 11,
            ..Severities::default()
        };
        assert_eq!(policy.blocked_by(&found), Some(Severity::Critical));
        let found = Severities {
            high: 11,
            low: 101,
            ..Severities::default()
        };
        assert_eq!(policy.blocked_by(&found), Some(Severity::High));
        let lenient = Policy {
            high: None,
            ..policy
        };
        assert_eq!(lenient.blocked_by(&found), Some(Severity::Low));
    }
}
