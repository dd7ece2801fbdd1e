//! Routers over real connections: files, events, web sockets, and clients that invent things.

use std::{convert::Infallible, net::SocketAddr};

use axum::{
    Router,
    body::Body,
    extract::WebSocketUpgrade,
    response::{
        Response,
        sse::{Event, Sse},
    },
    routing::{any, get},
};
use http::{Method, Request, StatusCode, header::CONTENT_TYPE};
use hyper::{body::Incoming, ext::Protocol};
use hyper_util::rt::TokioIo;
use test_support::{
    body::ScriptBody,
    drive::bounded,
    serve::{self, Wire},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_stream::StreamExt as _;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::Role},
};
use tower::{Service, util::MapRequest};
use tower_http::services::ServeDir;
use tower_request_metrics::RouteTable;

use crate::common::{Scene, counted};

/// What hyper serves of a router.
fn over_hyper(
    app: Router,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    MapRequest::new(app, |request: Request<Incoming>| request.map(Body::new))
}

async fn connect(app: &Router) -> Wire<TcpStream> {
    serve::http1(serve::tcp().await, over_hyper(app.clone()))
}

#[tokio::test]
async fn axum_over_http1_is_complete_with_and_without_a_length() {
    bounded(async {
        let scene = Scene::new();
        let events = || async {
            (
                [(CONTENT_TYPE, "text/event-stream")],
                Body::new(ScriptBody::of(["data: 1\n\n"])),
            )
        };
        let app = Router::new()
            .route("/hello", get(async || "hello"))
            .route("/events", get(events))
            .layer(scene.layer.clone());
        let mut wire = connect(&app).await;
        for _ in 0..3 {
            wire.get("/hello").await;
            wire.until("\r\n\r\nhello").await;
            wire.get("/events").await;
            wire.until("0\r\n\r\n").await;
        }
        wire.request(Method::HEAD, "/events").await;
        wire.head().await;
        drop(wire.close().await);
        assert_eq!(counted(&scene, "/hello", 200), Some(3.0));
        assert_eq!(counted(&scene, "/events", 200), Some(3.0));
        assert_eq!(scene.sum("api_requests_total"), 7.0);
        assert_eq!(
            scene.sum("api_stream_duration_seconds_count"),
            3.0,
            "a head is no stream"
        );
        assert_eq!(scene.sum("api_request_duration_seconds_count"), 4.0);
        assert_eq!(
            scene.sum("api_response_size_bytes_sum"),
            3.0 * 5.0 + 3.0 * 9.0
        );
    })
    .await;
}

#[tokio::test]
async fn events_are_a_stream_whose_bytes_are_those_on_the_wire() {
    bounded(async {
        let scene = Scene::new();
        let events = |events| tokio_stream::iter(events).map(|number: u32| event(number));
        let app = Router::new()
            .route("/three", get(async move || Sse::new(events(1..=3))))
            .route(
                "/endless",
                get(async move || Sse::new(events(1..=1).chain(tokio_stream::pending()))),
            )
            .layer(scene.layer.clone());
        let mut wire = connect(&app).await;
        wire.get("/three").await;
        let head = wire.head().await;
        assert!(head.contains("content-type: text/event-stream\r\n"));
        assert!(wire.until("0\r\n\r\n").await.contains("data: 3\n\n"));
        wire.get("/endless").await;
        wire.until("data: 1\n\n").await;
        let active = r#"api_active_streams{endpoint="/endless"}"#;
        assert_eq!(scene.value(active), Some(1.0));
        drop(wire.close().await);
        assert_eq!(scene.sum("api_active_streams"), 0.0);
        assert_eq!(scene.sum("api_active_requests"), 0.0);
        assert_eq!(counted(&scene, "/three", 200), Some(1.0));
        assert_eq!(counted(&scene, "/endless", 499), Some(1.0));
        let sent = |endpoint| {
            let labels = format!(r#"{{endpoint="{endpoint}",direction="sent"}}"#);
            scene.value(&format!("api_stream_bytes_total{labels}"))
        };
        let each = "data: 1\n\n".len() as f64;
        assert_eq!(
            (sent("/three"), sent("/endless")),
            (Some(3.0 * each), Some(each))
        );
        assert_eq!(scene.sum("api_stream_duration_seconds_count"), 2.0);
        assert_eq!(scene.of("api_request_duration_seconds"), [""; 0]);
    })
    .await;
}

fn event(number: u32) -> Result<Event, Infallible> {
    Ok(Event::default().data(number.to_string()))
}

/// Sends back each message.
async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                break;
            }
        }
    })
}

/// One word there and back, and a proper end.
async fn talk<S>(mut socket: WebSocketStream<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let word = Message::text("marco");
    futures_util::SinkExt::send(&mut socket, word.clone())
        .await
        .unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), word);
    socket.close(None).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        assert!(message.is_close());
    }
}

/// One upgrade is all there is, with this method and status.
fn one_upgrade(scene: &Scene, method: Method, status: StatusCode) {
    let status = status.as_u16();
    assert_eq!(
        scene.lines(),
        [
            format!(r#"api_active_requests{{method="{method}",endpoint="/echo"}} 0"#),
            format!(
                r#"api_requests_total{{method="{method}",endpoint="/echo",status="{status}"}} 1"#
            ),
            r#"api_upgrades_total{endpoint="/echo"} 1"#.to_owned(),
        ]
    );
}

#[tokio::test]
async fn a_web_socket_is_one_upgrade_and_no_latency() {
    bounded(async {
        let scene = Scene::new();
        let app = Router::new()
            .route("/echo", any(echo))
            .layer(scene.layer.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let served = tokio::spawn(axum::serve(listener, app).into_future());
        let stream = TcpStream::connect(address).await.unwrap();
        // Checks the status, the headers of the upgrade, and `Sec-WebSocket-Accept`.
        let (socket, response) = client_async("ws://loopback/echo", stream).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        one_upgrade(&scene, Method::GET, response.status());
        talk(socket).await;
        one_upgrade(&scene, Method::GET, response.status());
        served.abort();
    })
    .await;
}

#[tokio::test]
async fn over_http2_a_web_socket_is_one_upgrade_and_no_latency() {
    bounded(async {
        let scene = Scene::new();
        let app = Router::new()
            .route("/echo", any(echo))
            .layer(scene.layer.clone());
        let app = app.route("/", get(async || "hello"));
        let mut client = serve::http2(serve::tcp().await, over_hyper(app)).await;
        // The server's settings have to be there before an extended CONNECT is allowed.
        client.get("/").await.unwrap();
        let request = Request::connect("http://loopback/echo")
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(http_body_util::Empty::new())
            .unwrap();
        let mut response = client.send(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        one_upgrade(&scene, Method::CONNECT, response.status());
        let upgraded = hyper::upgrade::on(&mut response).await.unwrap();
        let upgraded = TokioIo::new(upgraded);
        talk(WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await).await;
        one_upgrade(&scene, Method::CONNECT, response.status());
    })
    .await;
}

#[tokio::test]
async fn a_web_socket_that_is_refused_is_an_ordinary_request() {
    bounded(async {
        let scene = Scene::new();
        let app = Router::new()
            .route("/echo", any(echo))
            .layer(scene.layer.clone());
        let mut wire = connect(&app).await;
        wire.get("/echo").await;
        assert!(wire.head().await.starts_with("HTTP/1.1 400"));
        drop(wire.close().await);
        assert_eq!(counted(&scene, "/echo", 400), Some(1.0));
        assert_eq!(scene.sum("api_request_duration_seconds_count"), 1.0);
        assert_eq!(scene.of("api_upgrades"), [""; 0]);
    })
    .await;
}

/// The header of a response's head.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn files_are_one_route_and_as_large_as_what_was_sent_of_them() {
    bounded(async {
        const SIZE: usize = 100_000;
        let folder = tempfile::tempdir().unwrap();
        let content = format!("{}!", "x".repeat(SIZE - 1));
        std::fs::write(folder.path().join("large.txt"), content).unwrap();
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        std::fs::write(folder.path().join("deep/small.css"), "a!").unwrap();

        let table = RouteTable::new(["/assets/{*rest}"]).unwrap();
        for (table, route) in [(Some(table), "/assets/{*rest}"), (None, "_OTHER")] {
            let scene = Scene::with(|builder| match table {
                Some(table) => builder.routes(table),
                None => builder,
            });
            let app = Router::new()
                .nest_service("/assets", ServeDir::new(folder.path()))
                .layer(scene.layer.clone());
            let mut total = 0.0;
            let mut modified = String::new();
            for (method, path, condition, status, declared, sent) in [
                ("GET", "large.txt", "", 200, Some(SIZE), SIZE),
                ("GET", "deep/small.css", "", 200, Some(2), 2),
                ("HEAD", "large.txt", "", 200, Some(SIZE), 0),
                (
                    "GET",
                    "large.txt",
                    "range: bytes=-100\r\n",
                    206,
                    Some(100),
                    100,
                ),
                (
                    "GET",
                    "large.txt",
                    "range: bytes=200000-\r\n",
                    416,
                    Some(0),
                    0,
                ),
                ("GET", "large.txt", "since", 304, None, 0),
                ("GET", "none.txt", "", 404, Some(0), 0),
                ("GET", "../Cargo.toml", "", 404, Some(0), 0),
            ] {
                let condition = condition.replace("since", &modified);
                let mut wire = connect(&app).await;
                let host = "host: loopback\r\n";
                wire.send(&format!(
                    "{method} /assets/{path} HTTP/1.1\r\n{host}{condition}\r\n"
                ))
                .await;
                let head = wire.head().await;
                assert!(
                    head.starts_with(&format!("HTTP/1.1 {status} ")),
                    "{path}: {head}"
                );
                let length = header(&head, "content-length").map(|text| text.parse().unwrap());
                assert_eq!(length, declared, "{path}: {head}");
                if sent > 0 {
                    assert_eq!(wire.until("!").await.len(), sent);
                }
                drop(wire.close().await);
                if let Some(date) = header(&head, "last-modified") {
                    modified = format!("if-modified-since: {date}\r\n");
                }
                let size = format!(r#"api_response_size_bytes_sum{{endpoint="{route}"}}"#);
                total += sent as f64;
                assert_eq!(scene.value(&size), Some(total), "{method} {path}");
            }
            let counts = [(200, 2.0), (206, 1.0), (416, 1.0), (304, 1.0), (404, 2.0)];
            for (status, count) in counts {
                assert_eq!(counted(&scene, route, status), Some(count), "{status}");
            }
            assert_eq!(scene.sum("api_requests_total"), 8.0);
            let named = scene.lines().into_iter().find(|line| line.contains("txt"));
            assert_eq!(named, None);
        }
    })
    .await;
}

#[tokio::test]
async fn nested_routers_give_whole_templates_and_files_within_them_those_of_the_table() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), "hello").unwrap();
        let table = RouteTable::new(["/api/{version}/assets/{*rest}"]).unwrap();
        let scene = Scene::with(|builder| builder.routes(table));
        let inner = Router::new()
            .route("/{id}", get(async || "hello"))
            .route("/", get(async || "hello"));
        let api = Router::new()
            .nest("/users", inner)
            .nest_service("/assets", ServeDir::new(folder.path()));
        let app = Router::new()
            .nest("/api/{version}", api)
            .fallback(async || (StatusCode::NOT_FOUND, "hello"))
            .layer(scene.layer.clone());
        let mut wire = connect(&app).await;
        for path in [
            "/api/v1/users/7",
            "/api/v2/users/8",
            "/api/v1/users",
            "/api/v1/assets/a.txt",
            "/api/v1/none",
            "/none",
        ] {
            wire.get(path).await;
            wire.until("hello").await;
        }
        drop(wire.close().await);
        assert_eq!(counted(&scene, "/api/{version}/users/{id}", 200), Some(2.0));
        assert_eq!(counted(&scene, "/api/{version}/users", 200), Some(1.0));
        assert_eq!(
            counted(&scene, "/api/{version}/assets/{*rest}", 200),
            Some(1.0)
        );
        assert_eq!(counted(&scene, "_OTHER", 404), Some(2.0));
        assert_eq!(scene.of("api_requests_total").len(), 4);
    })
    .await;
}

/// Words of a client that has too much time: the same ones in each run.
fn inventions() -> impl Iterator<Item = String> {
    // Numerical Recipes' generator, of which the upper bits are good enough.
    let numbers = std::iter::successors(Some(1_u64), |number| {
        Some(
            number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407),
        )
    });
    numbers
        .map(|number| format!("{:X}", number >> 16))
        .take(5000)
}

#[tokio::test]
async fn five_thousand_paths_and_methods_of_a_client_add_no_series() {
    bounded(async {
        let scene = Scene::new();
        let app = Router::new()
            .route("/users/{id}", any(async || "hello"))
            .fallback(async || (StatusCode::NOT_FOUND, "hello"))
            .layer(scene.layer.clone());
        let mut wire = connect(&app).await;
        let mut before = None;
        for word in inventions() {
            for (method, path) in [
                ("GET", format!("/{word}")),
                ("GET", format!("/users/{word}")),
                (&word, "/users/1".to_owned()),
            ] {
                wire.send(&format!("{method} {path} HTTP/1.1\r\nhost: {word}\r\n\r\n"))
                    .await;
                wire.until("\r\n\r\nhello").await;
            }
            before.get_or_insert_with(|| scene.lines().len());
        }
        drop(wire.close().await);
        assert_eq!(Some(scene.lines().len()), before);
        let other = r#"api_requests_total{method="_OTHER",endpoint="/users/{id}",status="200"}"#;
        assert_eq!(scene.value(other), Some(5000.0));
        assert_eq!(counted(&scene, "/users/{id}", 200), Some(5000.0));
        assert_eq!(counted(&scene, "_OTHER", 404), Some(5000.0));
        assert_eq!(scene.of("api_requests_total").len(), 3);
    })
    .await;
}
