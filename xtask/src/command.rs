//! Runs other programs: shows what it runs, and says in the error what was run.
//!
//! A thin wrapper, because no crate gives all of what the tasks need (echo, output that is shown
//! and kept at the same time, a remedy when the program is missing) without being larger than this
//! file.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};

/// A program with its arguments, not yet started.
#[derive(Debug)]
pub(crate) struct Cmd {
    command: Command,
}

impl Cmd {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        Self { command }
    }

    /// `cargo`, run in the workspace root. The toolchain is the one that runs this task: rustup
    /// passes it on.
    pub(crate) fn cargo(root: &Path) -> Self {
        Self::new("cargo").dir(root)
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Shows the command, lets it write to the terminal, and fails if it fails.
    pub(crate) fn run(mut self) -> Result<()> {
        println!("$ {self}");
        let status = self
            .command
            .status()
            .map_err(|error| self.not_started(&error))?;
        if !status.success() {
            bail!("`{self}` failed: {status}");
        }
        Ok(())
    }

    /// Like [`run`](Self::run), and gives back what was written to standard output, which is shown
    /// as it comes. The output comes back with the verdict, since a failed command's output is of
    /// interest too.
    pub(crate) fn tee(mut self) -> Result<(String, Result<()>)> {
        println!("$ {self}");
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| self.not_started(&error))?;
        let stdout = child
            .stdout
            .take()
            .context("standard output was not piped")?;
        let mut kept = String::new();
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(&line);
            print!("{text}");
            kept.push_str(&text);
            line.clear();
        }
        let status = child.wait()?;
        let verdict = if status.success() {
            Ok(())
        } else {
            Err(anyhow!("`{self}` failed: {status}"))
        };
        Ok((kept, verdict))
    }

    /// Runs without showing anything; only a program that cannot be started is an error.
    pub(crate) fn output(&mut self) -> Result<Output> {
        self.command
            .output()
            .map_err(|error| self.not_started(&error))
    }

    /// Runs without showing anything, gives back standard output, and puts standard error into the
    /// error.
    pub(crate) fn read(mut self) -> Result<String> {
        let output = self.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`{self}` failed: {}\n{}", output.status, said.trim_end());
        }
        String::from_utf8(output.stdout)
            .with_context(|| format!("`{self}` wrote something that is not UTF-8"))
    }

    fn not_started(&self, error: &std::io::Error) -> anyhow::Error {
        let program = self.command.get_program().to_string_lossy();
        match error.kind() {
            ErrorKind::NotFound => anyhow!("cannot run `{self}`: there is no program `{program}`"),
            _ => anyhow!("cannot run `{self}`: {error}"),
        }
    }
}

/// The command as one could paste it into a shell, without its folder.
impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.command.get_envs() {
            if let Some(value) = value {
                write!(f, "{}={} ", name.to_string_lossy(), quoted(value))?;
            }
        }
        f.write_str(&quoted(self.command.get_program()))?;
        for arg in self.command.get_args() {
            write!(f, " {}", quoted(arg))?;
        }
        Ok(())
    }
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Where a program lies on `PATH`, if it does.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_shell_would_take_it() {
        let cmd = Cmd::new("cargo")
            .args(["nextest", "run", "-E", "package(=a)"])
            .env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(
            cmd.to_string(),
            "RUSTDOCFLAGS='-D warnings' cargo nextest run -E 'package(=a)'"
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Cmd::new("no-such-program-here")
            .arg("--version")
            .read()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot run `no-such-program-here --version`: there is no program `no-such-program-here`"
        );
    }

    #[test]
    fn the_error_of_a_quiet_command_has_its_standard_error() {
        let error = Cmd::new("sh")
            .args(["-c", "echo reason >&2; exit 3"])
            .read()
            .unwrap_err()
            .to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.ends_with("\nreason"), "{error}");
    }

    #[test]
    fn tee_keeps_the_output_of_a_failed_command() {
        let (kept, verdict) = Cmd::new("sh")
            .args(["-c", "echo one; echo two; exit 1"])
            .tee()
            .unwrap();
        assert_eq!(kept, "one\ntwo\n");
        assert!(verdict.is_err());
    }
}
