//! One scan: a file, or every file of a directory that is of the kind looked for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use cap_std::fs::File;

use super::error::ScanError;
use super::finding::{Finding, Severity};
use super::kind::ScanType;
use super::limits::Limits;
use super::progress::{Engine, EngineEnd, Progress};
use super::report::Report;
use super::source::Context;
use super::target::{Opened, Target, TargetError};
use super::{mcp, model};

/// How a file came to be scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// The caller named it: it must be of the kind scanned for.
    Named,
    /// A directory contained it: it may be something else.
    Found,
}

/// Whether a file was of the kind looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Scanned,
    SomethingElse,
}

/// One file as the scanners see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) file: &'a File,
    pub(super) path: &'a str,
    pub(super) size: u64,
    pub(super) chosen: Chosen,
}

/// Scans `target` for `kind`.
///
/// Findings come most severe first, otherwise by path and position; the same bytes give the same findings. In a
/// directory, files of another kind are passed over and one that cannot be parsed is a finding of its own; links to
/// files inside the root are followed, links to directories are not.
///
/// # Errors
///
/// [`ScanError::Unparseable`] for a single file of another kind and for a directory with nothing to scan,
/// [`ScanError::TooLarge`] beyond one of `limits`, [`ScanError::Cancelled`] once `progress` says so.
pub fn scan(
    kind: ScanType,
    target: &Target,
    limits: &Limits,
    progress: &Progress<'_>,
) -> Result<Vec<Finding>, ScanError> {
    let context = Context { limits, progress };
    let mut report = Report::new(limits.max_findings);
    progress.check()?;
    match target.opened() {
        Opened::File(file, size) => {
            progress.found(*size);
            let candidate = Candidate {
                file,
                path: target.display_path(),
                size: *size,
                chosen: Chosen::Named,
            };
            scan_file(kind, candidate, context, &mut report)?;
        }
        Opened::Directory => scan_directory(kind, target, context, &mut report)?,
    }
    Ok(report.finish())
}

fn scan_file(
    kind: ScanType,
    candidate: Candidate<'_>,
    context: Context<'_>,
    report: &mut Report,
) -> Result<Verdict, ScanError> {
    match kind {
        ScanType::Mcp => {
            let scanned = mcp::scan_file(candidate, context, report);
            let end = match &scanned {
                Ok(Verdict::Scanned) => Some(EngineEnd::Completed),
                Err(ScanError::TooLarge { .. }) => Some(EngineEnd::Skipped),
                Err(ScanError::Unparseable { .. } | ScanError::Io { .. }) => {
                    Some(EngineEnd::Failed)
                }
                Ok(Verdict::SomethingElse) | Err(ScanError::Cancelled) => None,
            };
            if let Some(end) = end {
                context.progress.engine_ended(Engine::Mcp, end);
            }
            scanned
        }
        // Which of its engines runs is seen from the file.
        ScanType::Model => model::scan_file(candidate, context, report),
    }
}

fn scan_directory(
    kind: ScanType,
    target: &Target,
    context: Context<'_>,
    report: &mut Report,
) -> Result<(), ScanError> {
    let mut scanned = 0_usize;
    for path in list(target, context, report)? {
        context.progress.check()?;
        let shown = super::text::clip(&path.to_string_lossy(), 400);
        let opened = match target.root().open_inside(path) {
            Ok(opened) => opened,
            Err(error) => {
                report_unopened(&error, &shown, report);
                continue;
            }
        };
        // A link to a directory; following those could go round in circles.
        let Opened::File(file, size) = opened.opened() else {
            continue;
        };
        context.progress.found(*size);
        let candidate = Candidate {
            file,
            path: opened.display_path(),
            size: *size,
            chosen: Chosen::Found,
        };
        let error = match scan_file(kind, candidate, context, report) {
            Ok(Verdict::Scanned) => {
                scanned += 1;
                continue;
            }
            Ok(Verdict::SomethingElse) => continue,
            Err(ScanError::Cancelled) => return Err(ScanError::Cancelled),
            Err(error) => error,
        };
        scanned += 1;
        match error {
            ScanError::Unparseable { reason, .. } => {
                report.add(Severity::Medium, "unparseable-file", shown, reason)
            }
            ScanError::TooLarge { limit, allowed, .. } => {
                report.add(
                    Severity::Medium,
                    "incomplete-scan",
                    shown,
                    format!("not scanned: beyond {limit} = {allowed}"),
                );
            }
            ScanError::Io { source, .. } => {
                report.add(
                    Severity::Medium,
                    "unreadable-file",
                    shown,
                    format!("not scanned: {source}"),
                );
            }
            ScanError::Cancelled => {}
        }
    }
    if scanned == 0 && report.is_empty() {
        let looked_for = match kind {
            ScanType::Mcp => mcp::LOOKED_FOR,
            ScanType::Model => model::LOOKED_FOR,
        };
        return Err(ScanError::unparseable(
            target.display_path(),
            format!("the directory has none of {looked_for}"),
        ));
    }
    Ok(())
}

fn report_unopened(error: &TargetError, shown: &str, report: &mut Report) {
    match error {
        TargetError::OutsideRoot { .. } => report.add(
            Severity::Medium,
            "symlink-outside-root",
            shown,
            "a link out of the scan root: what it points at is not scanned, and is read by whoever follows it",
        ),
        // Gone since it was listed, or a dangling link: there is nothing to load either.
        TargetError::NotFound { .. } | TargetError::NotScannable { .. } => {}
        TargetError::Invalid { .. } | TargetError::Io { .. } => {
            report.add(Severity::Medium, "unreadable-file", shown, format!("not scanned: {error}"));
        }
    }
}

/// Paths of all files and links below `target`, each directory's in the order of their names.
fn list(
    target: &Target,
    context: Context<'_>,
    report: &mut Report,
) -> Result<Vec<PathBuf>, ScanError> {
    let limits = context.limits;
    let mut files = Vec::new();
    let mut pending = vec![(target.path().to_owned(), 0_usize)];
    let mut seen = 0_usize;
    while let Some((path, depth)) = pending.pop() {
        context.progress.check()?;
        let shown = super::text::clip(&path.to_string_lossy(), 400);
        let entries = match target.root().dir().read_dir(&path) {
            Ok(entries) => entries,
            Err(source) if depth == 0 => {
                return Err(ScanError::Io {
                    path: shown,
                    source,
                });
            }
            Err(error) => {
                report.add(
                    Severity::Medium,
                    "unreadable-file",
                    shown,
                    format!("not scanned: {error}"),
                );
                continue;
            }
        };
        let mut names: Vec<(OsString, bool)> = Vec::new();
        for entry in entries {
            let Ok(entry) = entry else { continue };
            seen += 1;
            if seen > limits.max_files {
                let message = format!(
                    "more than max_files = {} files: the rest is not scanned",
                    limits.max_files
                );
                report.add(Severity::High, "incomplete-scan", shown.as_str(), message);
                break;
            }
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() || kind.is_file() || kind.is_symlink() {
                names.push((entry.file_name(), kind.is_dir()));
            }
        }
        names.sort_unstable();
        let here = if path == Path::new(".") {
            Path::new("")
        } else {
            path.as_path()
        };
        let mut below = Vec::new();
        for (name, is_directory) in names {
            if !is_directory {
                files.push(here.join(name));
            } else if depth < limits.max_depth {
                below.push((here.join(name), depth + 1));
            } else {
                let message = format!("deeper than max_depth = {}: not scanned", limits.max_depth);
                report.add(Severity::High, "incomplete-scan", shown.as_str(), message);
            }
        }
        pending.extend(below.into_iter().rev());
        if seen > limits.max_files {
            break;
        }
    }
    files.sort_unstable();
    Ok(files)
}
