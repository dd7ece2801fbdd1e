use std::time::Duration;

use tracing_core::Level;

use crate::{
    access::{self, Ended},
    context::RequestContext,
    format::{Limits, escape, fields::Fields, timestamp},
    schema::{Compiled, Fact, Object, Slot, Step, What},
};

/// What a line says beside its fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) since_epoch: Duration,
    pub(crate) level: Level,
    /// Where the fields say none. As JSON.
    pub(crate) module: &'a [u8],
    /// Where the fields say none.
    pub(crate) function: Option<&'a str>,
    pub(crate) file: Option<&'a str>,
    pub(crate) line: Option<u32>,
    /// If it is a request's line.
    pub(crate) request: Option<(&'a RequestContext, &'a Ended)>,
}

/// Writes one line, its newline included, into the empty `out`.
///
/// What every line has comes first and always fits; then come the fields that still do.
pub(crate) fn write(
    out: &mut Vec<u8>,
    head: Head<'_>,
    fields: &Fields,
    schema: &Compiled,
    limits: &Limits,
) {
    let closing = schema.truncated.len() + b"}}\n".len();
    let mut line = Line {
        out,
        end: limits.max_line().saturating_sub(closing),
        cut: fields.is_cut(),
        open: Object::NONE,
        first: true,
        schema,
    };
    line.out.push(b'{');
    let request = head
        .request
        .and_then(|(context, ended)| Some((context, context.facts()?, ended)));
    let steps = match request {
        Some(_) => &schema.request_steps,
        None => &schema.steps,
    };
    for step in steps {
        match step.what {
            What::OfRequest(fact) => {
                if let Some((context, facts, ended)) = request {
                    access::fact(&mut line, step, fact, context, facts, ended, limits);
                }
            }
            What::Constant => line.json(step, b""),
            What::Slot(slot) => line.slot(step, slot, &head, fields, limits),
            What::Fact(fact) => line.fact(step, fact, &head),
            What::Fields => line.fields(step.object, fields),
        }
    }
    line.finish();
}

/// A line with an end.
pub(crate) struct Line<'a> {
    out: &'a mut Vec<u8>,
    end: usize,
    cut: bool,
    /// The object that is open.
    open: Object,
    /// Whether what comes next is the first of its object.
    first: bool,
    pub(crate) schema: &'a Compiled,
}

/// Where a line was, to go back to.
#[derive(Clone, Copy)]
struct Mark {
    len: usize,
    open: Object,
    first: bool,
}

impl Line<'_> {
    fn fact(&mut self, step: &Step, fact: Fact, head: &Head<'_>) {
        match fact {
            Fact::Timestamp => self.put(step, |out| {
                out.push(b'"');
                timestamp::push(out, head.since_epoch);
                out.push(b'"');
                false
            }),
            Fact::Level => self.plain(step, self.schema.level_names.of(head.level)),
            Fact::Severity => self.json(
                step,
                match head.level {
                    Level::TRACE => b"1",
                    Level::DEBUG => b"5",
                    Level::INFO => b"9",
                    Level::WARN => b"13",
                    Level::ERROR => b"17",
                },
            ),
            // They are steps of their own.
            _ => {}
        }
    }

    fn slot(&mut self, step: &Step, slot: Slot, head: &Head<'_>, fields: &Fields, limits: &Limits) {
        // A request's own are not to be overwritten by what the service says of others.
        let own = head.request.and_then(|(context, _)| context.slot(slot));
        if let Some(own) = own {
            return self.plain(step, own);
        }
        if let Some(value) = fields.slot(slot) {
            if self.put_if_it_fits(step, |out| {
                out.extend_from_slice(value.bytes);
                value.cut
            }) {
                return;
            }
        }
        match (slot, head.request) {
            (Slot::Message, Some((context, ended))) => self.put(step, |out| {
                access::message(out, context, ended, limits.max_line() / 8)
            }),
            (Slot::Message, None) => self.plain(step, ""),
            (Slot::Module, _) => self.json(step, head.module),
            (Slot::Function, _) => {
                if let Some(function) = head.function {
                    self.text(step, limits.max_line() / 8, function);
                }
            }
            (Slot::File, _) => {
                if let Some(file) = head.file {
                    self.text(step, limits.max_line() / 16, file);
                }
            }
            (Slot::Line, _) => {
                if let Some(line) = head.line {
                    self.number(step, line);
                }
            }
            _ => {}
        }
    }

    /// A value that is JSON.
    pub(crate) fn json(&mut self, step: &Step, json: &[u8]) {
        self.put(step, |out| {
            out.extend_from_slice(json);
            false
        });
    }

    /// A text that needs no escaping.
    pub(crate) fn plain(&mut self, step: &Step, text: &str) {
        self.put(step, |out| {
            quoted(out, text);
            false
        });
    }

    /// A text, cut if it takes more than `room`.
    pub(crate) fn text(&mut self, step: &Step, room: usize, text: &str) {
        self.put(step, |out| escape::text(out, room, text));
    }

    pub(crate) fn number(&mut self, step: &Step, number: impl itoa::Integer) {
        let mut digits = itoa::Buffer::new();
        self.json(step, digits.format(number).as_bytes());
    }

    /// A key, and what `value` writes if that fits. `value` tells whether it cut something.
    pub(crate) fn put(&mut self, step: &Step, value: impl FnOnce(&mut Vec<u8>) -> bool) {
        self.put_if_it_fits(step, value);
    }

    fn put_if_it_fits(&mut self, step: &Step, value: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let before = self.mark();
        if self.first || step.object != self.open {
            self.begin(step);
        } else {
            step.bytes.write(self.out);
        }
        self.cut |= value(self.out);
        let fits = self.out.len() <= self.end;
        if !fits {
            self.go_back(before);
        }
        fits
    }

    /// Writes a key that is the first of its object.
    #[cold]
    fn begin(&mut self, step: &Step) {
        self.enter(step.object);
        self.member(step.bytes.bytes());
    }

    fn mark(&self) -> Mark {
        Mark {
            len: self.out.len(),
            open: self.open,
            first: self.first,
        }
    }

    #[cold]
    fn go_back(&mut self, mark: Mark) {
        self.out.truncate(mark.len);
        (self.open, self.first) = (mark.open, mark.first);
        self.cut = true;
    }

    /// The program's own fields, all at once if they fit.
    fn fields(&mut self, object: Object, fields: &Fields) {
        let all = fields.all();
        if all.bytes.is_empty() {
            return;
        }
        let before = self.mark();
        self.enter(object);
        if self.out.len() + all.bytes.len() <= self.end {
            self.member(all.bytes);
            self.cut |= all.cut;
            return;
        }
        self.cut = true;
        let mut is_empty = true;
        for field in fields.iter().filter(|field| !field.bytes.is_empty()) {
            if self.out.len() + field.bytes.len() <= self.end {
                self.member(field.bytes);
                is_empty = false;
            }
        }
        if is_empty {
            self.go_back(before);
        }
    }

    /// Closes the object that is open, and opens another.
    fn enter(&mut self, object: Object) {
        if object == self.open {
            return;
        }
        if self.open != Object::NONE {
            self.out.push(b'}');
            self.first = false;
        }
        self.open = object;
        if let Some(name) = self.schema.object(object) {
            self.member(name);
            self.first = true;
        }
    }

    /// Bytes that begin with the comma that parts them from what is before.
    fn member(&mut self, bytes: &[u8]) {
        let from = usize::from(self.first);
        self.out
            .extend_from_slice(bytes.get(from..).unwrap_or_default());
        self.first = false;
    }

    fn finish(&mut self) {
        self.enter(Object::NONE);
        if self.cut && !self.schema.truncated.is_empty() {
            self.member(&self.schema.truncated);
        }
        self.out.extend_from_slice(b"}\n");
    }
}

/// A text that needs no escaping.
pub(crate) fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}
