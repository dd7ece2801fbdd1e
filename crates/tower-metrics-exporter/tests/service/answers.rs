use std::time::{Duration, SystemTime};

use http::{Method, StatusCode, header};
use http_body::Body as _;
use tower_metrics_exporter::{Format, MetricsService};

use crate::common::{Series, ask, request, scrape, whole};

#[tokio::test]
async fn a_page_has_its_format_and_its_length_and_says_what_it_varies_by() {
    let service = MetricsService::new(Series(3));
    for (accept, content_type, end) in [
        ("*/*", Format::Text.content_type(), "series{i=\"2\"} 1\n"),
        (
            "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
            Format::OpenMetrics.content_type(),
            "# EOF\n",
        ),
    ] {
        let response = scrape(&service, &[("accept", accept)]).await;
        assert_eq!(response.status(), StatusCode::OK);
        let headers = response.headers();
        assert_eq!(headers[header::CONTENT_TYPE], content_type);
        assert_eq!(headers[header::VARY], "Accept, Accept-Encoding");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(
            headers[header::CONTENT_LENGTH],
            response.body().len().to_string()
        );
        assert_eq!(headers.len(), 4, "{headers:?}");
        assert!(response.body().ends_with(end.as_bytes()));
    }
}

#[tokio::test]
async fn head_has_the_head_of_get_and_no_body() {
    let service = MetricsService::new(Series(1000));
    for headers in [
        &[][..],
        &[("accept-encoding", "gzip")],
        &[("accept", "a/b")],
    ] {
        let head = ask(&service, request(Method::HEAD, "/", headers)).await;
        let get = ask(&service, request(Method::GET, "/", headers)).await;
        assert_eq!(head.status(), get.status());
        assert_eq!(head.headers(), get.headers());
        assert!(!get.body().is_end_stream());
        assert!(head.body().is_end_stream());
        assert!(whole(head).await.body().is_empty());
    }
}

#[tokio::test]
async fn a_refusal_says_what_would_be_right() {
    let service = MetricsService::new(Series(1)).max_in_flight(0);
    let long = format!("/?name[]={}", "a".repeat(257));
    let many = (0..257).map(|name| format!("name[]={name}&"));
    let many = format!("/?{}", many.collect::<String>());
    for (method, uri, headers, status, text) in [
        (Method::POST, "/", &[][..], 405, "GET or HEAD"),
        (Method::OPTIONS, "/", &[], 405, "GET or HEAD"),
        (
            Method::GET,
            "/",
            &[("accept", "text/html")],
            406,
            "text/plain; version=0.0.4; charset=utf-8\napplication/openmetrics-text; version=1.0.0",
        ),
        (
            Method::GET,
            "/",
            &[("accept-encoding", "br, identity;q=0")],
            406,
            "not even identity",
        ),
        (Method::GET, &long, &[], 400, "longer than 256"),
        (Method::GET, &many, &[], 400, "more than 256"),
        (Method::GET, "/", &[], 503, "try again later"),
    ] {
        let response = ask(&service, request(method, uri, headers)).await;
        let response = whole(response).await;
        assert_eq!(response.status(), status, "{headers:?}");
        let body = std::str::from_utf8(response.body()).unwrap();
        assert!(body.contains(text), "{body}");
        let headers = response.headers();
        assert_eq!(headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
        assert_eq!(headers[header::CONTENT_LENGTH], body.len().to_string());
        assert_eq!(headers[header::VARY], "Accept, Accept-Encoding");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        let header = |name| headers.get(name).map(|value| value.to_str().unwrap());
        let allow = (status == 405).then_some("GET, HEAD");
        assert_eq!(header(header::ALLOW), allow);
        let retry = (status == 503).then_some("1");
        assert_eq!(header(header::RETRY_AFTER), retry);
    }
}

#[tokio::test]
async fn only_families_asked_for_are_on_the_page() {
    let service = MetricsService::new(Series(1));
    for (query, page) in [
        ("", "series{i=\"0\"} 1\n"),
        ("?x=y", "series{i=\"0\"} 1\n"),
        ("?name[]=series&name[]=other", "series{i=\"0\"} 1\n"),
        ("?name%5b%5D=%73eries", "series{i=\"0\"} 1\n"),
        ("?name[]=other", ""),
    ] {
        let request = request(Method::GET, &format!("/{query}"), &[]);
        let response = whole(ask(&service, request).await).await;
        assert_eq!(response.body(), page, "{query}");
    }
}

#[tokio::test]
async fn the_start_of_the_process_is_stated_where_it_is_known() {
    let start = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_999);
    let service = MetricsService::new(Series(1)).process_start(start);
    let response = scrape(&service, &[]).await;
    assert_eq!(response.headers()["process-start-time-unix"], "1700000000");
}

#[cfg(feature = "gzip")]
#[tokio::test]
async fn a_large_page_is_compressed_for_who_asks() {
    use std::io::Read as _;

    let service = MetricsService::new(Series(1000));
    let plain = scrape(&service, &[]).await;
    assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));

    let gzip = scrape(&service, &[("accept-encoding", "gzip")]).await;
    assert_eq!(gzip.headers()[header::CONTENT_ENCODING], "gzip");
    let length = gzip.headers()[header::CONTENT_LENGTH].to_str().unwrap();
    assert_eq!(length, gzip.body().len().to_string());
    assert!(gzip.body().len() < plain.body().len() / 4);
    let mut page = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(&**gzip.body());
    decoder.read_to_end(&mut page).unwrap();
    assert_eq!(page, **plain.body());

    let small = MetricsService::new(Series(1));
    for service in [service.compression(false), small] {
        let response = scrape(&service, &[("accept-encoding", "gzip")]).await;
        assert!(!response.headers().contains_key(header::CONTENT_ENCODING));
    }
}

#[cfg(feature = "zstd")]
#[tokio::test]
async fn zstd_is_what_it_says() {
    let service = MetricsService::new(Series(1000));
    let plain = scrape(&service, &[]).await;
    let zstd = scrape(&service, &[("accept-encoding", "gzip, zstd")]).await;
    assert_eq!(zstd.headers()[header::CONTENT_ENCODING], "zstd");
    let page = zstd::bulk::decompress(zstd.body(), 1 << 20).unwrap();
    assert_eq!(page, **plain.body());
}
