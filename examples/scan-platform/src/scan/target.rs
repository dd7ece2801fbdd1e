//! Which bytes a scan may reach: everything below one directory, and nothing else.

use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use cap_fs_ext::OpenOptionsSyncExt as _;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, OpenOptions};

use super::text::clip;

/// Longest path taken, in bytes; what Linux itself takes.
const MAX_PATH: usize = 4096;

/// A directory that confines every access made through it.
///
/// The operating system resolves each path relative to the open directory and refuses what leaves it, symbolic links
/// and a directory renamed in mid-resolution included; no path is compared as text.
#[derive(Clone, Debug)]
pub struct ScanRoot {
    dir: Arc<Dir>,
}

impl ScanRoot {
    /// Opens `path`, which must be a directory; it may itself be reached through links.
    ///
    /// # Errors
    ///
    /// Whatever the system says when it is missing, unreadable or no directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        Dir::open_ambient_dir(path, ambient_authority()).map(|dir| Self { dir: Arc::new(dir) })
    }

    /// Opens a file or directory at `relative`, `.` being the root itself. Links are followed as long as they stay inside.
    ///
    /// # Errors
    ///
    /// See [`TargetError`]; nothing blocks, a FIFO without a writer included.
    pub fn target(&self, relative: &str) -> Result<Target, TargetError> {
        let shown = || clip(relative, 200);
        let invalid = |reason| {
            Err(TargetError::Invalid {
                path: shown(),
                reason,
            })
        };
        if relative.is_empty() {
            return invalid("it is empty");
        }
        if relative.contains('\0') {
            return invalid("it contains a NUL character");
        }
        if relative.len() > MAX_PATH {
            return invalid("it is longer than 4096 bytes");
        }
        let mut path = PathBuf::new();
        for component in Path::new(relative).components() {
            match component {
                Component::Normal(part) => path.push(part),
                Component::CurDir => {}
                // `a/../b` may well stay inside, but nobody with a good reason sends it.
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(TargetError::OutsideRoot { path: shown() });
                }
            }
        }
        self.open_inside(path)
    }

    pub(super) fn open_inside(&self, path: PathBuf) -> Result<Target, TargetError> {
        let path = if path.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            path
        };
        let display = clip(&path.to_string_lossy(), 400);
        let failed = |error| TargetError::of(error, &display);
        // Asking first keeps us from opening a device, which can have effects of its own.
        let kind = self.dir.metadata(&path).map_err(failed)?.file_type();
        if kind.is_dir() {
            return Ok(Target {
                root: self.clone(),
                display,
                opened: Opened::Directory,
                path,
            });
        }
        if !kind.is_file() {
            return Err(TargetError::NotScannable { path: display });
        }
        // What was a file may be a FIFO by now, hence the flag and the second look.
        let mut options = OpenOptions::new();
        options.read(true).nonblock(true);
        let file = self.dir.open_with(&path, &options).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(TargetError::NotScannable { path: display });
        }
        Ok(Target {
            root: self.clone(),
            display,
            opened: Opened::File(file, metadata.len()),
            path,
        })
    }

    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }
}

/// A file or directory inside a [`ScanRoot`], opened.
#[derive(Debug)]
pub struct Target {
    root: ScanRoot,
    path: PathBuf,
    display: String,
    opened: Opened,
}

#[derive(Debug)]
pub(super) enum Opened {
    File(File, u64),
    Directory,
}

impl Target {
    /// The path relative to the root, on one line and fit for a message.
    pub fn display_path(&self) -> &str {
        &self.display
    }

    /// Bytes of the file when it was opened; 0 for a directory, whose size a scan's progress tells.
    pub const fn size(&self) -> u64 {
        match self.opened {
            Opened::File(_, size) => size,
            Opened::Directory => 0,
        }
    }

    /// Whether this is a directory.
    pub const fn is_dir(&self) -> bool {
        matches!(self.opened, Opened::Directory)
    }

    pub(super) const fn opened(&self) -> &Opened {
        &self.opened
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn root(&self) -> &ScanRoot {
        &self.root
    }
}

/// Why a path is not a target.
#[derive(Debug)]
pub enum TargetError {
    /// Not a path at all.
    Invalid {
        /// The path as given, clipped and escaped.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Absolute, with a `..`, or through a link that leaves the root.
    OutsideRoot {
        /// The path as given, clipped and escaped.
        path: String,
    },
    /// Nothing there.
    NotFound {
        /// The path as given, clipped and escaped.
        path: String,
    },
    /// A socket, FIFO or device.
    NotScannable {
        /// The path as given, clipped and escaped.
        path: String,
    },
    /// There, but it cannot be opened.
    Io {
        /// The path as given, clipped and escaped.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

impl TargetError {
    fn of(error: io::Error, path: &str) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotFound { path },
            io::ErrorKind::InvalidFilename => Self::Invalid {
                path,
                reason: "a part of it is too long for a file name",
            },
            // cap-std makes its own error for an escape; one from the system carries the system's number.
            io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => {
                Self::OutsideRoot { path }
            }
            _ => Self::Io {
                path,
                source: error,
            },
        }
    }

    /// A stable code: `invalid_path`, `outside_root`, `not_found`, `not_scannable` or `io`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "invalid_path",
            Self::OutsideRoot { .. } => "outside_root",
            Self::NotFound { .. } => "not_found",
            Self::NotScannable { .. } => "not_scannable",
            Self::Io { .. } => "io",
        }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { path, reason } => {
                write!(
                    f,
                    "{path:?} is not a usable path: {reason}; give a path relative to the scan root"
                )
            }
            Self::OutsideRoot { path } => write!(
                f,
                "{path:?} leads outside of the scan root; give a relative path without \"..\" whose links stay inside"
            ),
            Self::NotFound { path } => {
                write!(
                    f,
                    "{path:?} does not exist below the scan root; check the spelling or copy the file there"
                )
            }
            Self::NotScannable { path } => {
                write!(
                    f,
                    "{path:?} is neither a file nor a directory; sockets, FIFOs and devices are not scanned"
                )
            }
            Self::Io { path, .. } => write!(
                f,
                "{path:?} cannot be opened; check that this process may read it"
            ),
        }
    }
}

impl std::error::Error for TargetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
