use std::{
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};
use tower::ServiceExt as _;
use tower_metrics_exporter::{
    AdminServer, AdminService, Check, Credentials, Exporter, Filter, Format, HealthHandle,
    MetricsBody, NotFound, RouteBody, Source,
};

pub(crate) const TOKEN: &str = "4hF8sYc0-token";

/// Longer than any test takes that does not hang.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// An exporter with one counter, and a health that passes.
pub(crate) fn exporter() -> (Exporter, HealthHandle) {
    let exporter = Exporter::builder().build().unwrap();
    metrics::with_local_recorder(&exporter.recorder(), || {
        metrics::counter!("jobs_total").increment(3);
    });
    let health = HealthHandle::builder()
        .check(Check::new("database", || async { Ok::<_, String>(()) }))
        .recorder(exporter.recorder())
        .build();
    (exporter, health)
}

pub(crate) fn token() -> Credentials {
    Credentials::bearer(TOKEN).unwrap()
}

/// Metrics and probes, the former for who has the token.
pub(crate) fn guarded() -> (AdminService, Exporter, HealthHandle) {
    let (exporter, health) = exporter();
    let admin = AdminService::new(&exporter)
        .health(health.service())
        .credentials(token());
    (admin, exporter, health)
}

/// Asks the service itself, and gives the status and the text.
pub(crate) async fn ask(
    admin: &AdminService<NotFound>,
    request: http::request::Builder,
) -> (Response<()>, String) {
    let request = request.header("host", "localhost");
    let Ok(response) = admin.clone().oneshot(request.body(()).unwrap()).await;
    read(response).await
}

pub(crate) async fn read(response: Response<RouteBody<MetricsBody>>) -> (Response<()>, String) {
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await;
    let text = String::from_utf8(body.to_bytes().into()).unwrap();
    (Response::from_parts(head, ()), text)
}

pub(crate) fn get(path: &str) -> http::request::Builder {
    Request::builder().uri(path)
}

/// A listener at work.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Served {
    pub(crate) fn start(server: AdminServer, admin: AdminService) -> Self {
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let serving = tokio::spawn(server.serve(admin, stopped));
        Self {
            address,
            stop,
            serving,
        }
    }

    pub(crate) async fn stop(self) {
        drop(self.stop);
        tokio::time::timeout(LONG, self.serving)
            .await
            .unwrap()
            .unwrap();
    }
}

pub(crate) async fn listen() -> AdminServer {
    AdminServer::loopback(0).await.unwrap()
}

pub(crate) async fn send(address: SocketAddr, text: &str) -> TcpStream {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(text.as_bytes()).await.unwrap();
    connection
}

/// Everything that comes until the server closes the connection.
pub(crate) async fn rest(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = connection.read_to_end(&mut answer);
    // A server that closes with bytes unread resets the connection.
    drop(tokio::time::timeout(LONG, read).await.unwrap());
    String::from_utf8(answer).unwrap()
}

pub(crate) async fn exchange(address: SocketAddr, text: &str) -> String {
    rest(&mut send(address, text).await).await
}

/// A request for a path, with more lines of the head, after which the connection ends.
pub(crate) fn request(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{more}connection: close\r\n\r\n")
}

/// A source whose page is ready once it is told to be.
#[derive(Default)]
pub(crate) struct Slow {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_asked: bool,
    is_released: bool,
}

impl Slow {
    pub(crate) fn release(&self) {
        self.state.lock().unwrap().is_released = true;
        self.changed.notify_all();
    }

    /// Waits until somebody asks.
    pub(crate) async fn is_asked(self: &Arc<Self>) {
        let this = Arc::clone(self);
        let wait = move || {
            let state = this.state.lock().unwrap();
            let not = |state: &mut State| !state.is_asked;
            let (state, _) = this.changed.wait_timeout_while(state, LONG, not).unwrap();
            assert!(state.is_asked);
        };
        tokio::task::spawn_blocking(wait).await.unwrap();
    }
}

impl Source for Slow {
    fn formats(&self) -> &[Format] {
        &[Format::Text]
    }

    fn may_wait(&self) -> bool {
        true
    }

    fn encode(&self, _: Format, _: &Filter, page: &mut Vec<u8>) {
        let mut state = self.state.lock().unwrap();
        state.is_asked = true;
        self.changed.notify_all();
        // Not for ever, so that a test that fails comes to its end.
        let not = |state: &mut State| !state.is_released;
        drop(self.changed.wait_timeout_while(state, LONG / 3, not));
        page.extend(b"slow 1\n");
    }
}
