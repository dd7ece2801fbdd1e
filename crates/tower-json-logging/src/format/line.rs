use std::time::Duration;

use tracing_core::Level;

use crate::{
    access::{self, Ended},
    context::RequestContext,
    format::{Limits, escape, fields::Fields, timestamp},
    schema::{Compiled, Fact, Slot, Step, What},
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
        open: None,
        first: true,
        schema,
    };
    line.out.push(b'{');
    let steps = match head.request {
        Some(_) => &schema.request_steps,
        None => &schema.steps,
    };
    for step in steps {
        match step.what {
            What::Constant => line.put(step, |_| Some(false)),
            What::Slot(slot) => line.slot(step, slot, &head, fields, limits),
            What::Fact(fact) => line.put(step, |out| self::fact(out, fact, &head, schema, limits)),
            What::Fields => line.fields(step.object, fields),
        }
    }
    line.finish();
}

/// Writes the value of a fact, if there is one, and tells whether it was cut.
fn fact(
    out: &mut Vec<u8>,
    fact: Fact,
    head: &Head<'_>,
    schema: &Compiled,
    limits: &Limits,
) -> Option<bool> {
    match fact {
        Fact::Timestamp => {
            out.push(b'"');
            timestamp::push(out, head.since_epoch);
            out.push(b'"');
        }
        Fact::Level => {
            out.push(b'"');
            out.extend_from_slice(schema.level_names.of(head.level).as_bytes());
            out.push(b'"');
        }
        Fact::Severity => {
            let severity: &[u8] = match head.level {
                Level::TRACE => b"1",
                Level::DEBUG => b"5",
                Level::INFO => b"9",
                Level::WARN => b"13",
                Level::ERROR => b"17",
            };
            out.extend_from_slice(severity);
        }
        Fact::File => return Some(escape::text(out, limits.max_line() / 16, head.file?)),
        Fact::Line => {
            out.extend_from_slice(itoa::Buffer::new().format(head.line?).as_bytes());
        }
        _ => {
            let (context, ended) = head.request?;
            return access::fact(out, fact, context, ended, schema, limits);
        }
    }
    Some(false)
}

/// A line with an end.
struct Line<'a> {
    out: &'a mut Vec<u8>,
    end: usize,
    cut: bool,
    /// The object that is open.
    open: Option<usize>,
    /// Whether what comes next is the first of its object.
    first: bool,
    schema: &'a Compiled,
}

impl Line<'_> {
    fn slot(&mut self, step: &Step, slot: Slot, head: &Head<'_>, fields: &Fields, limits: &Limits) {
        // A request's own are not to be overwritten by what the service says of others.
        let own = head.request.and_then(|(context, _)| context.slot(slot));
        if let Some(own) = own {
            return self.put(step, |out| Some(escape::text(out, usize::MAX, own)));
        }
        if let Some(value) = fields.slot(slot) {
            if self.put_if_it_fits(step, |out| {
                out.extend_from_slice(value.bytes);
                Some(value.cut)
            }) {
                return;
            }
        }
        match slot {
            Slot::Message => match head.request {
                Some((context, ended)) => self.put(step, |out| {
                    Some(access::message(out, context, ended, limits.max_line() / 8))
                }),
                None => self.put(step, |out| {
                    out.extend_from_slice(b"\"\"");
                    Some(false)
                }),
            },
            Slot::Module => self.put(step, |out| {
                out.extend_from_slice(head.module);
                Some(false)
            }),
            Slot::Function => {
                let Some(function) = head.function else {
                    return;
                };
                let room = limits.max_line() / 8;
                self.put(step, |out| Some(escape::text(out, room, function)));
            }
            _ => {}
        }
    }

    fn put(&mut self, step: &Step, value: impl FnOnce(&mut Vec<u8>) -> Option<bool>) {
        self.put_if_it_fits(step, value);
    }

    /// Writes a key and what `value` writes, unless that is nothing, or does not fit.
    fn put_if_it_fits(
        &mut self,
        step: &Step,
        value: impl FnOnce(&mut Vec<u8>) -> Option<bool>,
    ) -> bool {
        let (start, open, first) = (self.out.len(), self.open, self.first);
        self.enter(step.object);
        self.member(&step.bytes);
        match value(self.out) {
            Some(cut) if self.out.len() <= self.end => {
                self.cut |= cut;
                return true;
            }
            Some(_) => self.cut = true,
            None => {}
        }
        self.out.truncate(start);
        (self.open, self.first) = (open, first);
        false
    }

    /// The program's own fields, all at once if they fit.
    fn fields(&mut self, object: Option<usize>, fields: &Fields) {
        let all = fields.all();
        if all.bytes.is_empty() {
            return;
        }
        let (start, open, first) = (self.out.len(), self.open, self.first);
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
            self.out.truncate(start);
            (self.open, self.first) = (open, first);
        }
    }

    fn enter(&mut self, object: Option<usize>) {
        if object == self.open {
            return;
        }
        if self.open.is_some() {
            self.out.push(b'}');
            self.first = false;
        }
        self.open = object;
        if let Some(name) = object.and_then(|object| self.schema.objects.get(object)) {
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
        self.enter(None);
        if self.cut && !self.schema.truncated.is_empty() {
            self.member(&self.schema.truncated);
        }
        self.out.extend_from_slice(b"}\n");
    }
}
