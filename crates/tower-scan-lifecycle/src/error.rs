use std::{error::Error, fmt};

/// The builder was given something that it cannot use.
///
/// The text is for people; its wording may change.
#[derive(Debug)]
pub struct BuildError {
    kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Prefix(String),
    Value(&'static str, String),
    Buckets(&'static str),
}

impl From<Kind> for BuildError {
    fn from(kind: Kind) -> Self {
        Self { kind }
    }
}

impl BuildError {
    /// The prefix is no start of a name.
    pub const fn is_prefix(&self) -> bool {
        matches!(self.kind, Kind::Prefix(_))
    }

    /// A type, stage, engine or role is empty or too long.
    pub const fn is_value(&self) -> bool {
        matches!(self.kind, Kind::Value(..))
    }

    /// The bounds of a histogram's buckets are empty, not ascending, or not finite.
    pub const fn is_buckets(&self) -> bool {
        matches!(self.kind, Kind::Buckets(_))
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Prefix(prefix) => write!(
                f,
                "{prefix:?} is no prefix; give letters, digits and underscores, a letter first"
            ),
            Kind::Value(label, value) => write!(
                f,
                "{value:?} is no value for the label {label}; give 1 to 128 bytes"
            ),
            Kind::Buckets(name) => write!(
                f,
                "the buckets of {name} cannot be used; give ascending, finite upper bounds without +Inf"
            ),
        }
    }
}

impl Error for BuildError {}
