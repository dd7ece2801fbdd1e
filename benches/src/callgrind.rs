//! Instructions, as valgrind's callgrind counts them.

use std::{env, ffi::OsStr, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

/// Where `cargo xtask tools` puts what it fetches.
pub fn tools() -> PathBuf {
    env::var_os("OBSERVABILITY_TOOLS").map_or_else(|| "target/tools".into(), PathBuf::from)
}

/// Runs this program with these arguments, and tells the instructions that it took, and what it said. Only those of
/// the functions whose name is like `within` are counted, if it is given.
///
/// # Errors
///
/// If there is no valgrind, if the program fails, or if nothing was counted.
pub fn count<A>(
    arguments: impl IntoIterator<Item = A>,
    within: Option<&str>,
) -> Result<(u64, String)>
where
    A: AsRef<OsStr>,
{
    let tools = tools();
    let usr = tools.join("benches/usr");
    let mut command = Command::new(usr.join("bin/valgrind.bin"));
    command
        .env("VALGRIND_LIB", usr.join("libexec/valgrind"))
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(within.map(|name| format!("--toggle-collect={name}")))
        .arg(env::current_exe().context("the program does not know its name")?)
        .args(arguments);
    let output = command.output().with_context(|| {
        format!(
            "valgrind is not in {}: `cargo xtask tools --only benches` fetches it",
            tools.display()
        )
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{command:?} ended with {} and said:\n{said}", output.status);
    }
    match collected(&said) {
        Some(number) if number > 0 => Ok((number, String::from_utf8(output.stdout)?)),
        _ => bail!("{command:?} counted nothing and said:\n{said}"),
    }
}

/// From the line `==1== Collected : 123`.
fn collected(said: &str) -> Option<u64> {
    let (_, rest) = said.split_once("Collected : ")?;
    rest.lines().next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_on_a_line_of_its_own() {
        let said =
            "==7== \n==7== Events    : Ir\n==7== Collected : 12345\n==7== \n==7== I refs: 1\n";
        assert_eq!(collected(said), Some(12_345));
        assert_eq!(collected("==7== nothing"), None);
    }
}
