//! Pickles: programs for a stack machine that imports and calls what it is told to.

mod imports;
mod input;
mod opcodes;
#[cfg(test)]
mod tests;
mod value;
mod walker;

use std::cell::Cell;
use std::rc::Rc;

pub(super) use self::input::{Input, Stop};
use self::opcodes::{HIGHEST_PROTOCOL, argument, code};
use self::walker::{Shared, Walker};
use crate::scan::finding::Severity;
use crate::scan::report::Report;
use crate::scan::source::Context;

/// Whether bytes begin like a pickle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    /// A protocol header: protocols 2 to 5.
    Certain,
    /// An import, or a group that begins with one: protocols 0 and 1 have no header, and of those only a pickle that
    /// imports matters.
    Likely,
    /// Any other opcode comes first, which says little.
    Otherwise,
}

/// Bytes [`looks`] wants to see at most.
pub(super) const HEAD: usize = 512;

/// How `head`, the first bytes of something, looks.
pub(super) fn looks(head: &[u8]) -> Looks {
    if let [code::PROTO, protocol, rest @ ..] = head
        && *protocol <= HIGHEST_PROTOCOL
        && rest.first().is_none_or(|&next| argument(next).is_some())
    {
        return Looks::Certain;
    }
    // Marks may precede the import, as in `(cos\nsystem\n`.
    let marks = head.iter().take_while(|&&byte| byte == code::MARK).count();
    if let [code::GLOBAL | code::INST, rest @ ..] = head.get(marks..).unwrap_or_default() {
        let mut lines = rest.split(|&byte| byte == b'\n');
        if lines.next().is_some_and(is_path) && lines.next().is_some_and(is_path) {
            return Looks::Likely;
        }
    }
    Looks::Otherwise
}

/// Whether `line` reads like `package.module` or `Class.attribute`.
fn is_path(line: &[u8]) -> bool {
    line.split(|&byte| byte == b'.').all(|part| {
        part.first()
            .is_some_and(|&first| first == b'_' || first.is_ascii_alphabetic() || !first.is_ascii())
            && part
                .iter()
                .all(|&byte| byte == b'_' || byte.is_ascii_alphanumeric() || !byte.is_ascii())
    })
}

/// Whether `head` begins with any opcode at all.
pub(super) fn begins_with_opcode(head: &[u8]) -> bool {
    head.first().is_some_and(|&byte| argument(byte).is_some())
}

/// What was walked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Pickles that ended with STOP.
    pub(super) pickles: u64,
    /// Opcodes, those of nested pickles included.
    pub(super) opcodes: u64,
}

/// Walks the pickle at the start of `input` and those that follow it directly: legacy torch files are four pickles and
/// then raw tensor data.
///
/// Fails only if nothing was found; otherwise what ended the walk is a finding itself, since malware breaks the tail of
/// its pickle on purpose: the code has run by then.
pub(super) fn walk(
    input: &mut Input<'_>,
    place: &str,
    context: Context<'_>,
    report: &mut Report,
) -> Result<Tally, Stop> {
    let limits = context.limits;
    let mut shared = Shared {
        limits,
        opcodes: 0,
        names: Rc::new(Cell::new(limits.max_name_bytes)),
    };
    let mut tally = Tally::default();
    loop {
        // What follows a whole pickle may well be something else.
        let follows = tally.pickles > 0;
        let certain = {
            let head = input.peek(HEAD)?;
            if follows && !begins_with_opcode(head) {
                return Ok(tally);
            }
            looks(head) == Looks::Certain
        };
        let start = input.position();
        let (found, end) = Walker::new(input, &mut shared, place, 0, report.fresh()).run();
        let stop = match end {
            Ok(()) => {
                report.merge(found, Severity::Info);
                tally.pickles += 1;
                tally.opcodes = shared.opcodes;
                continue;
            }
            Err(stop) => stop,
        };
        let least = if follows && !certain {
            Severity::Critical
        } else {
            Severity::Info
        };
        let tells = found.has(least);
        if let Stop::Io(_) = stop {
            report.merge(found, least);
            return Err(stop);
        }
        if !tells {
            let limited = matches!(stop, Stop::Limit(..));
            return if follows && !(certain && limited) {
                Ok(tally)
            } else {
                Err(stop)
            };
        }
        report.merge(found, least);
        let location = format!("{place}:pickle at byte {start}");
        match stop {
            Stop::Limit(limit, allowed) => {
                let message =
                    format!("the rest of the pickle is not scanned: beyond {limit} = {allowed}");
                report.add(Severity::High, "incomplete-scan", location, message);
            }
            Stop::Malformed(reason) => {
                let message = format!("the pickle breaks after its imports have run: {reason}");
                report.add(Severity::High, "truncated-pickle", location, message);
            }
            Stop::Truncated | Stop::Io(_) => {
                let message = "the pickle ends without STOP, after its imports have run";
                report.add(Severity::High, "truncated-pickle", location, message);
            }
        }
        tally.opcodes = shared.opcodes;
        return Ok(tally);
    }
}
