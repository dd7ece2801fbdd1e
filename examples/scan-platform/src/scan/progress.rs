//! What a caller sees of a running scan, and how it stops one.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::error::ScanError;

/// Watches and controls one scan.
///
/// The flag is looked at before every file and on every read, so a blocking scan ends within one buffer of work after
/// it is set. Counters may be read from another thread.
#[derive(Default)]
pub struct Progress<'a> {
    cancel: Option<&'a AtomicBool>,
    observer: Option<&'a (dyn Fn(&Step<'_>) + Sync)>,
    engines: Option<&'a (dyn Fn(Engine, EngineEnd) + Sync)>,
    done: AtomicU64,
    total: AtomicU64,
}

/// What reads a file: a scanner of one format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// MCP client configurations.
    Mcp,
    /// NumPy arrays.
    Npy,
    /// Pickles.
    Pickle,
    /// Safetensors.
    Safetensors,
    /// Checkpoints that are zip archives.
    Zip,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Mcp,
        Self::Npy,
        Self::Pickle,
        Self::Safetensors,
        Self::Zip,
    ];

    /// `mcp`, `npy`, `pickle`, `safetensors` or `zip`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mcp => "mcp",
            Self::Npy => "npy",
            Self::Pickle => "pickle",
            Self::Safetensors => "safetensors",
            Self::Zip => "zip",
        }
    }
}

/// How an engine's run on one file ended. The scan may go on with other files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineEnd {
    /// It read the whole file.
    Completed,
    /// It could not.
    Failed,
    /// It did not try: the file is beyond a limit.
    Skipped,
}

/// One report of a [`Progress`]: when a file is opened, and after each mebibyte read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// The file being read, relative to the root.
    pub path: &'a str,
    /// Bytes done, over all files. A file left early counts as whole.
    pub bytes_done: u64,
    /// Bytes of all files found so far.
    pub bytes_total: u64,
}

impl<'a> Progress<'a> {
    /// Watches nothing and cannot be cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the scan with [`ScanError::Cancelled`] once `flag` is true. Unset by default.
    #[must_use]
    pub fn with_cancel(mut self, flag: &'a AtomicBool) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Calls `observer` on the scanning thread. Unset by default.
    #[must_use]
    pub fn with_observer(mut self, observer: &'a (dyn Fn(&Step<'_>) + Sync)) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Calls `engines` on the scanning thread when an engine is done with a file. Unset by default.
    #[must_use]
    pub fn with_engines(mut self, engines: &'a (dyn Fn(Engine, EngineEnd) + Sync)) -> Self {
        self.engines = Some(engines);
        self
    }

    pub(super) fn engine_ended(&self, engine: Engine, end: EngineEnd) {
        if let Some(engines) = self.engines {
            engines(engine, end);
        }
    }

    /// Bytes done, over all files.
    pub fn bytes_done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Bytes of all files found so far; grows while a directory is walked.
    pub fn bytes_total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Whether the caller's flag is set.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    pub(super) fn check(&self) -> Result<(), ScanError> {
        if self.is_cancelled() {
            Err(ScanError::Cancelled)
        } else {
            Ok(())
        }
    }

    pub(super) fn found(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn advance_to(&self, path: &str, done: u64) {
        self.done.fetch_max(done, Ordering::Relaxed);
        if let Some(observer) = self.observer {
            observer(&Step {
                path,
                bytes_done: self.bytes_done(),
                bytes_total: self.bytes_total(),
            });
        }
    }
}

impl fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("done", &self.done)
            .field("total", &self.total)
            .field("cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}
