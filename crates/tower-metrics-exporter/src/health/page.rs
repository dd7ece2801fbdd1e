use std::fmt::Write as _;

use http::StatusCode;

use super::{HealthHandle, HealthReport, Probe};

/// As many checks as a probe can leave out, and as long names.
const MAX_EXCLUDED: usize = 64;
const MAX_LENGTH: usize = 256;

/// What stands behind the `?` of a probe.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    is_verbose: bool,
    excluded: Vec<String>,
}

impl Options {
    pub(super) fn of(query: Option<&str>) -> Self {
        let mut options = Self::default();
        for (parameter, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*parameter {
                "verbose" => options.is_verbose = true,
                "exclude" if options.excluded.len() < MAX_EXCLUDED && value.len() <= MAX_LENGTH => {
                    options.excluded.push(value.into_owned());
                }
                _ => {}
            }
        }
        options
    }
}

/// Asks the checks, and tells what they said as Kubernetes' own servers do.
pub(super) async fn page(
    health: &HealthHandle,
    name: &str,
    probe: Probe,
    options: &Options,
    has_reasons: bool,
) -> (StatusCode, String) {
    let is_excluded = |name: &str| options.excluded.iter().any(|excluded| excluded == name);
    let report = health.report_without(probe, is_excluded).await;
    let is_passing = report.is_passing();
    let status = if is_passing {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if is_passing && !options.is_verbose {
        return (status, String::from("ok"));
    }
    (status, verbose(health, name, &report, options, has_reasons))
}

fn verbose(
    health: &HealthHandle,
    name: &str,
    report: &HealthReport,
    options: &Options,
    has_reasons: bool,
) -> String {
    let mut page = String::new();
    let mut line = |line: std::fmt::Arguments<'_>| {
        if !page.is_empty() {
            page.push('\n');
        }
        // Writing to a string does not fail.
        page.write_fmt(line).unwrap_or_default();
    };
    for check in report.checks() {
        match check.failure() {
            None => line(format_args!("[+]{} ok", check.name())),
            Some(failure) if has_reasons => {
                let failure = failure.to_string().replace(['\n', '\r'], " ");
                line(format_args!("[-]{} failed: {failure}", check.name()));
            }
            Some(_) => line(format_args!("[-]{} failed: reason withheld", check.name())),
        }
    }
    if report.probe == Probe::Ready {
        line(if report.is_shutting_down {
            format_args!("[-]shutdown failed: the process is shutting down")
        } else {
            format_args!("[+]shutdown ok")
        });
    }
    for excluded in &options.excluded {
        if health.has_check(excluded) {
            line(format_args!("[+]{excluded} excluded: ok"));
        } else {
            line(format_args!("warn: no check is called {excluded:?}"));
        }
    }
    let verdict = if report.is_passing() {
        "passed"
    } else {
        "failed"
    };
    line(format_args!("{name} check {verdict}"));
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_decoded_and_bounded() {
        let options = |is_verbose, excluded: &[&str]| Options {
            is_verbose,
            excluded: excluded.iter().map(|&name| name.to_owned()).collect(),
        };
        for (query, expected) in [
            (None, options(false, &[])),
            (Some(""), options(false, &[])),
            (Some("verbose"), options(true, &[])),
            (Some("verbose=false"), options(true, &[])),
            (
                Some("exclude=a%20b&exclude=c"),
                options(false, &["a b", "c"]),
            ),
            (Some("VERBOSE&excluded=a"), options(false, &[])),
        ] {
            assert_eq!(Options::of(query), expected, "{query:?}");
        }
        let many = "exclude=a&".repeat(MAX_EXCLUDED + 1);
        assert_eq!(Options::of(Some(&many)).excluded.len(), MAX_EXCLUDED);
        let long = format!("exclude={}", "a".repeat(MAX_LENGTH + 1));
        assert_eq!(Options::of(Some(&long)), options(false, &[]));
    }
}
