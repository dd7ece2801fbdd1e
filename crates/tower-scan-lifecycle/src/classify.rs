use std::{borrow::Cow, error::Error};

use crate::{Outcome, ScanReport};

/// What is known of a scan before it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanMeta {
    pub(crate) scan_type: Cow<'static, str>,
    pub(crate) id: Option<String>,
    pub(crate) target: Option<String>,
}

impl ScanMeta {
    /// A scan of this type. A type that [`ScanMetrics`](crate::ScanMetrics) was not built with is
    /// recorded as `other`.
    pub fn new(scan_type: impl Into<Cow<'static, str>>) -> Self {
        Self {
            scan_type: scan_type.into(),
            id: None,
            target: None,
        }
    }

    /// Sets the scan's id, which goes into its span as `scan_id`, and never into a label.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets what is scanned, which goes into its span as `scan_target`, and never into a label.
    #[must_use]
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }
}

/// Reads a request: which scan it asks for.
pub trait ClassifyScan<Req> {
    /// The scan, or `None` if this call is none.
    fn scan(&self, request: &Req) -> Option<ScanMeta>;
}

impl<F, Req> ClassifyScan<Req> for F
where
    F: Fn(&Req) -> Option<ScanMeta>,
{
    fn scan(&self, request: &Req) -> Option<ScanMeta> {
        self(request)
    }
}

/// Reads what came back: how the scan ended.
pub trait ClassifyOutcome<Res, Err> {
    /// How the scan ended.
    fn outcome(&self, result: Result<&Res, &Err>) -> Outcome;
}

impl<F, Res, Err> ClassifyOutcome<Res, Err> for F
where
    F: Fn(Result<&Res, &Err>) -> Outcome,
{
    fn outcome(&self, result: Result<&Res, &Err>) -> Outcome {
        self(result)
    }
}

/// A response is a completed scan without findings, an error a failed one.
impl<Res, Err: Error + 'static> ClassifyOutcome<Res, Err> for () {
    fn outcome(&self, result: Result<&Res, &Err>) -> Outcome {
        match result {
            Ok(_) => Outcome::Completed(ScanReport::new()),
            Err(error) => Outcome::failed(error),
        }
    }
}
