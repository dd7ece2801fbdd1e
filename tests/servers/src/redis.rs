use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
};

use platform_tests::Process;

use crate::{Suite, port::free_port};

/// A running Redis, which keeps nothing.
pub struct Redis {
    _process: Process,
    url: String,
}

impl Redis {
    /// Starts one on a free port, and waits until it answers.
    pub fn start() -> Self {
        let port = free_port();
        let mut command = Command::new(Suite::Trixie.program("redis-server"));
        command
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null());
        let mut process = Process::start("redis-server", &mut command);
        process.wait_for("answer", || ping(port).ok().filter(|answers| *answers));
        Self {
            _process: process,
            url: format!("redis://127.0.0.1:{port}/"),
        }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn ping(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    Ok(answer == *b"+PONG\r\n")
}
