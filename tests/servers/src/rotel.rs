use std::{
    net::TcpStream,
    process::{Command, Stdio},
};

use platform_tests::Process;

use crate::{port::free_port, python};

/// A running rotel: a collector that takes OTLP over gRPC and HTTP, and sends it on.
pub struct Rotel {
    _process: Process,
    grpc: String,
    http: String,
}

impl Rotel {
    /// Starts one that sends metrics on to this address of OTLP over HTTP, and waits until it listens.
    pub fn start(to: &str) -> Self {
        let [grpc, http] = [free_port(), free_port()];
        let mut command = Command::new(program());
        let listen = |port: u16| format!("127.0.0.1:{port}");
        command
            .args(["start", "--otlp-grpc-endpoint", &listen(grpc)])
            .args(["--otlp-http-endpoint", &listen(http)])
            .args(["--exporter", "otlp", "--otlp-exporter-protocol", "http"])
            .args(["--otlp-exporter-endpoint", to, "--batch-timeout", "200ms"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut process = Process::start("rotel", &mut command);
        for port in [grpc, http] {
            process.wait_for("a listener", || {
                TcpStream::connect(("127.0.0.1", port)).ok()
            });
        }
        Self {
            _process: process,
            grpc: format!("http://{}", listen(grpc)),
            http: format!("http://{}", listen(http)),
        }
    }

    /// Where it takes gRPC.
    pub fn grpc(&self) -> &str {
        &self.grpc
    }

    /// Where it takes HTTP.
    pub fn http(&self) -> &str {
        &self.http
    }
}

/// The wheel has it beside its modules.
fn program() -> String {
    let code =
        "import pathlib, rotel; print(pathlib.Path(rotel.__file__).with_name('rotel-agent'))";
    let said = Command::new(python())
        .args(["-I", "-c", code])
        .output()
        .expect("Python runs");
    assert!(said.status.success(), "run `cargo xtask tools`: {said:?}");
    let path = String::from_utf8(said.stdout).expect("a path");
    path.trim().to_owned()
}
