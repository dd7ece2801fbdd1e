//! Where lines go.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

type Writer = Box<dyn Write + Send>;
type Open = Box<dyn FnMut() -> io::Result<Writer> + Send>;

/// Where a sink will write, not opened yet.
pub(crate) enum Target {
    Writer(Writer),
    Open(Open),
}

impl Target {
    pub(crate) fn writer(writer: impl Write + Send + 'static) -> Self {
        Self::Writer(Box::new(writer))
    }

    pub(crate) fn open_with<W: Write + Send + 'static>(
        mut open: impl FnMut() -> io::Result<W> + Send + 'static,
    ) -> Self {
        Self::Open(Box::new(move || Ok(Box::new(open()?))))
    }

    pub(crate) fn file(path: PathBuf) -> Self {
        Self::open_with(move || append(&path))
    }

    pub(crate) fn stdout() -> Self {
        Self::open_with(stdout)
    }

    pub(crate) fn stderr() -> Self {
        Self::open_with(stderr)
    }

    /// Opens it for the first time.
    pub(crate) fn open(self) -> io::Result<Output> {
        match self {
            Self::Writer(writer) => Ok(Output { writer, open: None }),
            Self::Open(mut open) => Ok(Output {
                writer: open()?,
                open: Some(open),
            }),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Writer(_) => "Writer",
            Self::Open(_) => "Open",
        })
    }
}

/// Opens a file to append lines to. If its last line has no end, it gets one: a process that died in the
/// middle of a write, or a disk that was full, costs that line but not the next.
fn append(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    if is_open_ended(&file, path).unwrap_or(false) {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

/// Whether a regular file has a last line without an end. An error if it may not be read.
fn is_open_ended(file: &File, path: &Path) -> io::Result<bool> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(false);
    }
    let mut reader = File::open(path)?;
    reader.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    reader.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Its own descriptor: the process's handle is behind a lock, which a write that stalls would keep from
/// those who print.
#[cfg(unix)]
fn stdout() -> io::Result<File> {
    use std::os::fd::AsFd as _;
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

#[cfg(unix)]
fn stderr() -> io::Result<File> {
    use std::os::fd::AsFd as _;
    Ok(io::stderr().as_fd().try_clone_to_owned()?.into())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
fn stdout() -> io::Result<io::Stdout> {
    Ok(io::stdout())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
fn stderr() -> io::Result<io::Stderr> {
    Ok(io::stderr())
}

/// Where a sink writes. A writer that panics has failed.
pub(crate) struct Output {
    writer: Writer,
    open: Option<Open>,
}

impl Output {
    /// Writes some of the bytes, and tells how many.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match no_panic(|| self.writer.write(bytes)) {
            Ok(0) if !bytes.is_empty() => Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => Ok(written.min(bytes.len())),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        no_panic(|| self.writer.flush())
    }

    /// Opens it again; if that fails, it stays as it is.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else {
            let error = "this sink was given a writer, which cannot be opened again";
            return Err(io::Error::new(io::ErrorKind::Unsupported, error));
        };
        let writer = no_panic(open)?;
        let old = std::mem::replace(&mut self.writer, writer);
        // It may be a user's type, whose drop panics.
        no_panic(|| {
            drop(old);
            Ok(())
        })
    }
}

fn no_panic<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(io::Error::other("the writer panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_says_it_wrote_more_than_it_got_is_not_believed() {
        struct Boasting;
        impl Write for Boasting {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                Ok(bytes.len() + 1)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut output = Target::writer(Boasting).open().unwrap();
        assert_eq!(output.write(b"line\n").unwrap(), 5);
    }

    #[test]
    fn a_writer_that_takes_nothing_has_failed() {
        let full: &mut [u8] = Box::leak(Box::new([]));
        let mut output = Target::writer(full).open().unwrap();
        let error = output.write(b"line\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }
}
