//! `scan-platform scan`: one scan from the shell.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    log,
    platform::{self, Platform},
    push,
    record::ScanRecord,
    scan::{Policy, ScanType, Step},
    scanner::Watch,
    serve,
    store::{DatabaseUrl, Store},
    telemetry,
};

/// What to scan, and how to tell of it.
#[derive(Debug)]
pub struct Options {
    /// Which scanner is to run.
    pub scan_type: ScanType,
    /// The file or directory.
    pub path: PathBuf,
    /// Whether to print the scan as JSON.
    pub json: bool,
    /// When findings block.
    pub policy: Policy,
    /// Where the scan's series are sent to, once it has ended.
    pub push: push::Options,
}

/// How long that may take.
const PUSH: Duration = Duration::from_secs(10);

/// Runs one scan. The exit code is 0 if it passed, 1 if the policy blocks, 2 if the scan failed.
///
/// # Errors
///
/// If the path cannot be scanned at all.
pub async fn scan(options: Options) -> anyhow::Result<ExitCode> {
    let _log = log::to_stderr("off")?;
    // The path is the user's own to choose; what it contains is not: links may not lead out of it.
    let (root, inside) = split(&options.path)?;
    let store = Store::opened(&DatabaseUrl::in_memory(), "shell").await?;
    let scans = platform::scan_metrics()?;
    let sinks = if options.push.is_some() {
        let exporter = telemetry::install_exporter(&scans, &store)?;
        let instance = serve::host_name().unwrap_or_else(|| String::from("localhost"));
        push::start(&exporter, &options.push, &instance)?
    } else {
        None
    };
    let platform = Platform::by_itself(&root, options.policy, &scans, store)?;
    let target = platform.target(inside).await?;

    let bar = progress_bar();
    let scan = ScanRecord::start(options.scan_type, &options.path.display().to_string());
    let scan = platform.scan(scan, target, Some(watch(&bar))).await;
    bar.finish_and_clear();

    // The scan is what was asked for: whether its series arrive changes nothing about it.
    if let Err(error) = push::stop(sinks, PUSH).await {
        writeln!(io::stderr(), "warning: not all metrics were sent: {error}")?;
    }
    let scan = scan?;
    let mut out = io::stdout().lock();
    if options.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&scan)?)?;
    } else {
        writeln!(out, "{}", table(&scan, &options.policy))?;
    }
    Ok(ExitCode::from(match scan.passed {
        Some(true) => 0,
        Some(false) => 1,
        None => 2,
    }))
}

/// The directory that confines the scan, and the path in it.
fn split(path: &Path) -> anyhow::Result<(PathBuf, String)> {
    let found = std::fs::metadata(path)
        .with_context(|| format!("cannot scan {path:?}: give a file or a directory that exists"))?;
    if found.is_dir() {
        return Ok((path.to_owned(), String::from(".")));
    }
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("cannot scan {path:?}: its name is not UTF-8"))?;
    Ok((
        parent.unwrap_or_else(|| Path::new(".")).to_owned(),
        name.to_owned(),
    ))
}

fn progress_bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = "{spinner} {wide_msg} {bytes}/{total_bytes} [{bar:30}] {eta}";
    let style =
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

fn watch(bar: &ProgressBar) -> Watch {
    let bar = bar.clone();
    Arc::new(move |step: &Step<'_>| {
        bar.set_length(step.bytes_total);
        bar.set_position(step.bytes_done);
        bar.set_message(step.path.to_owned());
    })
}

fn table(scan: &ScanRecord, policy: &Policy) -> String {
    let verdict = match (&scan.error, policy.blocked_by(&scan.severities)) {
        (Some(error), _) => format!("FAILED  {}: {}", scan.path, error.message),
        (None, Some(severity)) => {
            let found = scan.severities.get(severity);
            format!(
                "BLOCKED {}: {found} {severity} findings are more than the policy lets pass",
                scan.path
            )
        }
        (None, None) => format!("PASSED  {}", scan.path),
    };
    if scan.findings.is_empty() {
        return verdict;
    }
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["severity", "rule", "location", "message"]);
    for finding in &scan.findings {
        table.add_row([
            finding.severity.as_str(),
            finding.rule.as_ref(),
            finding.location.as_str(),
            finding.message.as_str(),
        ]);
    }
    let counts: Vec<_> = scan
        .severities
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(severity, count)| format!("{count} {severity}"))
        .collect();
    format!("{table}\n{verdict} ({})", counts.join(", "))
}
