//! `scan-platform doctor`: does everything that a scan needs work here?

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, ensure};

use crate::{
    platform::{self, Platform},
    record::{ScanRecord, ScanStatus},
    scan::{Policy, ScanRoot, ScanType},
    store::{DatabaseUrl, Store},
    telemetry,
};

/// What to check.
#[derive(Debug)]
pub struct Options {
    /// The directory below which scans would read.
    pub scan_root: PathBuf,
    /// Where scans would be kept.
    pub database_url: DatabaseUrl,
}

/// Checks the scan root, the database, each scanner and the exporter, and prints a line for each. The
/// exit code is 0 if all work, else 1.
///
/// # Errors
///
/// If nothing can be printed.
pub async fn doctor(options: Options) -> anyhow::Result<ExitCode> {
    let mut healthy = true;
    healthy &= tell("scan root", check_root(&options))?;
    healthy &= tell("database", check_database(&options).await)?;
    for (scan_type, sample) in SAMPLES {
        healthy &= tell(
            &format!("{} scanner", scan_type.as_str()),
            check_scanner(scan_type, sample).await,
        )?;
    }
    healthy &= tell("exporter", check_exporter())?;
    Ok(ExitCode::from(u8::from(!healthy)))
}

fn tell(part: &str, result: anyhow::Result<String>) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match result {
        Ok(found) => writeln!(out, "ok    {part}: {found}").map(|()| true),
        Err(error) => writeln!(out, "FAIL  {part}: {error:#}").map(|()| false),
    }
}

fn check_root(options: &Options) -> anyhow::Result<String> {
    let root = ScanRoot::open(&options.scan_root)
        .with_context(|| format!("cannot open {:?}: give a directory", options.scan_root))?;
    root.target(".").context("it cannot be read")?;
    Ok(options.scan_root.display().to_string())
}

async fn check_database(options: &Options) -> anyhow::Result<String> {
    let store = Store::opened(&options.database_url, "doctor").await?;
    store.try_out().await?;
    let version = store.version().await?;
    store.close().await;
    Ok(format!(
        "{}, {version}, written and read",
        options.database_url
    ))
}

/// For each scanner a harmless file that it must object to.
const SAMPLES: [(ScanType, &[u8]); 2] = [
    (
        ScanType::Mcp,
        br#"{"mcpServers":{"a":{"url":"http://mcp.example.com/"}}}"#,
    ),
    // GLOBAL os.system, and the end: it is named, not called.
    (ScanType::Model, b"\x80\x02cos\nsystem\n."),
];

async fn check_scanner(scan_type: ScanType, sample: &[u8]) -> anyhow::Result<String> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    std::fs::write(folder.path().join("sample"), sample)?;
    let store = Store::opened(&DatabaseUrl::in_memory(), "doctor").await?;
    let root = folder.path().to_path_buf();
    let platform =
        Platform::by_itself(&root, Policy::default(), &platform::scan_metrics()?, store)?;
    let target = platform.target(String::from("sample")).await?;
    let scan = platform
        .scan(ScanRecord::start(scan_type, "sample"), target, None)
        .await?;
    ensure!(
        scan.status == ScanStatus::Completed,
        "a scan of a sample ended {}: {}",
        scan.status.as_str(),
        scan.error.map(|error| error.message).unwrap_or_default(),
    );
    let finding = scan
        .findings
        .first()
        .context("it found nothing in a sample that is bad")?;
    Ok(format!("found {} in a sample", finding.rule))
}

fn check_exporter() -> anyhow::Result<String> {
    let scans = platform::scan_metrics()?;
    let exporter = telemetry::exporter(&scans)?.build()?;
    metrics::with_local_recorder(&exporter.recorder(), || scans.register());
    let page = exporter.render();
    let series = page
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .count();
    ensure!(series > 0, "it shows no series");
    Ok(format!("{series} series before the first scan"))
}
