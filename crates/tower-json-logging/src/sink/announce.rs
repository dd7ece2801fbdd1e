//! The line that tells of lost lines.

use std::iter;

use super::counts::{DropReason, Losses};
use crate::{Schema, format::core::Core};

/// Writes the line that tells of them into an empty buffer, its newline included.
pub(crate) type Announce = Box<dyn Fn(&Losses, &mut Vec<u8>) + Send>;

/// Writes such lines in this schema.
pub(crate) fn in_schema(schema: Schema) -> Announce {
    let core = Core::of_schema(schema);
    Box::new(move |lost, line| {
        let all = ("lines_lost", lost.total());
        let by_reason = DropReason::ALL.map(|reason| (field(reason), lost.of(reason).total()));
        let by_reason = by_reason.into_iter().filter(|(_, lines)| *lines > 0);
        core.make_lost(line, iter::once(all).chain(by_reason));
    })
}

const fn field(reason: DropReason) -> &'static str {
    match reason {
        DropReason::QueueFull => "lost_queue_full",
        DropReason::IoError => "lost_io_error",
        DropReason::Oversize => "lost_oversize",
        DropReason::Shutdown => "lost_shutdown",
    }
}
