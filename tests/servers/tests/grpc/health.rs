//! `grpc.health.v1` of a `HealthHandle`, as a client of Python's grpcio hears it.

use std::{
    io::{BufRead as _, BufReader, Lines},
    process::{ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use platform_tests::Process;
use server_tests::python;
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot};
use tokio_stream::wrappers::TcpListenerStream;
use tower_metrics_exporter::{Check, HealthHandle, Probe};

const SERVICE: &str = "shop.v1.Orders";

/// A client at work, and what it says.
struct Client {
    _process: Process,
    said: Lines<BufReader<ChildStdout>>,
}

impl Client {
    fn start(address: &str, method: &str, service: &str) -> Self {
        let mut command = Command::new(python());
        command
            .args(["-I", "-c", include_str!("health_client.py")])
            .args([address, method, service])
            .stdout(Stdio::piped());
        let mut process = Process::start("the health client", &mut command);
        let said = process.child().stdout.take().expect("it is piped");
        Self {
            _process: process,
            said: BufReader::new(said).lines(),
        }
    }

    fn next(&mut self) -> String {
        let said = self.said.next().expect("it says something");
        said.expect("it writes UTF-8")
    }
}

#[test]
fn a_client_in_python_checks_and_watches() {
    let runtime = Runtime::new().expect("a runtime");
    let works = Arc::new(AtomicBool::new(true));
    let check = Check::new("database", {
        let works = Arc::clone(&works);
        move || {
            let works = works.load(Ordering::SeqCst);
            async move { if works { Ok(()) } else { Err("away") } }
        }
    });
    let health = HealthHandle::builder()
        .check(check.fresh_for(Duration::ZERO))
        .build();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
    let listener = listener.expect("a port is free");
    let address = listener.local_addr().expect("it has one").to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tonic::transport::Server::builder()
        .add_service(health.grpc([SERVICE]))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async {
            drop(stopped.await);
        });
    let server = runtime.spawn(server);
    let check = |service| Client::start(&address, "check", service).next();
    let ask = || runtime.block_on(health.report(Probe::Ready)).is_passing();

    assert_eq!(check(""), "SERVING");
    assert_eq!(check(SERVICE), "SERVING");
    assert_eq!(check("shop.v1.Other"), "NOT_FOUND");
    let mut watch = Client::start(&address, "watch", SERVICE);
    let mut unknown = Client::start(&address, "watch", "shop.v1.Other");
    assert_eq!(watch.next(), "SERVING");
    assert_eq!(unknown.next(), "SERVICE_UNKNOWN");

    works.store(false, Ordering::SeqCst);
    assert!(!ask());
    assert_eq!(watch.next(), "NOT_SERVING");
    assert_eq!(check(""), "NOT_SERVING");
    works.store(true, Ordering::SeqCst);
    assert!(ask());
    assert_eq!(watch.next(), "SERVING");

    health.shut_down();
    assert_eq!(watch.next(), "NOT_SERVING");
    assert_eq!(check(SERVICE), "NOT_SERVING");
    assert_eq!(watch.next(), "over");
    assert_eq!(unknown.next(), "over");
    // No stream holds up the server's end.
    stop.send(()).expect("the server waits");
    runtime
        .block_on(server)
        .expect("it ends")
        .expect("it served");
}
