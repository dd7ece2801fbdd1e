use std::{error::Error, fmt};

use crate::Instrument;

/// The builder was given something that it cannot use.
///
/// The text is for people; its wording may change.
#[derive(Debug)]
pub struct BuildError {
    kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Buckets(Instrument, &'static str),
    Name(String),
    Label(String),
    TooManyLabels(usize),
    RouteTemplate(String, String),
    Method(String),
    Descriptors(String),
}

impl From<Kind> for BuildError {
    fn from(kind: Kind) -> Self {
        Self { kind }
    }
}

impl BuildError {
    /// The bounds of a histogram's buckets are empty, not ascending, or not finite.
    pub const fn is_buckets(&self) -> bool {
        matches!(self.kind, Kind::Buckets(..))
    }

    /// A series' name is empty, or two instruments have one name.
    pub const fn is_name(&self) -> bool {
        matches!(self.kind, Kind::Name(_))
    }

    /// A label's name is empty or there twice, or there are too many.
    pub const fn is_label(&self) -> bool {
        matches!(self.kind, Kind::Label(_) | Kind::TooManyLabels(_))
    }

    /// A route's template cannot be parsed, or two templates match the same paths.
    pub const fn is_route(&self) -> bool {
        matches!(self.kind, Kind::RouteTemplate(..))
    }

    /// A known method is no HTTP method.
    pub const fn is_method(&self) -> bool {
        matches!(self.kind, Kind::Method(_))
    }

    /// A set of gRPC file descriptors cannot be read.
    pub const fn is_descriptors(&self) -> bool {
        matches!(self.kind, Kind::Descriptors(_))
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Buckets(instrument, why) => write!(
                f,
                "the buckets of {instrument} {why}; give ascending, finite upper bounds without +Inf"
            ),
            Kind::Name(name) => write!(
                f,
                "{name:?} is no name for a series, or two have it; give each its own, not empty"
            ),
            Kind::Label(name) => write!(
                f,
                "{name:?} is no name for a label, or is there twice; give each its own, not empty"
            ),
            Kind::TooManyLabels(most) => {
                write!(
                    f,
                    "there are more than {most} labels of your own; leave some out"
                )
            }
            Kind::RouteTemplate(template, why) => {
                write!(f, "the route template {template:?} cannot be used: {why}")
            }
            Kind::Method(method) => {
                write!(
                    f,
                    "{method:?} is no HTTP method; a method is a token such as PURGE"
                )
            }
            Kind::Descriptors(why) => write!(
                f,
                "the gRPC file descriptors cannot be read: {why}; give an encoded FileDescriptorSet"
            ),
        }
    }
}

impl Error for BuildError {}
