use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use serde_json::Value;

use crate::process::Process;

/// A process whose standard output is its log, a JSON object a line.
pub(crate) struct Logged {
    process: Process,
    name: String,
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Logged {
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        let mut process = Process::start(name, command.stdout(Stdio::piped()));
        let stdout = process.child().stdout.take().expect("it is piped");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                seen.lock().unwrap().push(line.expect("the log is UTF-8"));
            }
        });
        Self {
            process,
            name: name.to_owned(),
            lines,
            reader,
        }
    }

    pub(crate) const fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Waits for the first line that has this key.
    pub(crate) fn wait_for_line(&mut self, key: &str) -> Value {
        let lines = Arc::clone(&self.lines);
        self.process.wait_for(&format!("line with {key}"), || {
            lines.lock().unwrap().iter().find_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                line.get(key).is_some().then_some(line)
            })
        })
    }

    /// Tells it to stop, and gives every line that it wrote.
    pub(crate) fn stop(mut self) -> Vec<String> {
        self.process.signal("TERM");
        let status = self.process.wait();
        assert!(status.success(), "{} ended with {status}", self.name);
        self.reader.join().expect("the reader ends");
        std::mem::take(&mut self.lines.lock().unwrap())
    }

    /// Ends it as an accident would, without a word.
    pub(crate) fn kill(mut self) {
        self.process.signal("KILL");
        self.process.wait();
    }
}
