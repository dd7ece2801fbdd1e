//! Zip containers: torch checkpoints, `.npz`, `.keras`.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};

use zip::CompressionMethod;
use zip::read::{ZipArchive, ZipReadOptions};
use zip::result::ZipError;

use super::npy;
use super::pickle::{self, HEAD, Input, Looks, Stop, looks};
use crate::scan::finding::Severity;
use crate::scan::limits::Limits;
use crate::scan::report::Report;
use crate::scan::source::{Context, Source, is_below_floor, is_cancelled};
use crate::scan::text::clip;

pub(super) fn is_zip(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}

/// Looks into every entry and walks each that is a pickle or an array of objects, by name or by content.
///
/// An archive that inflates beyond its limits is a critical `zip-bomb` finding rather than an error, so that what was
/// found before stays; nothing after it is read.
pub(super) fn scan(
    mut source: Source<'_>,
    place: &str,
    context: Context<'_>,
    report: &mut Report,
) -> Result<(), Stop> {
    let limits = context.limits;
    let floor = source.floor();
    let first = source
        .size()
        .saturating_sub(limits.max_archive_directory_bytes);
    refuse_excessive_counts(&mut source, first, limits)?;
    // The zip reader looks for the directory back to the file's start if it must; we checked only this much.
    floor.set(first);
    let opened = ZipArchive::new(source);
    floor.set(0);
    let mut archive = opened.map_err(|error| match error {
        ZipError::Io(error) if is_below_floor(&error) => Stop::Limit(
            "max_archive_directory_bytes",
            limits.max_archive_directory_bytes,
        ),
        ZipError::Io(error) if is_cancelled(&error) => Stop::Io(error),
        error => Stop::Malformed(clip(&error.to_string(), 200)),
    })?;
    if archive.len() > limits.max_archive_entries {
        return Err(Stop::Limit(
            "max_archive_entries",
            limits.max_archive_entries as u64,
        ));
    }
    if archive.has_duplicate_names() {
        let message =
            "two entries have the same name: the loader may take the one that was not scanned";
        report.add(Severity::High, "duplicate-entry", place, message);
    }
    if archive.has_overlapping_entries().unwrap_or(false) {
        let message = "entries share their bytes, as only archives made to inflate without end do; it is not read";
        report.add(Severity::Critical, "zip-bomb", place, message);
        return Ok(());
    }
    let inflated = Cell::new(0);
    let mut declared = 0_u64;
    for index in 0..archive.len() {
        if context.progress.is_cancelled() {
            // The same error a read gives.
            return archive
                .into_inner()
                .read(&mut [0])
                .map(drop)
                .map_err(Stop::Io);
        }
        let name = archive
            .name_for_index(index)
            .and_then(Result::ok)
            .unwrap_or_default()
            .into_owned();
        let location = format!("{place}!{}", clip(&name, 200));
        // A wrong checksum or a mark of encryption stops some loaders and not others; the entry is looked at all the same.
        let options = ZipReadOptions::new()
            .ignore_crc32(true)
            .ignore_encryption_flag(true);
        let entry = match archive.by_index_with_options(index, options) {
            Ok(entry) => entry,
            Err(ZipError::Io(error)) if is_cancelled(&error) => return Err(Stop::Io(error)),
            Err(error) => {
                let message = format!("cannot be looked into: {}", clip(&error.to_string(), 200));
                report.add(Severity::High, "unreadable-entry", location, message);
                continue;
            }
        };
        if leaves(&name) || entry.is_symlink() {
            let message =
                "an absolute name, a name with \"..\", or a link: unpacking it writes elsewhere";
            report.add(Severity::High, "zip-slip", location.as_str(), message);
        }
        if entry.encrypted() {
            let message = "marked as encrypted; looked at as if it were not, as loaders do that ignore the mark";
            report.add(
                Severity::Medium,
                "encrypted-entry",
                location.as_str(),
                message,
            );
        }
        let compressed = entry.compression() != CompressionMethod::Stored;
        if compressed {
            declared = declared.saturating_add(entry.size());
        }
        let bomb = compressed
            && (entry.size() > limits.max_archive_entry_bytes
                || declared > limits.max_archive_total_bytes);
        let mut reader = Inflating {
            declared: entry.size(),
            longer: false,
            left: if compressed {
                limits.max_archive_entry_bytes
            } else {
                u64::MAX
            },
            inner: entry,
            total: &inflated,
            most: limits.max_archive_total_bytes,
            exceeded: bomb,
        };
        let end = if bomb {
            Ok(())
        } else {
            scan_entry(&mut reader, &name, &location, context, report)
        };
        if reader.exceeded {
            let message = format!(
                "inflates beyond max_archive_entry_bytes = {} or max_archive_total_bytes = {}; the rest is not read",
                limits.max_archive_entry_bytes, limits.max_archive_total_bytes
            );
            report.add(Severity::Critical, "zip-bomb", location, message);
            return Ok(());
        }
        if reader.longer {
            let message = "holds more than its size says: loaders that go by the size see something else than others";
            report.add(Severity::High, "size-mismatch", location.as_str(), message);
        }
        match end {
            Ok(()) => {}
            Err(Stop::Io(error)) if is_cancelled(&error) => return Err(Stop::Io(error)),
            Err(Stop::Limit(limit, allowed)) => {
                let message =
                    format!("beyond {limit} = {allowed}; the rest of the archive is not read");
                report.add(Severity::High, "incomplete-scan", location, message);
                return Ok(());
            }
            Err(Stop::Truncated) => report.add(
                Severity::Medium,
                "unparseable-file",
                location,
                "ends too soon",
            ),
            Err(Stop::Malformed(reason)) => {
                report.add(Severity::Medium, "unparseable-file", location, reason)
            }
            Err(Stop::Io(error)) => {
                let message = format!("cannot be looked into: {}", clip(&error.to_string(), 200));
                report.add(Severity::High, "unreadable-entry", location, message);
            }
        }
    }
    Ok(())
}

fn scan_entry(
    reader: &mut dyn Read,
    name: &str,
    location: &str,
    context: Context<'_>,
    report: &mut Report,
) -> Result<(), Stop> {
    let mut input = Input::new(reader);
    let head = input.peek(HEAD)?.to_vec();
    let file = name
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or(name)
        .to_ascii_lowercase();
    if npy::is_npy(&head) {
        return npy::scan(&mut input, location, context, report);
    }
    if file.ends_with(".pkl") || file.ends_with(".pickle") {
        return pickle::walk(&mut input, location, context, report).map(drop);
    }
    if looks(&head) != Looks::Otherwise {
        return match pickle::walk(&mut input, location, context, report) {
            // Tensor data that happens to begin like one.
            Err(Stop::Truncated | Stop::Malformed(_)) => Ok(()),
            end => end.map(drop),
        };
    }
    if is_zip(&head) {
        let message = "an archive inside of the archive is not opened; scan it on its own";
        report.add(Severity::Low, "nested-archive", location, message);
    } else if file == "config.json" {
        let keep = usize::try_from(context.limits.max_config_bytes).unwrap_or(usize::MAX);
        let mut config = Vec::new();
        while config.len() < keep && !input.peek(1)?.is_empty() {
            let chunk = input.peek(16 << 10)?.len();
            config.extend(input.take(chunk as u64, chunk)?);
        }
        if serde_json::from_slice(&config).is_ok_and(|config| has_lambda(&config)) {
            let message = "a Keras Lambda layer carries Python code that loading the model runs";
            report.add(Severity::High, "keras-lambda", location, message);
        }
    }
    Ok(())
}

/// Recursion is bounded by `serde_json`, which made the value.
fn has_lambda(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Object(fields) => {
            fields.get("class_name").and_then(|name| name.as_str()) == Some("Lambda")
                || fields.values().any(has_lambda)
        }
        serde_json::Value::Array(items) => items.iter().any(has_lambda),
        _ => false,
    }
}

/// Whether unpacking `name` writes outside of the folder it is unpacked into, on any system.
fn leaves(name: &str) -> bool {
    let drive = name.as_bytes().get(1) == Some(&b':');
    drive || name.starts_with(['/', '\\']) || name.split(['/', '\\']).any(|part| part == "..")
}

/// Refuses an archive whose zip64 records from `first` on announce more entries than allowed. The zip reader sizes its
/// tables by that number, so it is too late to look once the archive is open.
fn refuse_excessive_counts(
    source: &mut Source<'_>,
    first: u64,
    limits: &Limits,
) -> Result<(), Stop> {
    const SIGNATURE: &[u8] = b"PK\x06\x06";
    const RECORD: usize = 56;
    source.seek(SeekFrom::Start(first)).map_err(Stop::Io)?;
    let mut window = Vec::new();
    loop {
        let read = source
            .by_ref()
            .take(64 << 10)
            .read_to_end(&mut window)
            .map_err(Stop::Io)?;
        for record in window
            .windows(RECORD)
            .filter(|record| record.starts_with(SIGNATURE))
        {
            let number = |at: usize| {
                record
                    .get(at..at + 8)
                    .and_then(|bytes| bytes.try_into().ok())
                    .map_or(0, u64::from_le_bytes)
            };
            // A length that fits: anything else is data that happens to hold the signature.
            let plausible = number(4) <= limits.max_archive_directory_bytes;
            let allowed = limits.max_archive_entries as u64;
            if plausible && (number(24) > allowed || number(32) > allowed) {
                return Err(Stop::Limit("max_archive_entries", allowed));
            }
        }
        if read == 0 {
            break;
        }
        window.drain(..window.len().saturating_sub(RECORD - 1));
    }
    source.rewind().map_err(Stop::Io)
}

/// Counts what really comes out of an entry, and ends where its header says that it ends: the zip reader throws away a
/// whole buffer that crosses that line, and with it what Python would have loaded.
struct Inflating<'a, R> {
    inner: R,
    declared: u64,
    longer: bool,
    left: u64,
    total: &'a Cell<u64>,
    most: u64,
    exceeded: bool,
}

impl<R: Read> Read for Inflating<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.declared == 0 {
            if !self.longer && !buffer.is_empty() {
                match self.inner.read(&mut [0]) {
                    Ok(read) => self.longer = read > 0,
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => self.longer = true,
                    Err(error) => return Err(error),
                }
            }
            return Ok(0);
        }
        let room = buffer
            .len()
            .min(usize::try_from(self.declared).unwrap_or(usize::MAX));
        let read = self
            .inner
            .read(buffer.get_mut(..room).unwrap_or_default())?;
        let bytes = read as u64;
        self.declared = self.declared.saturating_sub(bytes);
        self.total.set(self.total.get().saturating_add(bytes));
        if bytes > self.left || self.total.get() > self.most {
            self.exceeded = true;
            return Err(io::Error::other("the archive inflates beyond its limits"));
        }
        if self.left != u64::MAX {
            self.left -= bytes;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_their_folder_are_told_on_any_system() {
        for name in [
            "../a",
            "a/../../b",
            "/etc/passwd",
            "\\a",
            "C:\\a",
            "a\\..\\b",
        ] {
            assert!(leaves(name), "{name}");
        }
        for name in ["archive/data.pkl", "a..b", "...", "a/b"] {
            assert!(!leaves(name), "{name}");
        }
    }
}
