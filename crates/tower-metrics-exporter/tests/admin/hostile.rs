use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tower_metrics_exporter::{AdminService, Filter, Format, MetricsService, Source};

use crate::common::{Served, TOKEN, exchange, guarded, listen, request, rest, send};

const SHORT: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_page_is_for_who_has_the_token_and_names_this_server() {
    let (admin, ..) = guarded();
    let running = Served::start(listen().await, admin);
    let port = running.address.port();
    let authorization = format!("authorization: Bearer {TOKEN}\r\n");
    let head = |target: &str, host: &str| {
        format!("GET {target} HTTP/1.1\r\n{host}{authorization}connection: close\r\n\r\n")
    };
    for (text, status) in [
        (request("/metrics", &authorization), "200 OK"),
        (request("/metrics", ""), "401 Unauthorized"),
        (
            request("/metrics", "authorization: Bearer guess\r\n"),
            "401 Unauthorized",
        ),
        (request("/readyz", ""), "200 OK"),
        (head("/metrics", ""), "400 Bad Request"),
        (
            head("/metrics", "host: localhost\r\nhost: localhost\r\n"),
            "400 Bad Request",
        ),
        (
            head("/metrics", &format!("host: 127.0.0.1:{port}\r\n")),
            "200 OK",
        ),
        (
            head("/metrics", "host: evil.example\r\n"),
            "421 Misdirected Request",
        ),
        (
            head("http://localhost/metrics", "host: localhost\r\n"),
            "200 OK",
        ),
        (
            head("http://evil.example/metrics", "host: localhost\r\n"),
            "421 Misdirected Request",
        ),
        (
            head("http://localhost/metrics", "host: evil.example\r\n"),
            "421 Misdirected Request",
        ),
        (
            head("http://localhost//metrics", "host: localhost\r\n"),
            "404 Not Found",
        ),
        (head("*", "host: localhost\r\n"), "404 Not Found"),
        (
            head("metrics", "host: localhost\r\n"),
            "421 Misdirected Request",
        ),
        (
            head("/readyz /metrics", "host: localhost\r\n"),
            "400 Bad Request",
        ),
        (
            request("/metrics", &format!("{authorization}{authorization}")),
            "401 Unauthorized",
        ),
        (
            request("/readyz", "authorization : Bearer a\r\n"),
            "400 Bad Request",
        ),
    ] {
        let answer = exchange(running.address, &text).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{text}{answer}"
        );
        let has_page = answer.contains("jobs_total 3");
        assert_eq!(
            has_page,
            status == "200 OK" && text.contains("metrics"),
            "{text}{answer}"
        );
    }
    running.stop().await;
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let (admin, ..) = guarded();
    let running = Served::start(listen().await.max_header_bytes(8 << 10), admin);
    let long = format!("x: {}\r\n", "a".repeat(16 << 10));
    let many = "x: a\r\n".repeat(200);
    let target = format!("/{}", "a".repeat(16 << 10));
    for text in [
        request("/readyz", &long),
        request("/readyz", &many),
        request(&target, ""),
    ] {
        let answer = exchange(running.address, &text).await;
        // The connection may be reset before the answer is read.
        let is_refused = answer.starts_with("HTTP/1.1 431 ") || answer.starts_with("HTTP/1.1 414 ");
        assert!(is_refused || answer.is_empty(), "{answer}");
        assert!(!answer.contains("200 OK"));
    }
    let fits = format!("x: {}\r\n", "a".repeat(4 << 10));
    let answer = exchange(running.address, &request("/readyz", &fits)).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    running.stop().await;
}

#[tokio::test]
async fn who_never_ends_a_head_is_put_out_and_makes_room() {
    let (admin, ..) = guarded();
    let server = listen().await.max_connections(2).header_timeout(SHORT);
    let running = Served::start(server, admin);
    // One says nothing, one begins; one was served before, and is silent since.
    for text in [
        "",
        "GET /readyz HTTP/1.1\r\nhost: local",
        "GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ] {
        let mut slow = send(running.address, text).await;
        let mut other = send(running.address, text).await;
        // There is no room until they are gone.
        let answer = exchange(running.address, &request("/readyz", "")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        for slow in [&mut slow, &mut other] {
            let answer = rest(slow).await;
            assert!(!answer.contains("jobs_total"), "{answer}");
        }
    }
    running.stop().await;
}

/// A page that no socket's buffers hold.
struct Large;

impl Source for Large {
    fn formats(&self) -> &[Format] {
        &[Format::Text]
    }

    fn encode(&self, _: Format, _: &Filter, page: &mut Vec<u8>) {
        page.resize(64 << 20, b'\n');
    }
}

#[tokio::test]
async fn who_does_not_read_is_put_out_and_makes_room() {
    let (_, exporter, health) = guarded();
    let large = MetricsService::new(Large).compression(false);
    let open = AdminService::new(&exporter).metrics(large);
    let open = open.health(health.service());
    let server = listen().await.max_connections(1).write_timeout(SHORT);
    let running = Served::start(server, open);
    let mut idle = send(running.address, &request("/metrics", "")).await;
    let mut byte = [0];
    idle.read_exact(&mut byte).await.unwrap();
    let answer = exchange(running.address, &request("/readyz", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    running.stop().await;
}

#[tokio::test]
async fn a_connection_is_for_many_requests() {
    let (admin, ..) = guarded();
    let running = Served::start(listen().await, admin);
    let one = "GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let text = format!("{one}{one}{}", request("/livez", ""));
    let answer = exchange(running.address, &text).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{answer}");
    running.stop().await;
}

#[tokio::test]
async fn a_dropped_server_has_no_connections_any_more() {
    let (admin, ..) = guarded();
    let server = listen().await;
    let address = server.local_addr();
    let serving = tokio::spawn(server.serve(admin, std::future::pending()));
    let text = "GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut open = send(address, text).await;
    let mut head = [0; 15];
    open.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    serving.abort();
    // It ends, and nobody listens any more.
    drop(rest(&mut open).await);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
