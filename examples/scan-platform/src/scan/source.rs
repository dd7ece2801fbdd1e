//! Reading a target's bytes: counted, cancellable, and with a floor for the zip reader.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

use cap_std::fs::File;

use super::limits::Limits;
use super::progress::Progress;

/// What every scanner is given besides its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) limits: &'a Limits,
    pub(super) progress: &'a Progress<'a>,
}

/// How often a long read reports, in bytes.
const REPORT_EVERY: u64 = 1 << 20;

/// A file that reports how far it was read and stops when the scan is cancelled.
#[derive(Debug)]
pub(super) struct Source<'a> {
    file: &'a File,
    path: &'a str,
    progress: &'a Progress<'a>,
    size: u64,
    position: u64,
    base: u64,
    reported: u64,
    floor: Rc<Cell<u64>>,
}

impl<'a> Source<'a> {
    /// Starts at the beginning of `file`, whatever was read of it before.
    pub(super) fn new(
        file: &'a File,
        path: &'a str,
        size: u64,
        progress: &'a Progress<'a>,
    ) -> io::Result<Self> {
        let mut handle = file;
        handle.rewind()?;
        let base = progress.bytes_done();
        progress.advance_to(path, base);
        Ok(Self {
            file,
            path,
            progress,
            size,
            position: 0,
            base,
            reported: 0,
            floor: Rc::default(),
        })
    }

    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Reads before this position are refused; 0 at first.
    pub(super) fn floor(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.floor)
    }
}

impl Drop for Source<'_> {
    fn drop(&mut self) {
        self.progress
            .advance_to(self.path, self.base.saturating_add(self.size));
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.progress.is_cancelled() {
            return Err(io::Error::other(Stopped::Cancelled));
        }
        if self.position < self.floor.get() {
            return Err(io::Error::other(Stopped::BelowFloor));
        }
        // A file that grows while it is read ends where it ended when it was opened.
        let room = usize::try_from(self.size.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(room);
        let Some(buffer) = buffer.get_mut(..wanted) else {
            return Ok(0);
        };
        let read = self.file.read(buffer)?;
        self.position = self.position.saturating_add(read as u64);
        if self.position >= self.reported.saturating_add(REPORT_EVERY) {
            self.reported = self.position;
            self.progress
                .advance_to(self.path, self.base.saturating_add(self.position));
        }
        Ok(read)
    }
}

impl Seek for Source<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            // The size at opening, for the same reason as above.
            SeekFrom::End(back) => {
                SeekFrom::Start(self.size.checked_add_signed(back).ok_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidInput, "seek before the file's start")
                })?)
            }
            other => other,
        };
        self.position = self.file.seek(to)?;
        Ok(self.position)
    }
}

/// Why a read was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    Cancelled,
    BelowFloor,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "the scan was cancelled",
            Self::BelowFloor => "a read outside of the part being looked at",
        })
    }
}

impl std::error::Error for Stopped {}

fn stopped(error: &io::Error) -> Option<Stopped> {
    error.get_ref()?.downcast_ref().copied()
}

pub(super) fn is_cancelled(error: &io::Error) -> bool {
    stopped(error) == Some(Stopped::Cancelled)
}

pub(super) fn is_below_floor(error: &io::Error) -> bool {
    stopped(error) == Some(Stopped::BelowFloor)
}
