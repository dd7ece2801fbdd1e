use crate::{ClassifyOutcome, ClassifyScan, Outcome, ScanMeta, ScanReport};

/// A request that says which scan it asks for.
pub trait ScanRequest {
    /// The scan, or `None` if this call is none.
    fn scan(&self) -> Option<ScanMeta>;
}

/// A response that says what was found.
pub trait ScanResponse {
    /// What was found.
    fn report(&self) -> ScanReport;
}

/// An error that says how the scan ended.
///
/// With the feature `timeout` it is there for `tower::BoxError`: an error in whose chain is tower's `Elapsed`
/// means that the scan timed out, any other that it failed.
pub trait ScanError {
    /// How the scan ended.
    fn outcome(&self) -> Outcome;
}

/// Reads scans from types of one's own, which say by [`ScanRequest`], [`ScanResponse`] and [`ScanError`]
/// what they are: the classifier of [`ScanLayer::typed`](crate::ScanLayer::typed).
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit value, written by name")]
pub struct Typed;

impl<Req: ScanRequest> ClassifyScan<Req> for Typed {
    fn scan(&self, request: &Req) -> Option<ScanMeta> {
        request.scan()
    }
}

impl<Res: ScanResponse, Err: ScanError> ClassifyOutcome<Res, Err> for Typed {
    fn outcome(&self, result: Result<&Res, &Err>) -> Outcome {
        match result {
            Ok(response) => Outcome::Completed(response.report()),
            Err(error) => error.outcome(),
        }
    }
}

impl ScanResponse for ScanReport {
    fn report(&self) -> ScanReport {
        *self
    }
}

impl ScanResponse for () {
    fn report(&self) -> ScanReport {
        ScanReport::new()
    }
}

impl ScanError for std::convert::Infallible {
    fn outcome(&self) -> Outcome {
        match *self {}
    }
}

#[cfg(feature = "timeout")]
impl ScanError for Box<dyn std::error::Error + Send + Sync> {
    fn outcome(&self) -> Outcome {
        let mut error: Option<&(dyn std::error::Error + 'static)> = Some(self.as_ref());
        while let Some(link) = error {
            if link.is::<tower::timeout::error::Elapsed>() {
                return Outcome::TimedOut;
            }
            error = link.source();
        }
        Outcome::failed(self.as_ref())
    }
}
