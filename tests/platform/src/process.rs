use std::{
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

/// A process that ends with this value.
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts it, or panics.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self {
            child,
            name: name.to_owned(),
        }
    }

    /// The child itself.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends it a signal: `TERM`, `KILL`, …
    pub fn signal(&mut self, name: &str) {
        let id = self.child.id().to_string();
        // The shell's own `kill`: the program is not everywhere.
        let told = Command::new("sh")
            .args(["-c", "kill -\"$0\" \"$1\"", name, &id])
            .status()
            .expect("the shell runs");
        assert!(told.success(), "{}: no signal {name}", self.name);
    }

    /// Waits until it ends.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("its status can be read")
    }

    /// Asks until there is an answer, at most for a minute, as long as the process lives.
    pub fn wait_for<T>(&mut self, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            if let Some(status) = self.child.try_wait().expect("its status can be read") {
                panic!("{} ended with {status} before {what}", self.name);
            }
            let waited = start.elapsed();
            assert!(
                waited < Duration::from_secs(60),
                "{}: no {what} in {waited:?}",
                self.name
            );
            // A server's state can only be asked for; this bounds how often.
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
