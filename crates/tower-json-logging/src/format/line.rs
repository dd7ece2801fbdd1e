use std::{ops::Range, time::Duration};

use tracing_core::Level;

use crate::{
    access::{self, Request},
    format::{
        Limits, escape,
        fields::Fields,
        stencil::{Note, Variable},
        timestamp,
    },
    schema::{Compiled, Fact, Object, Slot, Step, What},
};

/// What a line says beside its fields.
#[derive(Clone, Copy)]
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
    pub(crate) request: Option<Request<'a>>,
}

/// All that a line is made of.
#[derive(Clone, Copy)]
pub(crate) struct Content<'a> {
    pub(crate) head: Head<'a>,
    pub(crate) fields: &'a Fields,
    pub(crate) schema: &'a Compiled,
    pub(crate) limits: &'a Limits,
}

impl Content<'_> {
    /// Writes the value of a variable, and tells whether it was cut. None if there is none: then nothing is
    /// written.
    #[inline]
    pub(crate) fn variable(&self, out: &mut Vec<u8>, variable: Variable) -> Option<bool> {
        match variable {
            Variable::Timestamp => {
                quoted(out, timestamp::text(self.head.since_epoch));
                Some(false)
            }
            Variable::Place => access::place(out, self),
            Variable::Id(slot) => {
                quoted(out, self.head.request?.context.id(slot)?);
                Some(false)
            }
            Variable::Slot(slot) => {
                let value = self.fields.slot(slot)?;
                out.extend_from_slice(value.bytes);
                Some(value.cut)
            }
            Variable::Fact(fact) => access::fact(out, fact, self),
            Variable::Fields { first } => {
                let all = self.fields.all();
                let bytes = all.bytes.get(usize::from(first)..);
                out.extend_from_slice(bytes?);
                Some(all.cut)
            }
        }
    }

    /// How long a line may get before its objects are closed.
    pub(crate) const fn end(&self) -> usize {
        let closing = self.schema.truncated.len() + b"}}\n".len();
        self.limits.max_line().saturating_sub(closing)
    }
}

/// Writes one line, its newline included, into the empty `out`. Tells whether all of it is there, and notes
/// where its variables are.
///
/// What every line has comes first and always fits; then come the fields that still do.
pub(crate) fn write(
    out: &mut Vec<u8>,
    content: &Content<'_>,
    notes: Option<&mut Vec<Note>>,
) -> bool {
    let schema = content.schema;
    let mut line = Line {
        out,
        end: content.end(),
        cut: content.fields.is_cut(),
        open: Object::NONE,
        first: true,
        content,
        notes,
    };
    line.out.push(b'{');
    let steps = match content.head.request {
        Some(_) => &schema.request_steps,
        None => &schema.steps,
    };
    for step in steps {
        match step.what {
            What::OfRequest(fact) if access::varies(fact) => {
                line.variable(step, Variable::Fact(fact));
            }
            What::OfRequest(fact) => line.of_request(step, fact),
            What::Constant => line.json(step, b""),
            What::Slot(slot) => line.slot(step, slot),
            What::Fact(fact) => line.fact(step, fact),
            What::Fields => line.fields(step.object),
        }
    }
    line.finish();
    !line.cut
}

/// A line with an end.
struct Line<'a> {
    out: &'a mut Vec<u8>,
    end: usize,
    cut: bool,
    /// The object that is open.
    open: Object,
    /// Whether what comes next is the first of its object.
    first: bool,
    content: &'a Content<'a>,
    notes: Option<&'a mut Vec<Note>>,
}

/// Where a line was, to go back to.
#[derive(Clone, Copy)]
struct Mark {
    len: usize,
    open: Object,
    first: bool,
}

impl Line<'_> {
    fn fact(&mut self, step: &Step, fact: Fact) {
        let level = self.content.head.level;
        match fact {
            Fact::Timestamp => self.variable(step, Variable::Timestamp),
            Fact::Level => self.json(step, self.content.schema.level(level)),
            Fact::Severity => self.json(
                step,
                match level {
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

    /// What all requests of a kind say.
    fn of_request(&mut self, step: &Step, fact: Fact) {
        let content = self.content;
        self.put(step, |out| access::fact(out, fact, content));
    }

    fn slot(&mut self, step: &Step, slot: Slot) {
        let Content {
            head,
            fields,
            limits,
            ..
        } = self.content;
        // A request's own are not to be overwritten by what the service says of others.
        let is_own = |request: Request<'_>| request.context.id(slot).is_some();
        if head.request.is_some_and(is_own) {
            return self.variable(step, Variable::Id(slot));
        }
        if let Some(value) = fields.slot(slot) {
            if self.noted(step, Variable::Slot(slot), |out| {
                out.extend_from_slice(value.bytes);
                Some(value.cut)
            }) {
                return;
            }
        }
        match (slot, head.request) {
            (Slot::Message, Some(request)) => self.message(step, request),
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
                    let mut digits = itoa::Buffer::new();
                    self.json(step, digits.format(line).as_bytes());
                }
            }
            _ => {}
        }
    }

    fn message(&mut self, step: &Step, request: Request<'_>) {
        let mut place = None;
        let content = self.content;
        let written = self.put(step, |out| {
            place = access::message(out, request, content);
            Some(false)
        });
        if let (Some(_), Some(place)) = (written, place) {
            self.note(place, Variable::Place);
        }
    }

    /// A value that is JSON.
    fn json(&mut self, step: &Step, json: &[u8]) {
        self.put(step, |out| {
            out.extend_from_slice(json);
            Some(false)
        });
    }

    /// A text that needs no escaping.
    fn plain(&mut self, step: &Step, text: &str) {
        self.put(step, |out| {
            quoted(out, text);
            Some(false)
        });
    }

    /// A text, cut if it takes more than `room`.
    fn text(&mut self, step: &Step, room: usize, text: &str) {
        self.put(step, |out| Some(escape::text(out, room, text)));
    }

    /// What differs from line to line, if there is such a value.
    fn variable(&mut self, step: &Step, variable: Variable) {
        let content = self.content;
        self.noted(step, variable, |out| content.variable(out, variable));
    }

    /// As [`put`](Self::put), and notes where that is. Tells whether it fits.
    #[inline]
    fn noted(
        &mut self,
        step: &Step,
        variable: Variable,
        value: impl FnOnce(&mut Vec<u8>) -> Option<bool>,
    ) -> bool {
        let written = self.put(step, value);
        let fits = written.is_some();
        if let Some(range) = written {
            self.note(range, variable);
        }
        fits
    }

    fn note(&mut self, range: Range<usize>, variable: Variable) {
        if let Some(notes) = &mut self.notes {
            notes.push(Note { range, variable });
        }
    }

    /// A key, and what `value` writes if that fits: where the value is then. `value` tells whether it cut
    /// something, and if there is nothing.
    fn put(
        &mut self,
        step: &Step,
        value: impl FnOnce(&mut Vec<u8>) -> Option<bool>,
    ) -> Option<Range<usize>> {
        let before = self.mark();
        if self.first || step.object != self.open {
            self.begin(step);
        } else {
            step.bytes.write(self.out);
        }
        let start = self.out.len();
        let Some(cut) = value(self.out) else {
            self.go_back(before);
            return None;
        };
        self.cut |= cut;
        let end = self.out.len();
        if end <= self.end {
            return Some(start..end);
        }
        self.go_back(before);
        self.cut = true;
        None
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

    fn go_back(&mut self, mark: Mark) {
        self.out.truncate(mark.len);
        (self.open, self.first) = (mark.open, mark.first);
    }

    /// The program's own fields, all at once if they fit.
    fn fields(&mut self, object: Object) {
        let fields = self.content.fields;
        let all = fields.all().bytes.len();
        if all == 0 {
            return;
        }
        let before = self.mark();
        self.enter(object);
        if self.out.len() + all <= self.end {
            let (start, first) = (self.out.len(), self.first);
            let variable = Variable::Fields { first };
            self.cut |= self.content.variable(self.out, variable) == Some(true);
            self.note(start..self.out.len(), variable);
            self.first = false;
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
        if let Some(name) = self.content.schema.object(object) {
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
        let truncated = &self.content.schema.truncated;
        if self.cut && !truncated.is_empty() {
            self.member(truncated);
        }
        self.out.extend_from_slice(b"}\n");
    }
}

/// A text that needs no escaping.
pub(crate) fn quoted(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    out.push(b'"');
    out.extend_from_slice(text.as_ref());
    out.push(b'"');
}
