//! What a scan reports.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad a finding is. Orders by severity: [`Severity::Critical`] is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; never blocks.
    Info,
    /// A weakness that needs another one to matter.
    Low,
    /// A weakness, or something that could not be judged.
    Medium,
    /// Very likely abuse, or a direct path to it.
    High,
    /// Code execution or a leaked credential.
    Critical,
}

impl Severity {
    /// Every severity, most severe first.
    pub const ALL: [Self; 5] = [
        Self::Critical,
        Self::High,
        Self::Medium,
        Self::Low,
        Self::Info,
    ];

    /// The lower-case name, the same text serde uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Info => "info",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How many findings there are of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Severities {
    /// Findings of [`Severity::Critical`].
    pub critical: u64,
    /// Findings of [`Severity::High`].
    pub high: u64,
    /// Findings of [`Severity::Medium`].
    pub medium: u64,
    /// Findings of [`Severity::Low`].
    pub low: u64,
    /// Findings of [`Severity::Info`].
    pub info: u64,
}

impl Severities {
    /// Counts `findings`.
    pub fn of<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        let mut counts = Self::default();
        for finding in findings {
            counts.add(finding.severity);
        }
        counts
    }

    /// Counts one more finding of `severity`.
    pub fn add(&mut self, severity: Severity) {
        let count = match severity {
            Severity::Critical => &mut self.critical,
            Severity::High => &mut self.high,
            Severity::Medium => &mut self.medium,
            Severity::Low => &mut self.low,
            Severity::Info => &mut self.info,
        };
        *count = count.saturating_add(1);
    }

    /// How many findings there are of `severity`.
    pub const fn get(&self, severity: Severity) -> u64 {
        match severity {
            Severity::Critical => self.critical,
            Severity::High => self.high,
            Severity::Medium => self.medium,
            Severity::Low => self.low,
            Severity::Info => self.info,
        }
    }

    /// Every severity with its count, most severe first, zeros included.
    pub fn iter(&self) -> impl Iterator<Item = (Severity, u64)> + use<> {
        let counts = *self;
        Severity::ALL
            .into_iter()
            .map(move |severity| (severity, counts.get(severity)))
    }

    /// All findings together.
    pub fn total(&self) -> u64 {
        self.iter()
            .fold(0, |sum, (_, count)| sum.saturating_add(count))
    }
}

/// One thing a scan has to say about its target.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which rule said so, kebab-case and stable: a label, a filter, a key.
    pub rule: Cow<'static, str>,
    /// What was found and what it means. Never repeats a secret; control characters are escaped.
    pub message: String,
    /// Where: `mcpServers.github.env.TOKEN`, `model.pkl:opcode 17 (byte 93)`, `model.pt!archive/data.pkl:opcode 3
    /// (byte 20)`; in a directory scan the file's path comes first.
    pub location: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {}: {}",
            self.severity, self.rule, self.location, self.message
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn critical_is_the_greatest_severity_and_comes_first() {
        assert_eq!(Severity::ALL.iter().max(), Some(&Severity::Critical));
        assert!(Severity::ALL.is_sorted_by(|a, b| a > b));
    }

    #[test]
    fn counting_and_iterating_agree() {
        let mut counts = Severities::default();
        for (times, severity) in Severity::ALL.into_iter().enumerate() {
            for _ in 0..=times {
                counts.add(severity);
            }
        }
        let seen: Vec<_> = counts.iter().map(|(_, count)| count).collect();
        assert_eq!(seen, [1, 2, 3, 4, 5]);
        assert_eq!(counts.total(), 15);
    }

    #[test]
    fn a_finding_survives_serde() {
        let finding = Finding {
            severity: Severity::High,
            rule: "plain-http".into(),
            message: "m".to_owned(),
            location: "l".to_owned(),
        };
        let json = serde_json::to_string(&finding).unwrap();
        assert!(json.contains("\"severity\":\"high\""), "{json}");
        assert_eq!(serde_json::from_str::<Finding>(&json).unwrap(), finding);
    }
}
