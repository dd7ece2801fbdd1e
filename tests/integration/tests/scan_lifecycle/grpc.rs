//! gRPC calls as scans: by hand, and a tonic server with its own client.

use std::convert::Infallible;

use http::{Method, Request, Response, header::CONTENT_TYPE};
use test_support::{
    body::ScriptBody,
    drive::{bounded, read, ready},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{Layer as _, Service as _, service_fn};
use tower_scan_lifecycle::{HttpScanLayer, ScanReport, Severity};

use crate::common::{Scene, on_both};

const PATH: &str = "/sentrascan.v1.Scans/Scan";

fn call(scene: &Scene, answer: &Response<ScriptBody>) -> Response<impl http_body::Body + use<>> {
    let layer = HttpScanLayer::new(scene.scans.clone()).route(Method::POST, PATH, "mcp");
    let mut service = layer.layer(service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(answer.clone()))
    }));
    let request = Request::post(PATH).body(()).unwrap();
    match ready(&mut service.call(request)) {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn answer(body: ScriptBody) -> Response<ScriptBody> {
    let response = Response::builder().header(CONTENT_TYPE, "application/grpc+proto");
    response.body(body).unwrap()
}

#[test]
fn a_call_ends_by_its_trailers() {
    on_both(async |scene| {
        for code in ["0", "4", "13", "1", "3", "16", "8"] {
            let body = ScriptBody::new()
                .data("message")
                .trailers("grpc-status", code);
            let response = call(&scene, &answer(body));
            assert_eq!(scene.active(), 1.0, "a call lasts to its trailers");
            assert!(read(&mut Box::pin(response.into_body())).is_ok());
        }
        assert_eq!(scene.ends(), [1.0, 1.0, 1.0, 1.0]);
        for reason in ["invalid", "forbidden", "rate_limited"] {
            assert_eq!(scene.rejected(reason), 1.0, "{reason}");
        }
    });
}

#[test]
fn a_call_that_has_its_status_in_the_headers_ends_there() {
    on_both(async |scene| {
        let mut refused = answer(ScriptBody::new().hinting_the_end());
        refused
            .headers_mut()
            .insert("grpc-status", "7".parse().unwrap());
        drop(call(&scene, &refused));
        assert_eq!(scene.rejected("forbidden"), 1.0);
        // Without any status it is broken.
        let silent = call(&scene, &answer(ScriptBody::new().data("message")));
        assert!(read(&mut Box::pin(silent.into_body())).is_ok());
        assert_eq!(scene.failures("error"), 1.0);
    });
}

#[test]
fn a_client_that_goes_away_in_the_stream_cancels() {
    on_both(async |scene| {
        drop(call(
            &scene,
            &answer(ScriptBody::new().data("message").stall()),
        ));
        assert_eq!(scene.ends(), [0.0, 0.0, 0.0, 1.0]);
    });
}

#[test]
fn a_report_in_the_response_goes_before_the_trailers() {
    on_both(async |scene| {
        let mut reports = answer(ScriptBody::new().trailers("grpc-status", "13"));
        let report = ScanReport::new().finding(Severity::High);
        reports.extensions_mut().insert(report);
        let response = call(&scene, &reports);
        assert!(read(&mut Box::pin(response.into_body())).is_ok());
        assert_eq!(scene.ends(), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(scene.findings("high"), 1.0);
    });
}

#[test]
fn in_a_tonic_server() {
    on_both(async |scene| {
        bounded(async {
            const CHECK: &str = "/grpc.health.v1.Health/Check";
            let (_, health) = tonic_health::server::health_reporter();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let layer = HttpScanLayer::new(scene.scans.clone()).route(Method::POST, CHECK, "mcp");
            let server = Server::builder().layer(layer).add_service(health);
            let serving =
                tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
            let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
            let mut client = HealthClient::new(endpoint.connect().await.unwrap());
            let check = |service: &str| HealthCheckRequest {
                service: service.to_owned(),
            };
            client.check(check("")).await.unwrap();
            client.check(check("unknown")).await.unwrap_err();
            assert_eq!(scene.ends(), [1.0, 0.0, 0.0, 0.0]);
            assert_eq!(scene.rejected("invalid"), 1.0);
            serving.abort();
        })
        .await;
    });
}
