//! Scans: to start one, to read one, to follow one.

use futures_util::{StreamExt as _, stream::BoxStream};
use tonic::{Request, Response, Status};

use super::{
    convert::{absent, refused, scan_type, status},
    proto::{
        ApproveScanRequest, FollowScanRequest, GetScanRequest, Scan, ScanRequest, ScanStatus,
        scans_server::Scans,
    },
};
use crate::{
    api::REQUEST_TIMEOUT,
    auth::{GateError, Role},
    platform::{Approval, AskError, Platform},
};

/// The service `sentrascan.v1.Scans`.
pub(super) struct ScanService {
    platform: Platform,
}

impl ScanService {
    pub(super) const fn new(platform: Platform) -> Self {
        Self { platform }
    }

    /// What the request asks for, if its key may.
    async fn allowed<T>(&self, request: Request<T>, needs: Role) -> Result<T, Status> {
        let (metadata, _, asked) = request.into_parts();
        match self.platform.gate().pass(metadata.as_ref(), needs).await {
            Ok(()) => Ok(asked),
            Err(GateError::Refused(refusal)) => Err(refused(refusal)),
            Err(GateError::Platform(error)) => Err(status(AskError::Platform(error))),
        }
    }
}

#[tonic::async_trait]
impl Scans for ScanService {
    async fn scan(&self, request: Request<ScanRequest>) -> Result<Response<Scan>, Status> {
        let request = self.allowed(request, Role::Scanner).await?;
        let scan_type = scan_type(&request)?;
        if request.background {
            let scan = self.platform.enqueue_path(scan_type, request.path).await;
            return Ok(Response::new(scan.map_err(status)?.into()));
        }
        let scan = self.platform.scan_path(scan_type, request.path);
        match tokio::time::timeout(REQUEST_TIMEOUT, scan).await {
            Ok(scan) => Ok(Response::new(scan.map_err(status)?.into())),
            Err(_) => Err(Status::deadline_exceeded("the scan did not end in time")),
        }
    }

    async fn get_scan(&self, request: Request<GetScanRequest>) -> Result<Response<Scan>, Status> {
        let GetScanRequest { id } = self.allowed(request, Role::Viewer).await?;
        let found = self.platform.find(&id).await;
        let found = found.map_err(|error| status(AskError::Platform(error)))?;
        Ok(Response::new(found.ok_or_else(absent)?.into()))
    }

    async fn approve_scan(
        &self,
        request: Request<ApproveScanRequest>,
    ) -> Result<Response<Scan>, Status> {
        let ApproveScanRequest { id } = self.allowed(request, Role::Scanner).await?;
        let approval = self.platform.approve(&id).await;
        match approval.map_err(|error| status(AskError::Platform(error)))? {
            Approval::Approved(scan) => Ok(Response::new((*scan).into())),
            Approval::Absent => Err(absent()),
            Approval::NotCompleted(status) => Err(Status::failed_precondition(format!(
                "the scan is {}: only a completed one can be a baseline",
                status.as_str()
            ))),
        }
    }

    type FollowScanStream = BoxStream<'static, Result<ScanStatus, Status>>;

    async fn follow_scan(
        &self,
        request: Request<FollowScanRequest>,
    ) -> Result<Response<Self::FollowScanStream>, Status> {
        let FollowScanRequest { id } = self.allowed(request, Role::Viewer).await?;
        let scans = self.platform.follow(&id).await;
        let scans = scans.map_err(|error| status(AskError::Platform(error)))?;
        let statuses = scans.ok_or_else(absent)?.map(|scan| Ok(scan.into()));
        Ok(Response::new(statuses.boxed()))
    }
}
