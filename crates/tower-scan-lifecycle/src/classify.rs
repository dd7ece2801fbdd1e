use std::error::Error;

use crate::{Outcome, ScanMeta, ScanReport};

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
