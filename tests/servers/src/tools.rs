use std::{
    env, fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread,
};

/// The Debian suite that a server comes from, and so its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// Prometheus 2.53, etcd 3.5.
    Trixie,
    /// Prometheus 3.
    Forky,
}

impl Suite {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Trixie, Self::Forky];

    /// Where what was fetched of this suite is.
    pub(crate) fn folder(self) -> PathBuf {
        let suite = match self {
            Self::Trixie => "trixie",
            Self::Forky => "forky",
        };
        folder().join(suite)
    }

    /// Where a program of this suite is.
    pub fn program(self, name: &str) -> PathBuf {
        existing(self.folder().join("usr/bin").join(name))
    }
}

impl Suite {
    /// Runs a program of this suite, by its path in it, with the suite's own libraries.
    ///
    /// # Panics
    ///
    /// If it was not fetched.
    pub fn with_libraries(self, program: &str) -> Command {
        let folder = self.folder();
        let program = existing(folder.join(program));
        let libraries = fs::read_dir(folder.join("usr/lib")).expect("there are libraries");
        let libraries = libraries.map(|entry| entry.expect("an entry").path());
        let loader = libraries
            .flat_map(fs::read_dir)
            .flatten()
            .find_map(|entry| {
                let path = entry.ok()?.path();
                let name = path.file_name()?.to_str()?;
                (name.starts_with("ld-linux") && name.contains(".so")).then_some(path)
            });
        let loader = loader.expect("a loader: run `cargo xtask tools`");
        let mut command = Command::new(&loader);
        command
            .arg("--library-path")
            .arg(loader.parent().expect("it is in a folder"))
            .arg(program);
        command
    }

    /// The libraries that programs load by name, such as rsyslog's modules.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn library_folder(self, name: &str) -> PathBuf {
        let libraries = fs::read_dir(self.folder().join("usr/lib")).expect("there are libraries");
        let mut folders = libraries.map(|entry| entry.expect("an entry").path().join(name));
        let folder = folders.find(|folder| folder.is_dir());
        folder.expect("the folder is there: run `cargo xtask tools`")
    }
}

/// Python, with the packages that are pinned for it.
pub fn python() -> PathBuf {
    existing(folder().join("python/bin/python"))
}

fn folder() -> PathBuf {
    let folder = env::var_os("OBSERVABILITY_TOOLS").unwrap_or_else(|| {
        panic!(
            "OBSERVABILITY_TOOLS is not set: run `cargo xtask test`, or fetch the servers with \
             `cargo xtask tools` and set it to the absolute path of target/tools"
        )
    });
    PathBuf::from(folder)
}

fn existing(program: PathBuf) -> PathBuf {
    assert!(
        program.is_file(),
        "there is no {program:?}: run `cargo xtask tools`"
    );
    program
}

/// Node.js.
pub fn node() -> PathBuf {
    existing(folder().join("python/bin/node"))
}

/// The packages for Node.js that are pinned.
///
/// # Panics
///
/// If there are none.
pub fn node_modules() -> PathBuf {
    let modules = folder().join("node/node_modules");
    assert!(
        modules.is_dir(),
        "there is no {modules:?}: run `cargo xtask tools`"
    );
    modules
}

/// What `promtool check metrics` says of a page.
pub fn promtool_check_metrics(suite: Suite, page: &str) -> Output {
    let mut promtool = Command::new(suite.program("promtool"));
    piped(promtool.args(["check", "metrics"]), page)
}

/// Runs a program to its end, with this as its standard input.
pub fn piped(command: &mut Command, input: &str) -> Output {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let mut stdin = process.stdin.take().expect("it is piped");
    thread::scope(|scope| {
        // It may end before it has read everything, and says why.
        scope.spawn(move || drop(stdin.write_all(input.as_bytes())));
        process.wait_with_output().expect("it ends")
    })
}
