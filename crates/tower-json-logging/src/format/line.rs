use std::time::Duration;

use tracing_core::Level;

use crate::format::{
    Limits, escape,
    fields::{Fields, Written},
    keys::Role,
    timestamp,
};

/// What ends a line that is not whole.
const TRUNCATED: &[u8] = b",\"truncated\":true";

/// What a line says beside its fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) since_epoch: Duration,
    pub(crate) level: Level,
    /// Where the fields say none.
    pub(crate) module: &'a str,
    /// Where the fields say none.
    pub(crate) function: Option<&'a str>,
}

/// Writes one line, its newline included, into the empty `line`.
///
/// What every line has is written first and always fits; then come the fields that still do.
pub(crate) fn write(line: &mut Vec<u8>, head: Head<'_>, fields: &Fields, limits: &Limits) {
    let mut cut = fields.is_cut();

    line.extend_from_slice(b"{\"timestamp\":\"");
    timestamp::push(line, head.since_epoch);
    line.extend_from_slice(b"\",\"level\":\"");
    line.extend_from_slice(head.level.as_str().as_bytes());
    line.push(b'"');
    match fields.of_role(Role::Message) {
        Some(message) => {
            line.extend_from_slice(message.bytes);
            cut |= message.cut;
        }
        None => line.extend_from_slice(b",\"message\":\"\""),
    }

    let end = limits.max_line() - TRUNCATED.len() - b"}\n".len();
    let mut rest = Rest { line, end, cut };
    match fields.of_role(Role::Module) {
        Some(module) if rest.fits(module) => rest.field(module),
        _ => rest.text(b",\"module\":", head.module, limits.max_line() / 8),
    }
    match (fields.of_role(Role::Function), head.function) {
        (Some(function), _) => rest.field(function),
        (None, Some(function)) => rest.text(b",\"function\":", function, limits.max_line() / 8),
        (None, None) => {}
    }
    for role in [Role::ScanId, Role::RequestId, Role::TraceId, Role::SpanId] {
        if let Some(field) = fields.of_role(role) {
            rest.field(field);
        }
    }
    for field in fields.iter().filter(|field| field.role == Role::Own) {
        rest.field(field);
    }

    if rest.cut {
        line.extend_from_slice(TRUNCATED);
    }
    line.extend_from_slice(b"}\n");
}

/// A line with an end.
struct Rest<'a> {
    line: &'a mut Vec<u8>,
    end: usize,
    cut: bool,
}

impl Rest<'_> {
    fn fits(&self, field: Written<'_>) -> bool {
        self.line.len() + field.bytes.len() <= self.end
    }

    /// Writes a field if it fits.
    fn field(&mut self, field: Written<'_>) {
        if self.fits(field) {
            self.line.extend_from_slice(field.bytes);
            self.cut |= field.cut;
        } else {
            self.cut = true;
        }
    }

    /// Writes a text, cut to `room` bytes.
    fn text(&mut self, key: &[u8], text: &str, room: usize) {
        let left = self
            .end
            .saturating_sub(self.line.len() + key.len() + b"\"\"".len());
        self.line.extend_from_slice(key);
        self.cut |= escape::string(self.line, room.min(left), format_args!("{text}"));
    }
}
