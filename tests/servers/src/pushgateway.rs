use std::process::{Command, Stdio};

use platform_tests::{Process, get};

use crate::{Suite, port::free_port};

/// A running Pushgateway.
pub struct Pushgateway {
    process: Process,
    url: String,
}

impl Pushgateway {
    /// Starts one on a free port, and waits until it is ready.
    pub fn start() -> Self {
        Self::at(free_port())
    }

    /// Starts one on this port, and waits until it is ready.
    pub fn at(port: u16) -> Self {
        let mut command = Command::new(Suite::Trixie.program("prometheus-pushgateway"));
        command
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error")
            // What is pushed need not outlive it.
            .arg("--persistence.file=")
            .stdout(Stdio::null());
        let mut process = Process::start("prometheus-pushgateway", &mut command);
        let url = format!("http://127.0.0.1:{port}");
        let ready = format!("{url}/-/ready");
        process.wait_for("readiness", || answers(port, &ready));
        Self { process, url }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until a line of its page begins with this, and gives what follows.
    pub fn wait_for(&mut self, sample: &str) -> String {
        let url = format!("{}/metrics", self.url);
        self.process.wait_for(sample, || {
            let page = get(&url).text;
            let line = page.lines().find_map(|line| line.strip_prefix(sample));
            line.map(|value| value.trim().to_owned())
        })
    }

    /// Its page.
    pub fn page(&self) -> String {
        get(&format!("{}/metrics", self.url)).text
    }
}

pub(crate) fn answers(port: u16, url: &str) -> Option<()> {
    std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    (get(url).status == 200).then_some(())
}
