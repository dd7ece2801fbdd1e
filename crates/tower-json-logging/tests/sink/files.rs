use std::{fs, io::ErrorKind};

use tower_json_logging::Sink;

use crate::output::{LONG, info, scripted};

#[test]
fn a_renamed_file_is_followed_by_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (
        folder.path().join("app.log"),
        folder.path().join("app.log.1"),
    );
    fs::write(&path, "earlier\n").unwrap();
    let sink = Sink::file(&path).build().unwrap();
    assert!(info(&sink, "one"));
    assert!(sink.flush(LONG).is_lossless());
    fs::rename(&path, &rotated).unwrap();
    assert!(info(&sink, "two"));
    assert!(sink.flush(LONG).is_lossless());
    sink.reopen(LONG).unwrap();
    assert!(info(&sink, "three"));
    assert!(sink.flush(LONG).is_lossless());
    assert_eq!(fs::read_to_string(&rotated).unwrap(), "earlier\none\ntwo\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
}

#[test]
fn a_file_that_cannot_be_opened_again_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs").join("app.log");
    fs::create_dir(folder.path().join("logs")).unwrap();
    let sink = Sink::file(&path).build().unwrap();
    let moved = folder.path().join("moved");
    fs::rename(folder.path().join("logs"), &moved).unwrap();
    assert_eq!(sink.reopen(LONG).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(info(&sink, "still here"));
    assert!(sink.flush(LONG).is_lossless());
    assert_eq!(
        fs::read_to_string(moved.join("app.log")).unwrap(),
        "still here\n"
    );
}

#[test]
fn a_writer_cannot_be_opened_again() {
    let (output, _script) = scripted();
    let sink = Sink::writer(output).build().unwrap();
    let error = sink.reopen(LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_with_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let error = Sink::file(folder.path().join("no").join("app.log"))
        .build()
        .unwrap_err();
    assert!(error.is_open() && !error.is_invalid());
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_line_that_an_earlier_process_left_open_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.log");
    for (before, after) in [
        ("whole\nto", "whole\nto\nline\n"),
        ("whole\n", "whole\nline\n"),
        ("", "line\n"),
    ] {
        fs::write(&path, before).unwrap();
        let sink = Sink::file(&path).build().unwrap();
        assert!(info(&sink, "line"));
        assert!(sink.close(LONG).is_lossless());
        assert_eq!(fs::read_to_string(&path).unwrap(), after);
    }
}

#[test]
#[cfg(unix)]
fn a_pipe_with_a_name_is_only_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let reader = std::thread::spawn({
        let path = path.clone();
        move || fs::read_to_string(path).unwrap()
    });
    let sink = Sink::file(&path).build().unwrap();
    assert!(info(&sink, "line"));
    assert!(sink.close(LONG).is_lossless());
    // The end of the sink is the end of the pipe.
    assert_eq!(reader.join().unwrap(), "line\n");
}
