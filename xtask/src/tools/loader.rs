//! Runs a program with the libraries, and the loader, of the Debian suite that it is from.
//!
//! A program in C needs a C library that is at least as new as the one it was built with, which the
//! machine's may not be. The loader is part of the C library and can be called by itself: it then
//! takes the libraries from where it is told. What it starts is still the same process, so that
//! signals reach the program.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command::Cmd;

/// The program that a script of its name starts.
const REAL: &str = "real";

/// Puts a script in the place of the program at `program` in `tree`, which starts it with the
/// libraries of `tree`, wherever `tree` is moved to.
///
/// The program is told the script's path as its own name, and so finds what is beside it.
pub(super) fn wrap(tree: &Path, program: &Path) -> Result<()> {
    let loader = loader(tree)?;
    let place = tree.join(program);
    let script = script(program, &loader)
        .with_context(|| format!("{} is in no folder", program.display()))?;
    fs::rename(&place, format!("{}.{REAL}", place.display()))
        .with_context(|| format!("there is no program {}", place.display()))?;
    fs::write(&place, script).with_context(|| format!("cannot write {}", place.display()))?;
    Cmd::new("chmod").arg("755").arg(&place).read().map(drop)
}

/// The script at `program` in the tree that `loader` is in, too.
fn script(program: &Path, loader: &Path) -> Option<String> {
    let up = "/..".repeat(program.parent()?.components().count());
    let libraries = loader.parent()?.display();
    let loader = loader.display();
    Some(format!(
        "#!/bin/sh\n\
         suite=${{0%/*}}{up}\n\
         exec \"$suite/{loader}\" --library-path \"$suite/{libraries}\" --argv0 \"$0\" \"$0.{REAL}\" \"$@\"\n"
    ))
}

/// Where the loader is in the tree, which is among the libraries: the folder has the name of the
/// architecture, and so has the loader.
fn loader(tree: &Path) -> Result<PathBuf> {
    let lib = Path::new("usr/lib");
    for folder in fs::read_dir(tree.join(lib))? {
        let folder = folder?;
        if !folder.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(folder.path())? {
            let file = file?.file_name();
            let name = file.to_string_lossy();
            if name.starts_with("ld-linux") || name.starts_with("ld64.so") {
                return Ok(lib.join(folder.file_name()).join(file));
            }
        }
    }
    anyhow::bail!("no C library was unpacked to {}", tree.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_program_gets_its_arguments_its_name_and_the_libraries_of_its_tree() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        let libraries = tree.join("usr/lib/some-linux-gnu");
        fs::create_dir_all(&libraries).unwrap();
        fs::create_dir_all(tree.join("usr/lib/server/1/bin")).unwrap();
        // A loader that tells how it was called.
        let loader = libraries.join("ld-linux-some.so.2");
        fs::write(&loader, "#!/bin/sh\nfor word; do echo \"$word\"; done\n").unwrap();
        Cmd::new("chmod").arg("755").arg(&loader).read().unwrap();
        let program = Path::new("usr/lib/server/1/bin/serve");
        fs::write(tree.join(program), "").unwrap();

        wrap(&tree, program).unwrap();
        let moved = dir.path().join("moved there");
        fs::rename(&tree, &moved).unwrap();
        let script = moved.join(program);
        let said = Cmd::new(&script).args(["-D", "a b"]).read().unwrap();
        let script = script.display();
        let libraries = moved.join("usr/lib/server/1/bin/../../../../../usr/lib/some-linux-gnu");
        assert_eq!(
            said,
            format!(
                "--library-path\n{}\n--argv0\n{script}\n{script}.real\n-D\na b\n",
                libraries.display()
            )
        );
    }

    #[test]
    fn a_tree_without_a_c_library_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("usr/lib/empty")).unwrap();
        let error = wrap(dir.path(), Path::new("usr/bin/serve")).unwrap_err();
        assert!(error.to_string().starts_with("no C library"), "{error}");
    }
}
