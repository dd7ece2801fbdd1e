//! The gRPC interface, as clients see it.

use std::path::Path;

use platform_tests::{Platform, Setup, fixtures, get, post, slow_model};
use scan_platform::grpc::proto::{
    ApproveScanRequest, FollowScanRequest, GetScanRequest, Scan, ScanRequest, ScanStatus, ScanType,
    Severities, Status, scans_client::ScansClient,
};
use serde_json::{Value, json};
use test_support::drive::bounded;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, IntoRequest as _, client,
    codegen::http::uri::PathAndQuery,
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

const SCANS: &str = "sentrascan.v1.Scans";

/// Runs `test` with a platform that scans below `root`, and a connection to it.
async fn with_platform(root: &Path, test: impl AsyncFnOnce(Platform, Channel)) {
    let setup = Setup::default().root(root);
    let setup = setup.option("--grpc-listen").option("127.0.0.1:0");
    let platform = setup.start();
    let endpoint = Endpoint::from_shared(platform.grpc_url().to_owned()).unwrap();
    bounded(async { test(platform, endpoint.connect().await.unwrap()).await }).await;
}

fn request(scan_type: ScanType, path: &str) -> ScanRequest {
    ScanRequest {
        r#type: scan_type.into(),
        path: path.to_owned(),
        background: false,
    }
}

/// What the HTTP interface says of the scan, as far as it is no time.
fn as_json(scan: &Scan) -> Value {
    let word = |name: &str, prefix: &str| name.strip_prefix(prefix).unwrap().to_lowercase();
    let findings = scan.findings.iter().map(|finding| {
        json!({
            "severity": word(finding.severity().as_str_name(), "SEVERITY_"),
            "rule": finding.rule,
            "message": finding.message,
            "location": finding.location,
        })
    });
    let Severities {
        critical,
        high,
        medium,
        low,
        info,
    } = scan.severities.unwrap();
    let mut json = json!({
        "id": scan.id,
        "type": word(scan.r#type().as_str_name(), "SCAN_TYPE_"),
        "status": word(scan.status().as_str_name(), "STATUS_"),
        "passed": scan.passed,
        "severities": {
            "critical": critical, "high": high, "medium": medium, "low": low, "info": info,
        },
        "findings": findings.collect::<Vec<_>>(),
        "path": scan.path,
        "drift": scan.drift.as_ref().map(|drift| json!({
            "baseline": drift.baseline, "added": drift.added, "removed": drift.removed,
        })),
    });
    if let Some(error) = &scan.error {
        json["error"] = json!({"code": error.code, "message": error.message});
    }
    json
}

/// Waits until `/metrics` shows each of these lines: a call is counted at its end, which its client may
/// see first.
#[track_caller]
fn shows(platform: &mut Platform, lines: &[&str]) {
    let url = format!("{}/metrics", platform.url());
    for line in lines {
        platform.process().wait_for(line, || {
            let page = get(&url).text;
            page.lines().any(|found| found == *line).then_some(())
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_says_the_same_over_grpc_as_over_http() {
    with_platform(&fixtures(), async |platform, channel| {
        let mut client = ScansClient::new(channel);
        for (scan_type, kind, path) in [
            (ScanType::Mcp, "mcp", "mcp/bad.json"),
            (ScanType::Mcp, "mcp", "mcp/good.json"),
            (ScanType::Model, "models", "model/os-system-p2.pkl"),
            (ScanType::Model, "models", "model/benign-p4.pkl"),
            (ScanType::Model, "models", "README.md"),
        ] {
            let scan = client.scan(request(scan_type, path)).await.unwrap();
            let scan = scan.into_inner();
            let by_grpc = as_json(&scan);

            let url = format!("{}/api/v1/scans/{}", platform.url(), scan.id);
            let mut kept = get(&url).json();
            let created = kept.as_object_mut().unwrap().remove("created_at").unwrap();
            assert_eq!(kept, by_grpc, "{path}");
            let seconds = format!("{:.19}", scan.created_at.unwrap().to_string());
            assert!(created.as_str().unwrap().starts_with(&seconds), "{created}");

            let url = format!("{}/api/v1/{kind}/scans", platform.url());
            let by_http = post(&url, json!({ "path": path })).json();
            for key in ["type", "status", "passed", "severities", "findings", "path"] {
                assert_eq!(by_http[key], by_grpc[key], "{key} of {path}");
            }
            assert_eq!(by_http.get("error"), by_grpc.get("error"), "{path}");

            let id = by_http["id"].as_str().unwrap().to_owned();
            let read = client.get_scan(GetScanRequest { id }).await.unwrap();
            let mut read = as_json(&read.into_inner());
            read["created_at"] = by_http["created_at"].clone();
            assert_eq!(read, by_http, "{path}");
            let id = scan.id.clone();
            let read = client.get_scan(GetScanRequest { id }).await.unwrap();
            assert_eq!(read.into_inner(), scan);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_asks_wrongly_is_a_clear_error() {
    let root = tempfile::tempdir().unwrap();
    let fifo = std::process::Command::new("mkfifo")
        .arg(root.path().join("fifo"))
        .status();
    assert!(fifo.unwrap().success());
    with_platform(root.path(), async |_platform, channel| {
        let mut client = ScansClient::new(channel);
        for (scan_type, path, code, word) in [
            (ScanType::Mcp, "", Code::InvalidArgument, "empty"),
            (ScanType::Mcp, "a\0b", Code::InvalidArgument, "usable path"),
            (ScanType::Model, "../x", Code::PermissionDenied, "../x"),
            (ScanType::Model, "no.pkl", Code::NotFound, "no.pkl"),
            (ScanType::Model, "fifo", Code::FailedPrecondition, "fifo"),
            (ScanType::Unspecified, ".", Code::InvalidArgument, "type"),
            (
                ScanType::Mcp,
                &"x".repeat(70_000),
                Code::OutOfRange,
                "65536",
            ),
        ] {
            let error = client.scan(request(scan_type, path)).await.unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(error.message().contains(word), "{error}");
        }
        for id in ["1", "0199d1d4-0000-7000-8000-000000000000"] {
            let id = id.to_owned();
            let follow = FollowScanRequest { id: id.clone() };
            let error = client.follow_scan(follow).await.unwrap_err();
            assert_eq!(error.code(), Code::NotFound, "{error}");
            let error = client.get_scan(GetScanRequest { id }).await.unwrap_err();
            assert_eq!(error.code(), Code::NotFound, "{error}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_can_be_followed_and_ends_with_its_client() {
    let root = tempfile::tempdir().unwrap();
    slow_model(&root.path().join("slow.pkl"));
    with_platform(root.path(), async |mut platform, channel| {
    let mut client = ScansClient::new(channel);

    let mut caller = client.clone();
    let call = tokio::spawn(async move { caller.scan(request(ScanType::Model, "slow.pkl")).await });
    let list = format!("{}/api/v1/scans", platform.url());
    let id = platform.process().wait_for("scan", || {
        Some(get(&list).json()["scans"][0]["id"].as_str()?.to_owned())
    });
    let follow = FollowScanRequest { id: id.clone() };
    let mut statuses = client.follow_scan(follow).await.unwrap().into_inner();
    let status = |status: Status| {
        Some(ScanStatus {
            id: id.clone(),
            status: status.into(),
            passed: None,
        })
    };
    let next = statuses.message().await.unwrap();
    assert_eq!(next, status(Status::InProgress));
    call.abort();
    let next = statuses.message().await.unwrap();
    assert_eq!(next, status(Status::Cancelled));
    assert_eq!(statuses.message().await.unwrap(), None);

    shows(
        &mut platform,
        &[
            r#"sentrascan_scans_total{status="cancelled",type="model"} 1"#,
            "sentrascan_active_scans 0",
            r#"grpc_server_handled_total{grpc_code="Canceled",grpc_method="Scan",grpc_service="sentrascan.v1.Scans",grpc_type="unary"} 1"#,
            r#"grpc_server_handled_total{grpc_code="OK",grpc_method="FollowScan",grpc_service="sentrascan.v1.Scans",grpc_type="server_stream"} 1"#,
            r#"grpc_server_msg_sent_total{grpc_method="FollowScan",grpc_service="sentrascan.v1.Scans",grpc_type="server_stream"} 2"#,
            r#"grpc_server_in_flight{grpc_method="Scan",grpc_service="sentrascan.v1.Scans",grpc_type="unary"} 0"#,
        ],
    );
    }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn series_agree_with_what_was_asked() {
    with_platform(&fixtures(), async |mut platform, channel| {
    shows(
        &mut platform,
        &[
            r#"grpc_server_started_total{grpc_method="FollowScan",grpc_service="sentrascan.v1.Scans",grpc_type="server_stream"} 0"#,
            r#"grpc_server_handled_total{grpc_code="Internal",grpc_method="Scan",grpc_service="sentrascan.v1.Scans",grpc_type="unary"} 0"#,
        ],
    );
    let mut scans = ScansClient::new(channel.clone());
    let good = request(ScanType::Mcp, "mcp/good.json");
    scans.scan(good).await.unwrap();
    let absent = request(ScanType::Mcp, "no/such.json");
    scans.scan(absent).await.unwrap_err();
    post(
        &format!("{}/api/v1/mcp/scans", platform.url()),
        json!({"path": "mcp/good.json"}),
    );
    let mut raw = client::Grpc::new(channel);
    for path in ["/sentrascan.v1.Scans/None", "/no.Service/None"] {
        raw.ready().await.unwrap();
        let codec = ProstCodec::<ScanRequest, Scan>::default();
        let request = ScanRequest::default().into_request();
        let path = PathAndQuery::from_static(path);
        let error = raw.unary(request, path, codec).await.unwrap_err();
        assert_eq!(error.code(), Code::Unimplemented, "{error}");
    }
    shows(
        &mut platform,
        &[
            // Over HTTP and over gRPC.
            r#"sentrascan_scans_total{status="completed",type="mcp"} 2"#,
            r#"sentrascan_scan_duration_seconds_count{type="mcp"} 2"#,
            r#"grpc_server_started_total{grpc_method="Scan",grpc_service="sentrascan.v1.Scans",grpc_type="unary"} 2"#,
            r#"grpc_server_handled_total{grpc_code="OK",grpc_method="Scan",grpc_service="sentrascan.v1.Scans",grpc_type="unary"} 1"#,
            r#"grpc_server_handled_total{grpc_code="NotFound",grpc_method="Scan",grpc_service="sentrascan.v1.Scans",grpc_type="unary"} 1"#,
            r#"grpc_server_handled_total{grpc_code="Unimplemented",grpc_method="_OTHER",grpc_service="_OTHER"} 2"#,
            r#"grpc_server_msg_received_total{grpc_method="Scan",grpc_service="sentrascan.v1.Scans",grpc_type="unary"} 2"#,
            r#"grpc_server_msg_sent_total{grpc_method="Scan",grpc_service="sentrascan.v1.Scans",grpc_type="unary"} 1"#,
            r#"grpc_server_handling_seconds_bucket{grpc_method="Scan",grpc_service="sentrascan.v1.Scans",grpc_type="unary",le="10.0"} 2"#,
        ],
    );
    // The buckets are go-grpc's, not the exporter's own; and no call is an HTTP request, too.
    let page = get(&format!("{}/metrics", platform.url())).text;
    for (series, label) in [
        ("grpc_server_handling_seconds_bucket", r#"le="0.075""#),
        ("api_", SCANS),
    ] {
        let found = page
            .lines()
            .find(|line| line.starts_with(series) && line.contains(label));
        assert_eq!(found, None);
    }
    }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_a_call_has_its_request_and_its_scan() {
    with_platform(&fixtures(), async |platform, channel| {
        let mut scans = ScansClient::new(channel);
        let mut request = request(ScanType::Model, "model/eval-p4.pkl").into_request();
        let id = "of-the-client".parse().unwrap();
        request.metadata_mut().insert("x-request-id", id);
        let answer = scans.scan(request).await.unwrap();
        let request_id = |metadata: &MetadataMap| metadata.get("x-request-id").unwrap().clone();
        assert_eq!(request_id(answer.metadata()), "of-the-client");
        let id = answer.into_inner().id;
        let read = GetScanRequest { id: id.clone() };
        let other = scans.get_scan(read).await.unwrap();
        assert_ne!(request_id(other.metadata()), "of-the-client");

        let log = platform.stop();
        let log: Vec<Value> = log
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let of_the_call: Vec<_> = log
            .iter()
            .filter(|line| line["request_id"] == "of-the-client")
            .collect();
        for line in &of_the_call {
            assert_eq!(line["scan_id"], *id, "{line}");
        }
        let paths: Vec<_> = log
            .iter()
            .filter(|line| line["event"] == "http_request")
            .map(|line| (&line["path"], &line["client_ip"], &line["scan_id"]))
            .collect();
        let path = |method: &str| json!(format!("/{SCANS}/{method}"));
        let (ip, id) = (json!("127.0.0.1"), json!(id));
        assert_eq!(
            paths,
            [(&path("Scan"), &ip, &id), (&path("GetScan"), &ip, &id)]
        );
        for word in ["scan started", "scan finished"] {
            let said = of_the_call.iter().any(|line| line["message"] == word);
            assert!(said, "no {word} in {of_the_call:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_when_the_platform_is_stopped_is_finished_first() {
    with_platform(&fixtures(), async |mut platform, channel| {
        let mut health = HealthClient::new(channel.clone());
        let mut watched = Vec::new();
        for service in ["", SCANS] {
            let service = service.to_owned();
            let watch = health.watch(HealthCheckRequest { service }).await.unwrap();
            let mut watch = watch.into_inner();
            let first = watch.message().await.unwrap().unwrap();
            assert_eq!(first.status(), ServingStatus::Serving);
            watched.push(watch);
        }
        // A call that lasts as long as this test likes.
        let (ask, questions) = tokio::sync::mpsc::channel(1);
        let mut reflection = ServerReflectionClient::new(channel.clone());
        let answers = reflection.server_reflection_info(ReceiverStream::new(questions));
        let mut answers = answers.await.unwrap().into_inner();

        platform.terminate();
        for mut watch in watched {
            let last = watch.message().await.unwrap().unwrap();
            assert_eq!(last.status(), ServingStatus::NotServing);
            assert_eq!(watch.message().await.unwrap(), None);
        }
        let question = ServerReflectionRequest {
            message_request: Some(MessageRequest::ListServices(String::new())),
            ..ServerReflectionRequest::default()
        };
        ask.send(question).await.unwrap();
        let answer = answers.message().await.unwrap().unwrap();
        let Some(MessageResponse::ListServicesResponse(services)) = answer.message_response else {
            panic!("{answer:?}");
        };
        assert!(services.service.iter().any(|service| service.name == SCANS));
        drop(ask);
        assert_eq!(answers.message().await.unwrap(), None);

        let log = platform.stop();
        let position = |word: &str| log.iter().position(|line| line.contains(word));
        let told = position("told to stop").expect("it says so");
        let call = position("ServerReflectionInfo").expect("the call has a line");
        assert!(told < call, "{log:?}");
        assert_eq!(position("did not finish in time"), None);
        assert_eq!(position(r#""message":"stopped""#), Some(log.len() - 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_in_the_background_is_followed_to_its_end_and_approved() {
    with_platform(&fixtures(), async |platform, channel| {
        let mut client = ScansClient::new(channel);
        let asked = ScanRequest {
            background: true,
            ..request(ScanType::Mcp, "mcp/bad.json")
        };
        let queued = client.scan(asked).await.unwrap().into_inner();
        assert_eq!(queued.status(), Status::Queued);
        let id = queued.id;
        let follow = FollowScanRequest { id: id.clone() };
        let mut statuses = client.follow_scan(follow).await.unwrap().into_inner();
        let mut last = None;
        while let Some(status) = statuses.message().await.unwrap() {
            last = Some((status.status(), status.passed));
        }
        assert_eq!(last, Some((Status::Completed, Some(false))));

        // Its findings are the first that are known of the target.
        let again = client
            .scan(request(ScanType::Mcp, "mcp/bad.json"))
            .await
            .unwrap();
        let drift = again.into_inner().drift.expect("there is a baseline");
        assert_eq!(
            (drift.baseline, drift.added, drift.removed),
            (id.clone(), 0, 0)
        );
        let approved = client
            .approve_scan(ApproveScanRequest { id: id.clone() })
            .await
            .unwrap();
        let read = client.get_scan(GetScanRequest { id }).await.unwrap();
        assert_eq!(approved.into_inner(), read.into_inner());

        let failed = client
            .scan(request(ScanType::Model, "README.md"))
            .await
            .unwrap();
        let id = failed.into_inner().id;
        let error = client
            .approve_scan(ApproveScanRequest { id })
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::FailedPrecondition);
        let id = String::from("none");
        let error = client
            .approve_scan(ApproveScanRequest { id })
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
        assert_eq!(platform.get("/api/v1/health").status, 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_nothing_of_scans_is_told_and_health_is() {
    let setup = Setup::default()
        .option("--grpc-listen")
        .option("127.0.0.1:0");
    let platform = setup.option("--require-api-key").start();
    let endpoint = Endpoint::from_shared(platform.grpc_url().to_owned()).unwrap();
    bounded(async {
        let channel = endpoint.connect().await.unwrap();
        let mut client = ScansClient::new(channel.clone());
        let mut with_key = request(ScanType::Mcp, "mcp/good.json").into_request();
        let key = "nonsense".parse().unwrap();
        with_key.metadata_mut().insert("x-api-key", key);
        let id = || String::from("0199d1d4-0000-7000-8000-000000000000");
        let codes = [
            client.scan(with_key).await.unwrap_err().code(),
            client
                .scan(request(ScanType::Mcp, "mcp/good.json"))
                .await
                .unwrap_err()
                .code(),
            client
                .get_scan(GetScanRequest { id: id() })
                .await
                .unwrap_err()
                .code(),
            client
                .follow_scan(FollowScanRequest { id: id() })
                .await
                .unwrap_err()
                .code(),
            client
                .approve_scan(ApproveScanRequest { id: id() })
                .await
                .unwrap_err()
                .code(),
        ];
        assert_eq!(codes, [Code::Unauthenticated; 5]);
        let mut health = HealthClient::new(channel);
        let service = SCANS.to_owned();
        let healthy = health.check(HealthCheckRequest { service }).await.unwrap();
        assert_eq!(healthy.into_inner().status(), ServingStatus::Serving);
    })
    .await;
    let used = |outcome: &str| {
        let series = "sentrascan_api_key_uses_total";
        platform.series(&format!("{series}{{outcome=\"{outcome}\",role=\"none\"}}"))
    };
    assert_eq!((used("missing"), used("invalid")), (Some(4.0), Some(1.0)));
    assert_eq!(
        platform.series("sentrascan_scans_started_total{type=\"mcp\"}"),
        Some(0.0)
    );
}

#[test]
fn without_being_asked_to_the_platform_does_not_listen_for_grpc() {
    let platform = Platform::start();
    let page = get(&format!("{}/metrics", platform.url())).text;
    assert!(!page.contains("grpc_server"), "{page}");
    let log = platform.stop();
    assert!(log.iter().any(|line| line.contains("listening")));
    assert!(!log.iter().any(|line| line.contains("grpc_address")));
}
