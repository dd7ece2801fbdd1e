//! Scans: to start one, to read one, to follow one.

use futures_util::{StreamExt as _, stream::BoxStream};
use tonic::{Request, Response, Status};

use super::{
    convert::{absent, scan_type, status},
    proto::{
        FollowScanRequest, GetScanRequest, Scan, ScanRequest, ScanStatus, scans_server::Scans,
    },
};
use crate::{
    api::REQUEST_TIMEOUT,
    platform::{AskError, Platform},
};

/// The service `sentrascan.v1.Scans`.
pub(super) struct ScanService {
    platform: Platform,
}

impl ScanService {
    pub(super) const fn new(platform: Platform) -> Self {
        Self { platform }
    }
}

#[tonic::async_trait]
impl Scans for ScanService {
    async fn scan(&self, request: Request<ScanRequest>) -> Result<Response<Scan>, Status> {
        let request = request.into_inner();
        let scan = self.platform.scan_path(scan_type(&request)?, request.path);
        match tokio::time::timeout(REQUEST_TIMEOUT, scan).await {
            Ok(scan) => Ok(Response::new(scan.map_err(status)?.into())),
            Err(_) => Err(Status::deadline_exceeded("the scan did not end in time")),
        }
    }

    async fn get_scan(&self, request: Request<GetScanRequest>) -> Result<Response<Scan>, Status> {
        let GetScanRequest { id } = request.into_inner();
        let found = self.platform.find(&id).await;
        let found = found.map_err(|error| status(AskError::Platform(error)))?;
        Ok(Response::new(found.ok_or_else(absent)?.into()))
    }

    type FollowScanStream = BoxStream<'static, Result<ScanStatus, Status>>;

    async fn follow_scan(
        &self,
        request: Request<FollowScanRequest>,
    ) -> Result<Response<Self::FollowScanStream>, Status> {
        let FollowScanRequest { id } = request.into_inner();
        let scans = self.platform.follow(&id).await;
        let scans = scans.map_err(|error| status(AskError::Platform(error)))?;
        let statuses = scans.ok_or_else(absent)?.map(|scan| Ok(scan.into()));
        Ok(Response::new(statuses.boxed()))
    }
}
