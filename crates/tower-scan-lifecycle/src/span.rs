//! The span of a scan.

use tracing::{Id, Span};

use crate::{context::Running, trace_parent::TraceParent};

/// Where a scan's span belongs.
pub(crate) enum Place {
    /// Within the present one.
    Child,
    /// In none: what asked for the scan may be long over. Where it is still open, it is linked.
    Linked(Option<Id>),
}

// At ERROR, so that a filter for severe events keeps what they belong to. What is not known is left out.
macro_rules! scan_span {
    ($running:expr, $link:expr $(, parent: $parent:expr)?) => {{
        let (running, link): (&Running, Option<&TraceParent>) = ($running, $link);
        let meta = &running.meta;
        tracing::error_span!(
            target: "scan",
            $(parent: $parent,)?
            "scan",
            scan_id = running.id(),
            scan_type = running.core.type_name(running.row),
            scan_target = meta.target.as_deref(),
            scan_attempt = (meta.attempt > 1).then_some(meta.attempt),
            scan_trigger = meta.trigger.as_deref(),
            tenant_id = meta.tenant.as_deref(),
            trace_id = link.map(TraceParent::trace_id),
            linked_span_id = link.map(TraceParent::span_id),
            otel.status_code = tracing::field::Empty,
            error.type = tracing::field::Empty,
        )
    }};
}

pub(crate) fn open(running: &Running, place: Place) -> Span {
    match place {
        Place::Child => scan_span!(running, None),
        Place::Linked(from) => {
            let span = scan_span!(running, running.meta.trace_parent.as_ref(), parent: None);
            if let Some(from) = from {
                span.follows_from(from);
            }
            span
        }
    }
}
