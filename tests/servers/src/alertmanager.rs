use std::{
    fs,
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use platform_tests::{Process, get};
use serde_json::Value;

use crate::{Suite, port::free_port};

/// A running Alertmanager.
pub struct Alertmanager {
    process: Process,
    address: String,
    _folder: tempfile::TempDir,
}

impl Alertmanager {
    /// Starts one with this configuration, and waits until it is ready.
    pub fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("alertmanager.yml");
        fs::write(&file, config).expect("the configuration is written");
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(unpacked(folder.path()));
        command
            .current_dir(Suite::Trixie.folder().join(&TEMPLATES[1..]))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            // Empty: no gossip, and no port for it.
            .arg("--cluster.listen-address=")
            .arg("--log.level=error")
            .stdout(Stdio::null());
        let mut process = Process::start("alertmanager", &mut command);
        let ready = format!("http://{address}/-/ready");
        process.wait_for("readiness", || {
            TcpStream::connect(&address)
                .ok()
                .filter(|_| get(&ready).status == 200)
        });
        Self {
            process,
            address,
            _folder: folder,
        }
    }

    /// `address:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Waits until it holds this alert back because of another one.
    pub fn wait_for_inhibited(&mut self, name: &str) {
        let url = format!("http://{}/api/v2/alerts", self.address);
        self.process.wait_for(&format!("inhibited {name}"), || {
            let alerts: Value = get(&url).json();
            let mut alerts = alerts.as_array()?.iter();
            alerts.find(|alert| {
                alert["labels"]["alertname"] == name
                    && alert["status"]["inhibitedBy"]
                        .as_array()
                        .is_some_and(|by| !by.is_empty())
            })?;
            Some(())
        });
    }
}

/// Where Debian's build looks for its own templates, which are nowhere else to be had.
const TEMPLATES: &str = "/usr/share/prometheus/alertmanager";

/// A copy in `folder` that looks for them where it is started, for it was unpacked, not installed.
fn unpacked(folder: &Path) -> PathBuf {
    let mut program =
        fs::read(Suite::Trixie.program("prometheus-alertmanager")).expect("it can be read");
    let here = "./".repeat(TEMPLATES.len() / 2);
    assert_eq!(here.len(), TEMPLATES.len());
    let mut at = 0;
    while let Some(found) = program[at..].iter().position(|byte| *byte == b'/') {
        at += found;
        if program[at..].starts_with(TEMPLATES.as_bytes()) {
            program[at..at + here.len()].copy_from_slice(here.as_bytes());
        }
        at += 1;
    }
    let copy = folder.join("alertmanager");
    fs::write(&copy, program).expect("the copy is written");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("it is ours");
    copy
}
