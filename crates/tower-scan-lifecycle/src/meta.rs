use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use crate::trace_parent::TraceParent;

/// What is known of a scan before it runs.
///
/// Only the type becomes a label, and only if [`ScanMetrics`](crate::ScanMetrics) was built with it. The
/// rest goes into the scan's span, so that every line about the scan has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanMeta {
    pub(crate) scan_type: Cow<'static, str>,
    pub(crate) id: Option<Box<str>>,
    pub(crate) target: Option<Box<str>>,
    pub(crate) tenant: Option<Box<str>>,
    pub(crate) trigger: Option<Cow<'static, str>>,
    pub(crate) attempt: u32,
    pub(crate) deadline: Option<Duration>,
    pub(crate) enqueued_at: Option<SystemTime>,
    pub(crate) trace_parent: Option<TraceParent>,
}

impl ScanMeta {
    /// A scan of this type, at its first attempt. A type that [`ScanMetrics`](crate::ScanMetrics) was not
    /// built with is recorded as `other`.
    pub fn new(scan_type: impl Into<Cow<'static, str>>) -> Self {
        Self {
            scan_type: scan_type.into(),
            id: None,
            target: None,
            tenant: None,
            trigger: None,
            attempt: 1,
            deadline: None,
            enqueued_at: None,
            trace_parent: None,
        }
    }

    /// Sets the scan's id, which goes into its span as `scan_id`, and never into a label.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into().into());
        self
    }

    /// Sets what is scanned, which goes into its span as `scan_target`, and never into a label. Leave it
    /// out, or give a hash of it, where the name is a secret.
    #[must_use]
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into().into());
        self
    }

    /// Sets whom the scan is for, which goes into its span as `tenant_id`, and never into a label.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into().into());
        self
    }

    /// Sets what asked for the scan (`api`, `schedule`, `webhook`), which goes into its span as
    /// `scan_trigger`.
    #[must_use]
    pub fn trigger(mut self, trigger: impl Into<Cow<'static, str>>) -> Self {
        self.trigger = Some(trigger.into());
        self
    }

    /// Sets which attempt it is, from 1. Above 1 it goes into the span as `scan_attempt`. Default: 1.
    #[must_use]
    pub const fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = if attempt == 0 { 1 } else { attempt };
        self
    }

    /// Sets how long the scan may run. It is not stopped by this; but one that is dropped unfinished at its
    /// deadline or later has timed out, and was not cancelled: by a timeout outside, say. Default: none.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Says since when the scan has waited in a queue. The wait is recorded at the start, as 0 if clocks
    /// disagree, and the scan's span has no parent then: what asked for it may be long over. Default: it has
    /// not waited.
    #[must_use]
    pub const fn enqueued_at(mut self, at: SystemTime) -> Self {
        self.enqueued_at = Some(at);
        self
    }

    /// Says in which trace the scan was asked for: a `traceparent` of W3C Trace Context. What is not valid
    /// is left out. A scan from a queue has `trace_id` and `linked_span_id` in its span then: a link, not a
    /// parent.
    #[must_use]
    pub fn traceparent(mut self, value: &str) -> Self {
        self.trace_parent = TraceParent::parse(value);
        self
    }
}
