//! Workers on a queue in SQLite, which is where it is by default.

use std::process::Command;

use platform_tests::worker_program;

struct Sqlite(tempfile::TempDir);

impl Sqlite {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn url(&self) -> String {
        format!("sqlite://{}/queue.db", self.0.path().display())
    }
}

platform_tests::worker_cases!(Sqlite::new());

fn run(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(worker_program())
        .args(args)
        .output()
        .expect("the program runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("the output is UTF-8");
    (output.status.code(), said)
}

#[test]
fn the_help_teaches() {
    let (code, help) = run(&["--help"]);
    assert_eq!(code, Some(0));
    for word in [
        "work",
        "ask",
        "127.0.0.1:8210",
        "redis://",
        "postgres://",
        "RUST_LOG",
    ] {
        assert!(help.contains(word), "no {word} in\n{help}");
    }
}

#[test]
fn a_queue_that_is_none_is_an_error_that_says_what_is_and_tells_no_password() {
    for url in [
        "mysql://me:secret@nowhere",
        "redis://:secret@127.0.0.1:1",
        "secret",
    ] {
        let (code, said) = run(&["ask", "mcp", "x", "--queue-url", url]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("cannot open the queue"), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
    let (_, said) = run(&["ask", "mcp", "x", "--queue-url", "mysql://nowhere"]);
    assert!(said.contains("sqlite://FILE"), "{said}");
}
