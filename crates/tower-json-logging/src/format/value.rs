use std::{error::Error, fmt, io::Write as _};

use tracing_core::{Field, field::Visit};

use crate::{
    format::{
        Limits, escape,
        fields::Fields,
        keys::{Key, Origin},
    },
    redact::{REDACTED, Redact},
};

/// Writes recorded values into [`Fields`].
pub(crate) struct Recorder<'a> {
    pub(crate) fields: &'a mut Fields,
    pub(crate) origin: Origin,
    pub(crate) redact: &'a Redact,
    pub(crate) limits: &'a Limits,
}

impl Recorder<'_> {
    /// A value that is written as a string.
    fn text(&mut self, name: &str, value: fmt::Arguments<'_>) {
        self.put(name, |out, _, room| escape::string(out, room, value));
    }

    /// `write` gets where to write to, whether the value has to be a string, and the room for it.
    fn put(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>, bool, usize) -> bool) {
        let Some(key) = Key::of(name, self.origin) else {
            return;
        };
        let (redact, room) = (self.redact, self.limits.max_value());
        self.fields.put(key, self.limits, |out| {
            if redact.is_secret(key) {
                // Not even formatted: what is secret is nowhere in memory twice.
                escape::string(out, room, format_args!("{REDACTED}"))
            } else {
                write(out, key.is_text(), room)
            }
        });
    }

    pub(crate) fn integer(&mut self, name: &str, value: impl itoa::Integer) {
        self.put(name, |out, text, _| {
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(value).as_bytes();
            if text {
                quoted(out, digits);
            } else {
                out.extend_from_slice(digits);
            }
            false
        });
    }

    /// An integer that not every reader of JSON holds exactly, as a string of digits.
    pub(crate) fn big_integer(&mut self, name: &str, value: impl itoa::Integer) {
        self.put(name, |out, _, _| {
            quoted(out, itoa::Buffer::new().format(value).as_bytes());
            false
        });
    }

    pub(crate) fn unsigned(&mut self, name: &str, value: u64) {
        // Elasticsearch and others have no integer above this.
        if i64::try_from(value).is_ok() {
            self.integer(name, value);
        } else {
            self.big_integer(name, value);
        }
    }

    pub(crate) fn float(&mut self, name: &str, value: f64) {
        self.put(name, |out, text, room| match (text, value.is_finite()) {
            (true, _) => escape::string(out, room, format_args!("{value:?}")),
            // The shortest digits that read back as the same number, `1e300` rather than 300 zeros.
            (false, true) => {
                // Writing to memory does not fail.
                drop(write!(out, "{value:?}"));
                false
            }
            (false, false) => {
                out.extend_from_slice(b"null");
                false
            }
        });
    }

    pub(crate) fn boolean(&mut self, name: &str, value: bool) {
        self.put(name, |out, text, _| {
            let word = if value { "true" } else { "false" };
            if text {
                quoted(out, word.as_bytes());
            } else {
                out.extend_from_slice(word.as_bytes());
            }
            false
        });
    }

    pub(crate) fn string(&mut self, name: &str, value: &str) {
        self.put(name, |out, _, room| {
            out.push(b'"');
            let mut escaper = escape::Escaper::new(out, room);
            escaper.push(value);
            let cut = escaper.is_cut();
            out.push(b'"');
            cut
        });
    }

    pub(crate) fn hex(&mut self, name: &str, value: &[u8]) {
        self.text(name, format_args!("{}", Hex(value)));
    }

    pub(crate) fn debug(&mut self, name: &str, value: &dyn fmt::Debug) {
        self.text(name, format_args!("{value:?}"));
    }

    pub(crate) fn error(&mut self, name: &str, error: &(dyn Error + 'static)) {
        self.text(name, format_args!("{error}"));
        let Some(key) = Key::of(name, self.origin) else {
            return;
        };
        if error.source().is_none() || self.redact.is_secret(key) {
            return;
        }
        let (room, name) = (
            self.limits.max_value(),
            format!("{}{}_sources", key.prefix, key.name),
        );
        self.fields.put(Key::own(&name), self.limits, |out| {
            sources(out, room, error)
        });
    }
}

/// The texts of the errors that led to this one, as an array. Tells whether it was cut.
fn sources(out: &mut Vec<u8>, room: usize, error: &(dyn Error + 'static)) -> bool {
    let end = out.len().saturating_add(room);
    let mut cut = false;
    let mut source = error.source();
    out.push(b'[');
    while let Some(error) = source {
        // With comma and quotes, so that a chain without an end has one.
        let left = end.saturating_sub(out.len() + 3);
        if cut || left == 0 {
            cut = true;
            break;
        }
        if out.last() != Some(&b'[') {
            out.push(b',');
        }
        cut = escape::string(out, left, format_args!("{error}"));
        source = error.source();
    }
    out.push(b']');
    cut
}

fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Visit for Recorder<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.float(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.integer(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.unsigned(field.name(), value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.big_integer(field.name(), value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.big_integer(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.boolean(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.string(field.name(), value);
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.hex(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.error(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.debug(field.name(), value);
    }
}
