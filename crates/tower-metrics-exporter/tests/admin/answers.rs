use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tower::{ServiceExt as _, service_fn};
use tower_metrics_exporter::{AdminFuture, AdminServer, AdminService, Credentials, Operations};

use crate::common::{TOKEN, ask, exporter, get, guarded, token};

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn without_credentials_metrics_and_probes_are_everybodys_and_nothing_else_is_there() {
    let (exporter, health) = exporter();
    let admin = AdminService::new(&exporter);
    let (response, page) = ask(&admin, get("/metrics")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(page.contains("\njobs_total 3\n"), "{page}");
    // There are no probes without a health.
    for path in ["/readyz", "/", "/metrics/"] {
        let (response, _) = ask(&admin, get(path)).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let admin = admin.health(health.service());
    for path in ["/livez", "/readyz", "/startupz", "/healthz"] {
        let (response, text) = ask(&admin, get(path)).await;
        assert_eq!((response.status(), &*text), (StatusCode::OK, "ok\n"));
    }
    for path in ["/metrics", "/readyz"] {
        let (response, _) = ask(&admin, get(path).method(Method::POST)).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()["allow"], "GET, HEAD");
    }
}

#[tokio::test]
async fn no_path_but_the_very_one_is_metrics() {
    let (admin, ..) = guarded();
    for path in [
        "//metrics",
        "/metrics/",
        "/metrics//",
        "/%6detrics",
        "/metrics%00",
        "/metrics%20",
        "/metrics;a=b",
        "/./metrics",
        "/../metrics",
        "/readyz/../metrics",
        "/METRICS",
        "/metric",
        "/metricss",
        "/readyz/",
        "//readyz",
        "/",
    ] {
        let (response, text) = ask(&admin, get(path)).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(!text.contains("jobs_total"), "{path}");
        let known = get(path).header("authorization", bearer(TOKEN));
        let (response, _) = ask(&admin, known).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn probes_need_credentials_only_if_told_and_give_reasons_to_who_has_them() {
    let (exporter, _) = exporter();
    let health = tower_metrics_exporter::HealthHandle::builder()
        .check(tower_metrics_exporter::Check::new("database", || async {
            Err::<(), _>("10.0.0.7 is away")
        }))
        .recorder(exporter.recorder())
        .build();
    let admin = AdminService::new(&exporter)
        .health(health.service())
        .credentials(token());
    let withheld = "[-]database failed: reason withheld\n";
    for (authorization, line) in [
        (None, withheld),
        (Some(bearer("guess")), withheld),
        (
            Some(bearer(TOKEN)),
            "[-]database failed: 10.0.0.7 is away\n",
        ),
    ] {
        let mut probe = get("/readyz");
        if let Some(authorization) = authorization {
            probe = probe.header("authorization", authorization);
        }
        let (response, text) = ask(&admin, probe).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.starts_with(line), "{text}");
    }
    let admin = admin.guard_probes();
    let (response, _) = ask(&admin, get("/readyz")).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let known = get("/livez").header("authorization", bearer(TOKEN));
    let (response, _) = ask(&admin, known).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_fallback_is_only_for_who_has_credentials() {
    let (exporter, _) = exporter();
    let fallback = service_fn(|request: Request<String>| async move {
        let text = format!("{} {}", request.uri().path(), request.body());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
    });
    let open = AdminService::new(&exporter).fallback(fallback);
    let guarded = open.clone().credentials(token());
    let request = |path: &str, authorization: Option<String>| {
        let mut request = Request::put(path).header("host", "localhost");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        request.body("debug".to_owned()).unwrap()
    };
    let Ok(response) = open.oneshot(request("/loglevel", None)).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    for wrong in [None, Some(bearer("guess"))] {
        let Ok(response) = guarded.clone().oneshot(request("/loglevel", wrong)).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
    let known = request("/loglevel", Some(bearer(TOKEN)));
    let Ok(response) = guarded.oneshot(known).await;
    assert_eq!(response.status(), StatusCode::OK);
    let Ok(body) = response.into_body().collect().await;
    assert_eq!(body.to_bytes(), "/loglevel debug");
}

#[tokio::test]
async fn what_is_refused_is_counted_by_reason() {
    let (admin, exporter, _) = guarded();
    let evil = Request::builder()
        .uri("/metrics")
        .header("host", "evil.example");
    let Ok(response) = admin.clone().oneshot(evil.body(()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST);
    let nobody = Request::builder().uri("/metrics").body(()).unwrap();
    let Ok(response) = admin.clone().oneshot(nobody).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    drop(ask(&admin, get("/metrics")).await);
    let guess = get("/metrics").header("authorization", bearer("guess"));
    drop(ask(&admin, guess).await);
    for (reason, count) in [
        ("host", 2.0),
        ("missing_credentials", 1.0),
        ("wrong_credentials", 1.0),
    ] {
        let counted = exporter.value("exporter_admin_refused_total", &[("reason", reason)]);
        assert_eq!(counted, Some(count), "{reason}");
    }
}

#[tokio::test]
async fn names_can_be_allowed() {
    let (exporter, _) = exporter();
    let admin = AdminService::new(&exporter);
    let by_name = || {
        let request = Request::builder().uri("/metrics");
        request.header("host", "platform:9090").body(()).unwrap()
    };
    let Ok(response) = admin.clone().oneshot(by_name()).await;
    assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST);
    for admin in [admin.clone().allow_host("platform"), admin.allow_any_host()] {
        let Ok(response) = admin.oneshot(by_name()).await;
        assert_eq!(response.status(), StatusCode::OK);
    }
}

#[test]
fn types_go_where_they_are_needed() {
    fn assert<T: Send + Sync + Unpin + std::fmt::Debug>() {}
    fn assert_clone<T: Clone>() {}
    fn assert_future<T: Send + Unpin + std::fmt::Debug>() {}
    assert::<AdminService>();
    assert::<AdminServer>();
    assert::<Credentials>();
    assert_clone::<AdminService>();
    assert_clone::<Credentials>();
    assert_future::<AdminFuture<(), ()>>();
    assert_future::<Operations>();
}
