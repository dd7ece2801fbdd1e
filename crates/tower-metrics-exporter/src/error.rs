use std::{error::Error, fmt};

/// An exporter could not be built or installed.
///
/// The text is for people; its wording, and the type of the source, may change.
#[derive(Debug)]
pub struct BuildError {
    kind: Kind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

#[derive(Debug)]
enum Kind {
    Buckets { name: String, why: &'static str },
    Installed,
    Thread,
}

impl BuildError {
    pub(crate) fn buckets(name: &str, why: &'static str) -> Self {
        Self {
            kind: Kind::Buckets {
                name: name.to_owned(),
                why,
            },
            source: None,
        }
    }

    pub(crate) fn installed(source: impl Error + Send + Sync + 'static) -> Self {
        Self {
            kind: Kind::Installed,
            source: Some(Box::new(source)),
        }
    }

    pub(crate) fn thread(source: std::io::Error) -> Self {
        Self {
            kind: Kind::Thread,
            source: Some(Box::new(source)),
        }
    }

    /// The bounds of a histogram's buckets are empty, not ascending, or not finite.
    pub const fn is_buckets(&self) -> bool {
        matches!(self.kind, Kind::Buckets { .. })
    }

    /// The system gives no more threads.
    pub const fn is_thread(&self) -> bool {
        matches!(self.kind, Kind::Thread)
    }

    /// The process has a recorder already.
    pub const fn is_installed(&self) -> bool {
        matches!(self.kind, Kind::Installed)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Buckets { name, why } => write!(
                f,
                "the buckets of `{name}` {why}; give ascending, finite upper bounds without +Inf"
            ),
            Kind::Installed => f.write_str(
                "the process has a metrics recorder already; install one exporter, once, before \
                 anything else records",
            ),
            Kind::Thread => f.write_str("the thread that removes unused series cannot be started"),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
