use std::{
    error::Error,
    fmt::{self, Write as _},
    io::Write as _,
};

use tracing_core::{Field, field::Visit};

use crate::{
    format::{
        core::Core,
        escape::{self, Escaper},
        fields::Fields,
        line::quoted,
        plan::{FieldPlan, Origin, Place, Plan},
    },
    redact::{REDACTED, redact_text},
    schema::Slot,
};

/// Writes recorded values into [`Fields`].
pub(crate) struct Recorder<'a> {
    pub(crate) fields: &'a mut Fields,
    pub(crate) core: &'a Core,
    pub(crate) plan: &'a Plan,
    pub(crate) origin: Origin,
}

/// Writes one value into [`Fields`], as its plan has it.
pub(crate) struct Value<'a> {
    pub(crate) fields: &'a mut Fields,
    pub(crate) core: &'a Core,
    pub(crate) plan: &'a FieldPlan,
    pub(crate) has_twins: bool,
}

impl Recorder<'_> {
    fn value(&mut self, field: &Field, f: impl FnOnce(&mut Value<'_>)) {
        let Self {
            fields, core, plan, ..
        } = self;
        let has_twins = plan.has_twins;
        if let Some(plan) = plan.field(field.index(), field.name()) {
            return f(&mut Value {
                fields,
                core,
                plan,
                has_twins,
            });
        }
        // Of another place than what it is recorded on.
        let plan = core.field_plan(field.name(), self.origin);
        f(&mut Value {
            fields,
            core,
            plan: &plan,
            has_twins: true,
        });
    }
}

impl Value<'_> {
    /// `write` gets where to write to and the room for it, and tells whether it was cut.
    fn put(&mut self, write: impl FnOnce(&mut Vec<u8>, usize) -> bool) {
        let (limits, secret) = (self.core.limits(), self.plan.secret);
        let write = |out: &mut Vec<u8>| {
            if secret {
                // Not even formatted: what is secret is nowhere in memory twice.
                quoted(out, REDACTED);
                false
            } else {
                write(out, limits.max_value())
            }
        };
        match &self.plan.place {
            Place::Nowhere => {}
            Place::Slot(slot) => self.fields.put_slot(*slot, write),
            Place::Own(key) if self.has_twins => self.fields.put(key, limits, write),
            Place::Own(key) => self.fields.put_new(key, limits, write),
        }
    }

    /// What needs no escaping, as it is or as a string.
    fn plain(&mut self, text: bool, plain: &[u8]) {
        self.put(|out, _| {
            if text {
                quoted(out, plain);
            } else {
                out.extend_from_slice(plain);
            }
            false
        });
    }

    pub(crate) fn integer(&mut self, value: impl itoa::Integer) {
        self.plain(self.plan.text, itoa::Buffer::new().format(value).as_bytes());
    }

    /// An integer that not every reader of JSON holds exactly, as a string of digits.
    pub(crate) fn big_integer(&mut self, value: impl itoa::Integer) {
        self.plain(true, itoa::Buffer::new().format(value).as_bytes());
    }

    pub(crate) fn unsigned(&mut self, value: u64) {
        // Elasticsearch and others have no integer above this.
        if i64::try_from(value).is_ok() {
            self.integer(value);
        } else {
            self.big_integer(value);
        }
    }

    pub(crate) fn float(&mut self, value: f64) {
        let text = self.plan.text;
        self.put(|out, _| {
            if !text && !value.is_finite() {
                out.extend_from_slice(b"null");
                return false;
            }
            let quote: &[u8] = if text { b"\"" } else { b"" };
            out.extend_from_slice(quote);
            // The shortest digits that read back as the same number, `1e300` rather than 300 zeros.
            // Writing to memory does not fail.
            drop(write!(out, "{value:?}"));
            out.extend_from_slice(quote);
            false
        });
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        self.plain(self.plan.text, if value { b"true" } else { b"false" });
    }

    pub(crate) fn string(&mut self, value: &str) {
        if self.plan.search {
            return self.text(format_args!("{value}"));
        }
        self.put(|out, room| {
            out.push(b'"');
            let mut escaper = Escaper::new(out, room);
            escaper.push(value);
            let cut = escaper.is_cut();
            out.push(b'"');
            cut
        });
    }

    pub(crate) fn hex(&mut self, value: &[u8]) {
        self.put(|out, room| escape::string(out, room, format_args!("{}", Hex(value))));
    }

    pub(crate) fn text(&mut self, value: fmt::Arguments<'_>) {
        let search = self.plan.search;
        self.put(|out, room| {
            if search {
                searched(out, room, value)
            } else {
                escape::string(out, room, value)
            }
        });
    }

    pub(crate) fn error(&mut self, error: &(dyn Error + 'static)) {
        self.put(|out, room| searched(out, room, format_args!("{error}")));
        if error.source().is_none() || self.plan.secret {
            return;
        }
        let core = self.core;
        let write = |out: &mut Vec<u8>| sources(out, core, error);
        match &self.plan.place {
            Place::Nowhere => {}
            Place::Slot(Slot::Error) => {
                if core.schema().has_slot(Slot::ErrorSources) {
                    self.fields.put_slot(Slot::ErrorSources, write);
                }
            }
            Place::Slot(_) if !core.schema().has_fields() => {}
            Place::Slot(_) | Place::Own(_) => {
                let name = self.plan.name;
                let key = core
                    .schema()
                    .field_key(name.strip_prefix("r#").unwrap_or(name), "_sources");
                self.fields.put(&key, core.limits(), write);
            }
        }
    }
}

/// The texts of the errors that led to this one: an array, or one string with a line for each. Tells
/// whether it was cut.
fn sources(out: &mut Vec<u8>, core: &Core, error: &(dyn Error + 'static)) -> bool {
    let room = core.limits().max_value();
    if core.schema().sources_as_text || core.schema().fields_are_text() {
        return searched(out, room, format_args!("{}", Chain(error)));
    }
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
        cut = searched(out, left, format_args!("{error}"));
        source = error.source();
    }
    out.push(b']');
    cut
}

/// Its sources, a line for each.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, "caused by: {error}")?;
            source = error.source();
            if source.is_some() {
                f.write_char('\n')?;
            }
        }
        Ok(())
    }
}

/// Writes a text without the credentials in it, which are looked for before it is cut.
pub(crate) fn searched(out: &mut Vec<u8>, room: usize, text: fmt::Arguments<'_>) -> bool {
    /// Takes so much and no more: a value may go on for ever.
    struct Some(String, usize);

    impl fmt::Write for Some {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let left = self.1.saturating_sub(self.0.len());
            if text.len() <= left {
                self.0.push_str(text);
                return Ok(());
            }
            let fits = (0..=left).rev().find_map(|at| text.get(..at));
            self.0.push_str(fits.unwrap_or_default());
            self.1 = self.0.len();
            Err(fmt::Error)
        }
    }

    // So that what begins to be a credential before the cut is known as one.
    let mut whole = Some(String::new(), room.saturating_add(4096));
    // An error is the end of the room, or the value's own: what there is stays.
    let _ = whole.write_fmt(text);
    let text = redact_text(&whole.0);
    escape::string(out, room, format_args!("{text}"))
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Visit for Recorder<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.value(field, |out| out.float(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.value(field, |out| out.integer(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.value(field, |out| out.unsigned(value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.value(field, |out| out.big_integer(value));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.value(field, |out| out.big_integer(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.value(field, |out| out.boolean(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.value(field, |out| out.string(value));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.value(field, |out| out.hex(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.value(field, |out| out.error(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.value(field, |out| out.text(format_args!("{value:?}")));
    }
}
