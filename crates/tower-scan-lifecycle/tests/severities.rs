//! Severities from other vocabularies.

use tower_scan_lifecycle::Severity::{self, Critical, High, Info, Low, Medium, Unknown};

#[track_caller]
fn all<T: Copy + std::fmt::Debug>(of: impl Fn(T) -> Severity, table: &[(T, Severity)]) {
    for &(value, severity) in table {
        assert_eq!(of(value), severity, "{value:?}");
    }
}

#[test]
fn cvss_scores_have_the_bounds_of_the_specification() {
    all(
        Severity::from_cvss,
        &[
            (10.0, Critical),
            (9.0, Critical),
            (8.9, High),
            (7.0, High),
            (6.9, Medium),
            (4.0, Medium),
            (3.9, Low),
            (0.1, Low),
            (0.0, Info),
            (-0.0, Info),
            (-0.1, Unknown),
            (10.1, Unknown),
            (f64::NAN, Unknown),
            (f64::INFINITY, Unknown),
            (f64::NEG_INFINITY, Unknown),
        ],
    );
}

#[test]
fn sarif_goes_by_the_security_severity_first() {
    all(
        |(level, score)| Severity::from_sarif(level, score),
        &[
            (("error", Some(9.8)), Critical),
            (("note", Some(9.8)), Critical),
            (("error", Some(2.0)), Low),
            (("error", Some(0.0)), Info),
            // What is no score is none.
            (("error", Some(11.0)), High),
            (("warning", Some(f64::NAN)), Medium),
            (("error", None), High),
            (("warning", None), Medium),
            (("note", None), Low),
            (("none", None), Info),
            (("", None), Unknown),
            (("fatal", None), Unknown),
        ],
    );
}

#[test]
fn ocsf_and_syslog_go_by_number() {
    all(
        Severity::from_ocsf,
        &[
            (0, Unknown),
            (1, Info),
            (2, Low),
            (3, Medium),
            (4, High),
            (5, Critical),
            (6, Critical),
            (7, Unknown),
            (99, Unknown),
        ],
    );
    all(
        Severity::from_syslog,
        &[
            (0, Critical),
            (1, Critical),
            (2, Critical),
            (3, High),
            (4, Medium),
            (5, Low),
            (6, Info),
            (7, Info),
            (8, Unknown),
            (255, Unknown),
        ],
    );
}

#[test]
fn each_tools_words_are_its_own() {
    all(
        Severity::from_trivy,
        &[
            ("CRITICAL", Critical),
            ("HIGH", High),
            ("Medium", Medium),
            ("low", Low),
            ("NEGLIGIBLE", Low),
            ("UNKNOWN", Unknown),
            ("WARNING", Unknown),
        ],
    );
    all(
        Severity::from_npm,
        &[
            ("critical", Critical),
            ("high", High),
            ("moderate", Medium),
            ("medium", Medium),
            ("low", Low),
            ("info", Info),
            ("", Unknown),
        ],
    );
    all(
        Severity::from_sonarqube,
        &[
            ("BLOCKER", Critical),
            ("CRITICAL", High),
            ("MAJOR", Medium),
            ("MINOR", Low),
            ("INFO", Info),
            ("HIGH", Unknown),
        ],
    );
    all(
        Severity::from_sentrascan,
        &[
            ("CRITICAL", Critical),
            ("HIGH", High),
            ("MEDIUM", Medium),
            ("LOW", Low),
            ("WARNING", Low),
            ("INFO", Info),
            ("severe", Unknown),
        ],
    );
}

#[test]
fn a_word_of_unknown_origin_never_fails_and_is_not_guessed() {
    all(
        Severity::parse_lenient,
        &[
            (" Critical ", Critical),
            ("HIGH", High),
            ("medium", Medium),
            ("moderate", Medium),
            ("low", Low),
            ("negligible", Low),
            ("info", Info),
            ("Informational", Info),
            ("unknown", Unknown),
            ("warning", Unknown),
            ("error", Unknown),
            ("blocker", Unknown),
            ("", Unknown),
            ("\u{1f525}", Unknown),
        ],
    );
    // What is recorded can be read again.
    for severity in Severity::ALL {
        assert_eq!(Severity::parse_lenient(severity.as_str()), severity);
    }
}
