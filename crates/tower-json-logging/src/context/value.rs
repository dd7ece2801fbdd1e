use std::fmt::{self, Write as _};

use crate::format::value::Value as Writer;

/// What a field of a [`RequestContext`](crate::RequestContext) holds: a text, a number or a truth.
#[derive(Clone, Debug, PartialEq)]
pub struct Value(Kind);

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Text(String),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Boolean(bool),
}

impl Value {
    /// The text of something, up to 16 KiB of it.
    pub(crate) fn shown(text: fmt::Arguments<'_>) -> Self {
        struct Start(String);

        impl fmt::Write for Start {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.push_str(text);
                if self.0.len() > 16 * 1024 {
                    return Err(fmt::Error);
                }
                Ok(())
            }
        }

        let mut start = Start(String::new());
        // An error is the end of the room, or the value's own: what there is stays.
        let _ = start.write_fmt(text);
        Self(Kind::Text(start.0))
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>) {
        match &self.0 {
            Kind::Text(text) => out.string(text),
            Kind::Signed(value) => out.integer(*value),
            Kind::Unsigned(value) => out.unsigned(*value),
            Kind::Float(value) => out.float(*value),
            Kind::Boolean(value) => out.boolean(*value),
        }
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(Kind::Text(text))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(Kind::Text(String::from(text)))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self(Kind::Text(text.clone()))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self(Kind::Float(value))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self(Kind::Boolean(value))
    }
}

macro_rules! integer {
    ($kind:ident: $($from:ty),+) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self(Kind::$kind(value.into()))
            }
        })+
    };
}

integer!(Signed: i8, i16, i32, i64);
integer!(Unsigned: u8, u16, u32, u64);

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self(Kind::Unsigned(u64::try_from(value).unwrap_or(u64::MAX)))
    }
}
