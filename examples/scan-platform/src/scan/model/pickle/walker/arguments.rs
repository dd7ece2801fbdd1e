//! Opcodes with an argument in the stream.

use std::cell::Cell;
use std::rc::Rc;

use crate::scan::finding::Severity;

use super::super::imports::Judgement;
use super::super::input::Stop;
use super::super::opcodes::{HIGHEST_PROTOCOL, code};
use super::super::value::{Import, MAX_NAME, Name, Value, is_name, unescape};
use super::super::{Looks, looks};
use super::Walker;

impl Walker<'_, '_, '_> {
    pub(super) fn fixed(&mut self, opcode: u8, value: u64) -> Result<(), Stop> {
        match opcode {
            code::PROTO if value > u64::from(HIGHEST_PROTOCOL) => Err(Stop::Malformed(format!(
                "pickle protocol {value} does not exist; {HIGHEST_PROTOCOL} is the highest"
            ))),
            code::PROTO | code::FRAME => Ok(()),
            code::BINGET | code::LONG_BINGET => self.recall(value),
            code::BINPUT | code::LONG_BINPUT => self.memoise(value),
            code::EXT1 | code::EXT2 | code::EXT4 => {
                let message = format!(
                    "imports whatever the loading program registered as pickle extension {value}; what that is cannot be told"
                );
                self.found(Severity::Medium, "extension-import", message);
                // An import all the same: calling it is not a second finding.
                self.push(Value::Import(Rc::new(Import {
                    module: "copyreg".to_owned(),
                    name: format!("extension {value}"),
                    judgement: Judgement::Harmless,
                    reported: Cell::new(true),
                })))
            }
            _ => self.push(Value::Other),
        }
    }

    pub(super) fn line(&mut self, opcode: u8) -> Result<(), Stop> {
        // An escaped character takes ten bytes at most.
        let (line, length) = self.input.line(MAX_NAME * 10)?;
        match opcode {
            code::GET | code::PUT => {
                let key = std::str::from_utf8(&line)
                    .ok()
                    .and_then(|text| text.trim().parse().ok());
                let Some(key) = key else {
                    self.flawed("has a memo key that is no number");
                    return if opcode == code::GET {
                        self.push(Value::Other)
                    } else {
                        Ok(())
                    };
                };
                if opcode == code::GET {
                    self.recall(key)
                } else {
                    self.memoise(key)
                }
            }
            code::STRING | code::UNICODE if length == line.len() as u64 => {
                let quoted = line.trim_ascii();
                let inner = if opcode == code::UNICODE {
                    &line
                } else {
                    quoted
                        .get(1..quoted.len().saturating_sub(1))
                        .unwrap_or_default()
                };
                self.text(&unescape(inner))
            }
            // FLOAT, INT, LONG, PERSID, and text that is too long to be a name.
            _ => self.push(Value::Other),
        }
    }

    pub(super) fn counted(&mut self, opcode: u8, width: usize) -> Result<(), Stop> {
        let length = self.input.number(width)?;
        if matches!(opcode, code::BINSTRING | code::LONG4)
            && length > i32::MAX.unsigned_abs().into()
        {
            return Err(Stop::Malformed(format!(
                "opcode {} at byte {} has a negative length",
                self.opcode, self.at
            )));
        }
        if matches!(opcode, code::LONG1 | code::LONG4) {
            self.input.take(length, 0)?;
            return self.push(Value::Other);
        }
        let is_text = !matches!(
            opcode,
            code::SHORT_BINBYTES | code::BINBYTES | code::BINBYTES8 | code::BYTEARRAY8
        );
        let start = self.input.position();
        let outer = self.input.bound_to(length);
        let head = self.input.peek(MAX_NAME + 1)?.to_vec();
        let name = (is_text && length == head.len() as u64).then(|| String::from_utf8_lossy(&head));
        let nested = if looks(&head) == Looks::Otherwise {
            Ok(())
        } else {
            self.nested(looks(&head))
        };
        self.input.set_bound(outer);
        nested?;
        let taken = self.input.position().saturating_sub(start);
        self.input.take(length.saturating_sub(taken), 0)?;
        match name {
            Some(name) => self.text(&name),
            None => self.push(Value::Other),
        }
    }

    /// Walks a pickle inside a byte string: somebody is going to load that one too.
    pub(super) fn nested(&mut self, looks: Looks) -> Result<(), Stop> {
        let limit = self.shared.limits.max_pickle_nesting;
        if self.depth >= limit {
            let message = format!(
                "pickles inside of pickles deeper than max_pickle_nesting = {limit} are not scanned"
            );
            self.found(Severity::High, "incomplete-scan", message);
            return Ok(());
        }
        let place = self.location();
        let inner = Walker::new(
            self.input,
            self.shared,
            &place,
            self.depth + 1,
            self.report.fresh(),
        );
        let (report, end) = inner.run();
        match end {
            Ok(()) => self.report.merge(report, Severity::Info),
            Err(stop @ (Stop::Io(_) | Stop::Limit(..))) => {
                self.report.merge(report, Severity::Info);
                return Err(stop);
            }
            // Most likely data that happens to begin like a pickle, unless it holds what data does not.
            Err(Stop::Truncated | Stop::Malformed(_)) => {
                let least = if looks == Looks::Certain {
                    Severity::High
                } else {
                    Severity::Critical
                };
                self.report.merge(report, least);
            }
        }
        Ok(())
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), Stop> {
        if !is_name(text) {
            return self.push(Value::Other);
        }
        let Some(name) = Name::keep(text, &self.shared.names) else {
            return Err(Stop::Limit(
                "max_name_bytes",
                self.shared.limits.max_name_bytes as u64,
            ));
        };
        self.push(Value::Name(name))
    }
}
