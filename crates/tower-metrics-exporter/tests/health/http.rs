use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use tower_metrics_exporter::{Check, HealthService};

use crate::common::{Told, health};

async fn ask(service: &HealthService, method: Method, uri: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(uri);
    let Ok(response) = service.clone().oneshot(request.body(()).unwrap()).await;
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; charset=utf-8"
    );
    assert_eq!(response.headers()["cache-control"], "no-store");
    let status = response.status();
    let Ok(body) = response.into_body().collect().await;
    (status, String::from_utf8(body.to_bytes().into()).unwrap())
}

fn failing() -> Told {
    let told = Told::default();
    told.fails("connect to 10.0.0.7:5432\nrefused");
    told
}

#[tokio::test]
async fn a_page_is_as_kubernetes_servers_write_it() {
    let (health, _) = health([
        Told::default().check("engines"),
        failing().check("database"),
        Told::default().check("worker").live(),
    ]);
    let service = health.service();
    let failed = "[+]engines ok\n[-]database failed: reason withheld\n[+]worker ok\n\
        [+]shutdown ok\n";
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    for (uri, status, page) in [
        ("/livez", StatusCode::OK, "ok\n".to_owned()),
        ("/startupz", StatusCode::OK, "ok\n".to_owned()),
        (
            "/livez?verbose",
            StatusCode::OK,
            "[+]worker ok\nlivez check passed\n".to_owned(),
        ),
        (
            "/readyz",
            unavailable,
            format!("{failed}readyz check failed\n"),
        ),
        (
            "/healthz",
            unavailable,
            format!("{failed}healthz check failed\n"),
        ),
        (
            "/readyz?exclude=database",
            StatusCode::OK,
            "ok\n".to_owned(),
        ),
        (
            "/readyz?exclude=database&exclude=wörker&verbose",
            StatusCode::OK,
            "[+]engines ok\n[+]worker ok\n[+]shutdown ok\n[+]database excluded: ok\n\
             warn: no check is called \"wörker\"\nreadyz check passed\n"
                .to_owned(),
        ),
    ] {
        let uri = uri.replace('ö', "%C3%B6");
        assert_eq!(
            ask(&service, Method::GET, &uri).await,
            (status, page),
            "{uri}"
        );
    }
    health.shut_down();
    let (status, page) = ask(
        &service,
        Method::GET,
        "/readyz?exclude=database&exclude=shutdown",
    )
    .await;
    assert_eq!(status, unavailable);
    assert!(
        page.contains("[-]shutdown failed: the process is shutting down\n"),
        "{page}"
    );
}

#[tokio::test]
async fn reasons_are_told_only_if_asked_to() {
    let (health, _) = health([failing().check("database")]);
    let (_, page) = ask(&health.service(), Method::GET, "/readyz?verbose").await;
    assert!(!page.contains("10.0.0.7"), "{page}");
    let (_, page) = ask(&health.service().reasons(true), Method::GET, "/readyz").await;
    assert!(
        page.starts_with("[-]database failed: connect to 10.0.0.7:5432 refused\n"),
        "{page}"
    );
}

#[tokio::test]
async fn only_these_very_paths_and_methods_are_answered() {
    let (health, _) = health([Told::default().check("database")]);
    let service = health.service();
    for path in [
        "/",
        "/readyz/",
        "//readyz",
        "/READYZ",
        "/%72eadyz",
        "/readyz;a",
        "/./readyz",
        "/readyz/database",
        "/metrics",
    ] {
        let (status, _) = ask(&service, Method::GET, path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    let empty = (StatusCode::OK, String::new());
    assert_eq!(ask(&service, Method::HEAD, "/readyz").await, empty);
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let (status, _) = ask(&service, method, "/readyz").await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn an_error_has_its_sources_on_its_line() {
    #[derive(Debug)]
    struct Outer(std::io::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("cannot ask the database")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let check = Check::new("database", || async {
        Err(Outer(std::io::Error::other("reset")))
    });
    let (health, _) = health([check]);
    let (_, page) = ask(&health.service().reasons(true), Method::GET, "/readyz").await;
    assert!(
        page.starts_with("[-]database failed: cannot ask the database: reset\n"),
        "{page}"
    );
}
