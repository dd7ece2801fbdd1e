//! Model files: what loading one would run, and whether its layout is what it claims.

mod archive;
mod npy;
mod pickle;
mod safetensors;

use std::io::{self, BufReader, Read, Seek};

use super::engine::{Candidate, Chosen, Verdict};
use super::error::ScanError;
use super::finding::Severity;
use super::progress::{Engine, EngineEnd};
use super::report::Report;
use super::source::{Context, Source};
use pickle::{HEAD, Input, Looks, Stop, begins_with_opcode, looks};

/// What a directory is searched for, for an error's text.
pub(super) const LOOKED_FOR: &str = "pickles (.pkl, .joblib, .pt), zip checkpoints (.pt, .pth, .ckpt, .npz, .keras), .npy and .safetensors files";

/// Names that promise a model; a file so called that is none is worth a finding.
const EXTENSIONS: &[&str] = &[
    "ckpt",
    "joblib",
    "keras",
    "npy",
    "npz",
    "pickle",
    "pkl",
    "pt",
    "pth",
    "safetensors",
];

/// What a file's first bytes say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Zip,
    Npy,
    Safetensors,
    Pickle,
    /// May be a pickle of protocol 0 or 1, which has no header.
    MaybePickle,
}

fn detect(head: &[u8]) -> Option<Format> {
    if archive::is_zip(head) {
        return Some(Format::Zip);
    }
    if npy::is_npy(head) {
        return Some(Format::Npy);
    }
    if safetensors::is_safetensors(head) {
        return Some(Format::Safetensors);
    }
    match looks(head) {
        Looks::Certain => Some(Format::Pickle),
        Looks::Likely => Some(Format::MaybePickle),
        Looks::Otherwise => begins_with_opcode(head).then_some(Format::MaybePickle),
    }
}

/// Scans one file, whatever it is called.
pub(super) fn scan_file(
    candidate: Candidate<'_>,
    context: Context<'_>,
    report: &mut Report,
) -> Result<Verdict, ScanError> {
    let Candidate {
        file,
        path,
        size,
        chosen,
    } = candidate;
    let limits = context.limits;
    let promised = chosen == Chosen::Named || has_extension(path);
    let mut source = Source::new(file, path, size, context.progress)
        .map_err(|error| ScanError::io(path, error))?;
    let head = first_bytes(&mut source).map_err(|error| ScanError::io(path, error))?;
    let format = match detect(&head) {
        Some(Format::MaybePickle) if !promised && looks(&head) == Looks::Otherwise => None,
        format => format,
    };
    let Some(format) = format else {
        if !promised {
            return Ok(Verdict::SomethingElse);
        }
        let reason = if size == 0 {
            "the file is empty"
        } else {
            "its first bytes are those of no pickle, zip checkpoint, .npy or .safetensors file"
        };
        return Err(ScanError::unparseable(path, reason));
    };
    let engine = engine(format);
    if size > limits.max_file_bytes {
        context.progress.engine_ended(engine, EngineEnd::Skipped);
        return Err(ScanError::too_large(
            path,
            "max_file_bytes",
            limits.max_file_bytes,
        ));
    }
    let end = match format {
        Format::Zip => archive::scan(source, path, context, report),
        Format::Npy => npy::scan(&mut Input::new(&mut source), path, context, report),
        Format::Safetensors => {
            safetensors::scan(BufReader::new(source), size, path, context, report)
        }
        Format::Pickle | Format::MaybePickle => {
            pickle::walk(&mut Input::new(&mut source), path, context, report).map(drop)
        }
    };
    let is_something_else = !promised
        && format == Format::MaybePickle
        && matches!(end, Err(Stop::Truncated | Stop::Malformed(_)));
    if is_something_else {
        return Ok(Verdict::SomethingElse);
    }
    match &end {
        Ok(()) => context.progress.engine_ended(engine, EngineEnd::Completed),
        Err(Stop::Io(error)) if super::source::is_cancelled(error) => {}
        Err(_) => context.progress.engine_ended(engine, EngineEnd::Failed),
    }
    match end {
        Ok(()) => Ok(Verdict::Scanned),
        Err(Stop::Truncated) => Err(ScanError::unparseable(
            path,
            format!("the {} ends in the middle", name(format)),
        )),
        Err(Stop::Malformed(reason)) => Err(ScanError::unparseable(
            path,
            format!("not a valid {}: {reason}", name(format)),
        )),
        Err(Stop::Limit(limit, allowed)) => Err(ScanError::too_large(path, limit, allowed)),
        Err(Stop::Io(error)) if super::source::is_cancelled(&error) => Err(ScanError::Cancelled),
        Err(Stop::Io(error)) if report.has(Severity::Info) && chosen == Chosen::Named => {
            report.add(
                Severity::High,
                "incomplete-scan",
                path,
                format!("the rest of the file cannot be read: {error}"),
            );
            Ok(Verdict::Scanned)
        }
        Err(Stop::Io(error)) => Err(ScanError::io(path, error)),
    }
}

const fn name(format: Format) -> &'static str {
    match format {
        Format::Zip => "zip archive",
        Format::Npy => "NumPy array",
        Format::Safetensors => "safetensors file",
        Format::Pickle | Format::MaybePickle => "pickle",
    }
}

const fn engine(format: Format) -> Engine {
    match format {
        Format::Zip => Engine::Zip,
        Format::Npy => Engine::Npy,
        Format::Safetensors => Engine::Safetensors,
        Format::Pickle | Format::MaybePickle => Engine::Pickle,
    }
}

fn has_extension(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| {
        EXTENSIONS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(extension))
    })
}

fn first_bytes(source: &mut Source<'_>) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    source.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    source.rewind()?;
    Ok(head)
}
