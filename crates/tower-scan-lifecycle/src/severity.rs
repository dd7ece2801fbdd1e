//! Severities from other vocabularies. A word means different things to different tools (`warning` is
//! medium in SARIF, low in SentraScan; `CRITICAL` is `SonarQube`'s second worst), so that each has its own
//! function.

use crate::Severity;

impl Severity {
    /// From a CVSS base score, version 3.1 or 4: 9.0 and more is critical, 7.0 high, 4.0 medium, above 0
    /// low, 0 itself ("none") info. What is no score (below 0, above 10, not a number) is unknown.
    ///
    /// Source: CVSS v3.1 §5, v4.0 §6, "Qualitative Severity Rating Scale".
    pub fn from_cvss(score: f64) -> Self {
        match score {
            score if !(0.0..=10.0).contains(&score) => Self::Unknown,
            score if score >= 9.0 => Self::Critical,
            score if score >= 7.0 => Self::High,
            score if score >= 4.0 => Self::Medium,
            score if score > 0.0 => Self::Low,
            _ => Self::Info,
        }
    }

    /// From a SARIF result: by `security_severity` (the property `security-severity`, which stands on the
    /// *rule*), a CVSS score, if there is one; else by `level`: `error` is high, `warning` medium, `note`
    /// low, `none` info.
    ///
    /// To look at the level alone reports no critical finding where there are many: tools write `error` for
    /// everything above 7.0.
    ///
    /// Source: SARIF 2.1.0 §3.27.10; GitHub, "SARIF support for code scanning".
    pub fn from_sarif(level: &str, security_severity: Option<f64>) -> Self {
        if let Some(score) = security_severity {
            let severity = Self::from_cvss(score);
            if severity != Self::Unknown {
                return severity;
            }
        }
        Self::by_word(
            level,
            &[
                ("error", Self::High),
                ("warning", Self::Medium),
                ("note", Self::Low),
                ("none", Self::Info),
            ],
        )
    }

    /// From an OCSF `severity_id`: 6 (fatal) and 5 are critical, 4 high, 3 medium, 2 low, 1 info.
    pub const fn from_ocsf(severity_id: u8) -> Self {
        match severity_id {
            5 | 6 => Self::Critical,
            4 => Self::High,
            3 => Self::Medium,
            2 => Self::Low,
            1 => Self::Info,
            _ => Self::Unknown,
        }
    }

    /// From a syslog severity, as Falco's priorities are, too: 0 to 2 are critical, 3 (error) high,
    /// 4 (warning) medium, 5 (notice) low, 6 and 7 info.
    ///
    /// Source: RFC 5424 §6.2.1.
    pub const fn from_syslog(severity: u8) -> Self {
        match severity {
            0..=2 => Self::Critical,
            3 => Self::High,
            4 => Self::Medium,
            5 => Self::Low,
            6 | 7 => Self::Info,
            _ => Self::Unknown,
        }
    }

    /// From the words of Trivy, Grype and Clair: `CRITICAL`, `HIGH`, `MEDIUM`, `LOW`, `NEGLIGIBLE` (low).
    /// Case does not matter.
    pub fn from_trivy(word: &str) -> Self {
        Self::by_word(
            word,
            &[
                ("critical", Self::Critical),
                ("high", Self::High),
                ("medium", Self::Medium),
                ("low", Self::Low),
                ("negligible", Self::Low),
            ],
        )
    }

    /// From the words of npm's and GitHub's advisories: `critical`, `high`, `moderate` or `medium`, `low`,
    /// `info`. Case does not matter.
    pub fn from_npm(word: &str) -> Self {
        Self::by_word(
            word,
            &[
                ("critical", Self::Critical),
                ("high", Self::High),
                ("moderate", Self::Medium),
                ("medium", Self::Medium),
                ("low", Self::Low),
                ("info", Self::Info),
            ],
        )
    }

    /// From `SonarQube`'s words: `BLOCKER` is critical, `CRITICAL` high, `MAJOR` medium, `MINOR` low, `INFO`
    /// info. Case does not matter.
    pub fn from_sonarqube(word: &str) -> Self {
        Self::by_word(
            word,
            &[
                ("blocker", Self::Critical),
                ("critical", Self::High),
                ("major", Self::Medium),
                ("minor", Self::Low),
                ("info", Self::Info),
            ],
        )
    }

    /// From SentraScan's words: `CRITICAL`, `HIGH`, `MEDIUM`, `LOW` and `WARNING` (both low), `INFO`. Case
    /// does not matter.
    pub fn from_sentrascan(word: &str) -> Self {
        Self::by_word(
            word,
            &[
                ("critical", Self::Critical),
                ("high", Self::High),
                ("medium", Self::Medium),
                ("low", Self::Low),
                ("warning", Self::Low),
                ("info", Self::Info),
            ],
        )
    }

    /// From a word of which nobody says whose it is: those that mean the same to nearly everybody. Case does
    /// not matter. What depends on the tool (`warning`, `error`, `blocker`) is unknown.
    pub fn parse_lenient(word: &str) -> Self {
        Self::by_word(
            word,
            &[
                ("critical", Self::Critical),
                ("high", Self::High),
                ("medium", Self::Medium),
                ("moderate", Self::Medium),
                ("low", Self::Low),
                ("negligible", Self::Low),
                ("info", Self::Info),
                ("informational", Self::Info),
            ],
        )
    }

    fn by_word(word: &str, words: &[(&str, Self)]) -> Self {
        let word = word.trim();
        words
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(word))
            .map_or(Self::Unknown, |&(_, severity)| severity)
    }
}
