//! The scanners on every fixture, and on inputs too large or too hostile to keep.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use scan_platform::scan::{
    Finding, Limits, Policy, Progress, ScanError, ScanRoot, ScanType, Severities, Severity, scan,
};
use tempfile::TempDir;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");

fn scan_in(
    root: &Path,
    kind: ScanType,
    path: &str,
    limits: &Limits,
) -> Result<Vec<Finding>, ScanError> {
    let target = ScanRoot::open(root).unwrap().target(path).unwrap();
    scan(kind, &target, limits, &Progress::new())
}

fn fixture(kind: ScanType, path: &str) -> Result<Vec<Finding>, ScanError> {
    scan_in(Path::new(FIXTURES), kind, path, &Limits::default())
}

/// `severity rule location` of each finding.
fn lines(findings: &[Finding]) -> Vec<String> {
    findings
        .iter()
        .map(|f| format!("{} {} {}", f.severity, f.rule, f.location))
        .collect()
}

fn model(file: &str) -> Vec<String> {
    lines(&fixture(ScanType::Model, &format!("model/{file}")).unwrap())
}

fn mcp(file: &str) -> Vec<String> {
    lines(&fixture(ScanType::Mcp, &format!("mcp/{file}")).unwrap())
}

fn reason(result: Result<Vec<Finding>, ScanError>) -> String {
    match result {
        Err(ScanError::Unparseable { reason, .. }) => reason,
        other => panic!("expected an unparseable file, not {other:?}"),
    }
}

fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    directory
}

const EVIL: &[u8] = b"cos\nsystem\n(S'id'\ntR.";

// --- model fixtures

#[test]
fn benign_models_of_every_format_have_no_findings() {
    for protocol in 0..=5 {
        assert_eq!(model(&format!("benign-p{protocol}.pkl")), [""; 0]);
    }
    for file in [
        "legacy.pt",
        "checkpoint.pt",
        "plain.npy",
        "good.safetensors",
    ] {
        assert_eq!(model(file), [""; 0], "{file}");
    }
}

#[test]
fn code_execution_is_critical_in_every_protocol() {
    for (protocol, opcode) in [(0, "opcode 1 (byte 0)"), (2, "opcode 2 (byte 2)")] {
        for name in ["os-system", "popen", "eval"] {
            let file = format!("{name}-p{protocol}.pkl");
            assert_eq!(
                model(&file),
                [format!("critical dangerous-import model/{file}:{opcode}")]
            );
        }
    }
    for name in ["os-system", "popen", "eval"] {
        let found = model(&format!("{name}-p4.pkl"));
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("critical dangerous-import"),
            "{found:?}"
        );
    }
    let findings = fixture(ScanType::Model, "model/os-system-p4.pkl").unwrap();
    assert_eq!(
        findings[0].message,
        "imports posix.system, which runs programs, when the file is loaded"
    );
    assert_eq!(
        Policy::default().blocked_by(&Severities::of(&findings)),
        Some(Severity::Critical)
    );
}

#[test]
fn every_way_to_pack_a_dangerous_pickle_is_unpacked() {
    assert_eq!(
        model("nested.pkl"),
        ["critical dangerous-import model/nested.pkl:opcode 7 (byte 23):opcode 2 (byte 27)",]
    );
    assert_eq!(
        model("legacy-malicious.pt"),
        ["critical dangerous-import model/legacy-malicious.pt:opcode 2 (byte 78)",]
    );
    assert_eq!(
        model("checkpoint-malicious.pt"),
        [
            "critical dangerous-import model/checkpoint-malicious.pt!archive/data.pkl:opcode 2 (byte 2)",
        ]
    );
    assert_eq!(
        model("objects.npy"),
        [
            "critical dangerous-import model/objects.npy:opcode 2 (byte 130)",
            "low pickled-array model/objects.npy",
        ]
    );
    assert_eq!(
        model("objects.npz"),
        [
            "critical dangerous-import model/objects.npz!b.npy:opcode 2 (byte 130)",
            "low pickled-array model/objects.npz!b.npy",
        ]
    );
}

#[test]
fn what_is_suspicious_without_being_code_is_graded() {
    assert_eq!(
        model("unknown-import.pkl"),
        ["medium unknown-import model/unknown-import.pkl:opcode 6 (byte 35)"]
    );
    assert_eq!(
        model("zip-slip.pt"),
        ["high zip-slip model/zip-slip.pt!../../evil.py"]
    );
    assert_eq!(
        model("lambda.keras"),
        ["high keras-lambda model/lambda.keras!config.json"]
    );
    assert_eq!(
        model("overlap.safetensors"),
        ["high safetensors-layout model/overlap.safetensors:b"]
    );
    assert_eq!(
        model("layout.safetensors"),
        [
            "high safetensors-layout model/layout.safetensors:a",
            "high safetensors-layout model/layout.safetensors:a",
            "high safetensors-layout model/layout.safetensors:c",
            "medium safetensors-layout model/layout.safetensors:b",
            "medium safetensors-layout model/layout.safetensors:b",
        ]
    );
}

#[test]
fn a_broken_tail_does_not_hide_what_ran_before_it() {
    assert_eq!(
        model("truncated-malicious.pkl"),
        [
            "critical dangerous-import model/truncated-malicious.pkl:opcode 2 (byte 2)",
            "high truncated-pickle model/truncated-malicious.pkl:pickle at byte 0",
        ]
    );
    let reason = reason(fixture(ScanType::Model, "model/truncated.pkl"));
    assert_eq!(reason, "the pickle ends in the middle");
}

#[test]
fn a_header_longer_than_the_file_is_refused() {
    let reason = reason(fixture(ScanType::Model, "model/huge-header.safetensors"));
    assert!(
        reason.contains("said to have 1152921504606846976 bytes, but only 167 follow"),
        "{reason}"
    );
}

#[test]
fn a_directory_is_scanned_in_order_and_survives_what_cannot_be_parsed() {
    let findings = fixture(ScanType::Model, "model").unwrap();
    assert_eq!(findings, fixture(ScanType::Model, "model").unwrap());
    assert!(findings.is_sorted_by(|a, b| a.severity >= b.severity));
    let unparseable: Vec<_> = findings
        .iter()
        .filter(|f| f.rule == "unparseable-file")
        .map(|f| &*f.location)
        .collect();
    assert_eq!(
        unparseable,
        ["model/huge-header.safetensors", "model/truncated.pkl"]
    );
    assert!(
        findings
            .iter()
            .all(|f| !f.location.contains("opcodes.json"))
    );
    let critical: Vec<_> = findings
        .iter()
        .filter(|f| f.severity == Severity::Critical)
        .map(|f| &f.location)
        .collect();
    assert!(critical.is_sorted(), "{critical:?}");
    assert_eq!(critical.len(), 15);
}

// --- mcp fixtures

#[test]
fn a_careful_configuration_has_no_findings() {
    assert_eq!(mcp("good.json"), [""; 0]);
}

#[test]
fn each_weakness_of_a_careless_configuration_is_found() {
    assert_eq!(
        mcp("bad.json"),
        [
            "critical hardcoded-secret mcpServers.github.env.TOKEN",
            "critical hardcoded-secret mcpServers.github.env.AWS_ACCESS_KEY_ID",
            "critical shell-injection mcpServers.installer.args[1]",
            "critical shell-injection mcpServers.chain.args[1]",
            "critical hardcoded-secret mcpServers.database.args[0]",
            "high hardcoded-secret mcpServers.github.env.SERVICE_PASSWORD",
            "high plain-http mcpServers.remote.url",
            "medium env-override mcpServers.github.env.LD_PRELOAD",
            "medium broad-filesystem mcpServers.root.args[2]",
            "low plain-http mcpServers.local.url",
        ]
    );
}

#[test]
fn no_message_repeats_a_secret() {
    let text = fs::read_to_string(format!("{FIXTURES}/mcp/bad.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    let findings = fixture(ScanType::Mcp, "mcp/bad.json").unwrap();
    let told = findings.iter().map(ToString::to_string).collect::<String>();
    for secret in ["TOKEN", "AWS_ACCESS_KEY_ID", "SERVICE_PASSWORD"] {
        let secret = config["mcpServers"]["github"]["env"][secret]
            .as_str()
            .unwrap();
        assert!(!told.contains(&secret[..5]), "{told}");
        assert!(told.contains(&secret[..4]), "{told}");
    }
    assert!(!told.contains("hunter"), "{told}");
}

#[test]
fn vscode_configurations_may_have_comments_and_repeated_servers() {
    assert_eq!(
        mcp("vscode.jsonc"),
        [
            "high plain-http servers.search.url",
            "medium duplicate-server servers.twice",
        ]
    );
}

#[test]
fn instructions_hidden_from_people_are_found() {
    assert_eq!(
        mcp("hidden.json"),
        [
            "high hidden-instructions mcpServers.calc.description",
            "high hidden-instructions mcpServers.calc.tools[0].description",
            "high hidden-instructions mcpServers.calc.tools[1].description",
            "high hidden-instructions mcpServers.calc.tools[2].description",
            "high hidden-instructions mcpServers.calc.tools[3].description",
        ]
    );
}

#[test]
fn packages_without_a_version_are_found_behind_every_launcher() {
    assert_eq!(
        mcp("unpinned.json"),
        [
            "medium unpinned-package mcpServers.npx.args[1]",
            "medium unpinned-package mcpServers.latest.args[0]",
            "medium unpinned-package mcpServers.package.args[0]",
            "medium unpinned-package mcpServers.uvx.args[1]",
            "medium unpinned-package mcpServers.pipx.args[1]",
            "medium unpinned-package mcpServers.dlx.args[1]",
            "medium unpinned-package mcpServers.docker.args[3]",
            "medium unpinned-package mcpServers.windows.args[3]",
        ]
    );
}

#[test]
fn a_configuration_of_something_else_is_an_error_alone_and_passed_over_in_a_directory() {
    assert!(reason(fixture(ScanType::Mcp, "mcp/other.json")).contains("without an \"mcpServers\""));
    assert!(reason(fixture(ScanType::Mcp, "mcp/broken.json")).contains("line 1 column 22"));
    let findings = lines(&fixture(ScanType::Mcp, "mcp").unwrap());
    assert!(
        findings.contains(&"medium unparseable-file mcp/broken.json".to_owned()),
        "{findings:?}"
    );
    assert!(findings.contains(
        &"critical hardcoded-secret mcp/bad.json:mcpServers.github.env.TOKEN".to_owned()
    ));
    assert!(findings.iter().all(|line| !line.contains("other.json")));
    assert!(
        reason(fixture(ScanType::Mcp, "model"))
            .starts_with("the directory has none of MCP configurations")
    );
}

// --- hostile inputs

#[test]
fn json_nested_a_hundred_thousand_deep_is_refused_with_the_limit_named() {
    let mut deep = br#"{"mcpServers": "#.to_vec();
    deep.extend(b"[".repeat(100_000));
    let root = directory(&[("a.json", &deep)]);
    let reason = reason(scan_in(
        root.path(),
        ScanType::Mcp,
        "a.json",
        &Limits::default(),
    ));
    assert_eq!(reason, "it nests deeper than max_json_depth = 64");
    let generous = Limits {
        max_json_depth: usize::MAX,
        ..Limits::default()
    };
    assert!(scan_in(root.path(), ScanType::Mcp, "a.json", &generous).is_err());
}

#[test]
fn texts_made_to_be_slow_are_not() {
    for piece in [
        "xoxb-xxx-",
        "sk-",
        "://a:b",
        "-----BEGIN ",
        "eyJ.",
        "curl|",
        "`$(",
        "a=b&",
    ] {
        let text = piece.repeat(100_000 / piece.len());
        let config = serde_json::json!({"mcpServers": {"a": {"command": text, "env": {"TOKEN": text}, "description": text}}});
        let config = serde_json::to_vec(&config).unwrap();
        let root = directory(&[("a.json", &config)]);
        let findings = scan_in(root.path(), ScanType::Mcp, "a.json", &Limits::default()).unwrap();
        assert!(
            findings.iter().all(|f| f.to_string().len() < 1_000),
            "{piece}"
        );
    }
}

#[test]
fn a_gigabyte_of_nothing_is_refused_at_once() {
    let root = tempfile::tempdir().unwrap();
    File::create(root.path().join("a.pt"))
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    let reason = reason(scan_in(
        root.path(),
        ScanType::Model,
        "a.pt",
        &Limits::default(),
    ));
    assert!(
        reason.starts_with("its first bytes are those of no pickle"),
        "{reason}"
    );
    let error = scan_in(root.path(), ScanType::Mcp, "a.pt", &Limits::default()).unwrap_err();
    assert_eq!(error.code(), "too_large");
}

fn bomb(name: &str, size: usize) -> Vec<u8> {
    use zip::write::SimpleFileOptions;
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    archive.start_file("archive/first.pkl", options).unwrap();
    archive.write_all(EVIL).unwrap();
    archive.start_file(name, options).unwrap();
    // A byte string of zeros: a whole pickle, so that the walker has to go through all of it.
    archive.write_all(b"\x80\x04\x8e").unwrap();
    archive.write_all(&(size as u64).to_le_bytes()).unwrap();
    archive.write_all(&vec![0; size]).unwrap();
    archive.write_all(b".").unwrap();
    archive.finish().unwrap().into_inner()
}

#[test]
fn a_zip_bomb_is_critical_and_keeps_what_was_found_before_it() {
    let root = directory(&[("a.pt", &bomb("archive/data.pkl", 8 << 20))]);
    let limits = Limits {
        max_archive_entry_bytes: 1 << 20,
        ..Limits::default()
    };
    for limits in [
        limits.clone(),
        Limits {
            max_archive_total_bytes: 1 << 20,
            ..Limits::default()
        },
    ] {
        let found = scan_in(root.path(), ScanType::Model, "a.pt", &limits).unwrap();
        assert_eq!(
            lines(&found),
            [
                "critical dangerous-import a.pt!archive/first.pkl:opcode 1 (byte 0)",
                "critical zip-bomb a.pt!archive/data.pkl",
            ]
        );
    }
    assert_eq!(
        scan_in(root.path(), ScanType::Model, "a.pt", &Limits::default())
            .unwrap()
            .len(),
        1
    );
}

/// The archive with `size` as the last entry's size, in the directory only.
fn resized(mut archive: Vec<u8>, size: u32) -> Vec<u8> {
    let at = archive
        .windows(4)
        .rposition(|bytes| bytes == b"PK\x01\x02")
        .unwrap();
    archive[at + 24..at + 28].copy_from_slice(&size.to_le_bytes());
    archive
}

#[test]
fn an_entry_that_lies_about_its_size_is_walked_as_far_as_a_loader_would() {
    let archive = {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        archive
            .start_file("data.pkl", zip::write::SimpleFileOptions::default())
            .unwrap();
        archive.write_all(EVIL).unwrap();
        archive.write_all(&[b' '; 1_000]).unwrap();
        archive.finish().unwrap().into_inner()
    };
    let length = u32::try_from(EVIL.len()).unwrap();
    let root = directory(&[
        ("a.npz", &resized(archive, length)),
        ("b.npz", &resized(bomb("a.pkl", 8 << 20), 100)),
    ]);
    let found = scan_in(root.path(), ScanType::Model, "a.npz", &Limits::default()).unwrap();
    assert_eq!(
        lines(&found),
        [
            "critical dangerous-import a.npz!data.pkl:opcode 1 (byte 0)",
            "high size-mismatch a.npz!data.pkl",
        ]
    );
    let found = scan_in(root.path(), ScanType::Model, "b.npz", &small()).unwrap();
    assert!(
        lines(&found).contains(&"high size-mismatch b.npz!a.pkl".to_owned()),
        "{found:?}"
    );
}

#[test]
fn an_archive_that_announces_too_many_entries_is_refused_before_it_is_opened() {
    let mut archive = bomb("a.pkl", 10);
    let end = archive.split_off(archive.len() - 22);
    let at = archive.len() as u64;
    archive.extend(b"PK\x06\x06");
    archive.extend(44_u64.to_le_bytes());
    archive.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    archive.extend((1_u64 << 40).to_le_bytes());
    archive.extend((1_u64 << 40).to_le_bytes());
    archive.extend([0; 16]);
    archive.extend(b"PK\x06\x07");
    archive.extend([0; 4]);
    archive.extend(at.to_le_bytes());
    archive.extend([1, 0, 0, 0]);
    archive.extend(end);
    let root = directory(&[("a.pt", &archive)]);
    let error = scan_in(root.path(), ScanType::Model, "a.pt", &Limits::default()).unwrap_err();
    assert!(
        matches!(
            error,
            ScanError::TooLarge {
                limit: "max_archive_entries",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_checkpoint_larger_than_its_directory_limit_still_opens() {
    // Stored data before the part in which the directory is looked for.
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    archive.start_file("archive/data.pkl", options).unwrap();
    archive.write_all(EVIL).unwrap();
    archive.start_file("archive/data/0", options).unwrap();
    archive.write_all(&vec![7; 1 << 20]).unwrap();
    let root = directory(&[("a.pt", &archive.finish().unwrap().into_inner())]);
    let limits = Limits {
        max_archive_directory_bytes: 4 << 10,
        ..Limits::default()
    };
    assert_eq!(
        scan_in(root.path(), ScanType::Model, "a.pt", &limits)
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn findings_are_capped_with_a_closing_word() {
    let pickle: Vec<u8> = (0..50)
        .flat_map(|n| format!("cmymod\nA{n}\n)R").into_bytes())
        .chain(*b".")
        .collect();
    let root = directory(&[("a.pkl", &pickle)]);
    let limits = Limits {
        max_findings: 10,
        ..Limits::default()
    };
    let found = scan_in(root.path(), ScanType::Model, "a.pkl", &limits).unwrap();
    assert_eq!(found.len(), 11);
    assert_eq!(
        (found[10].severity, &*found[10].rule),
        (Severity::Info, "findings-truncated")
    );
}

#[test]
fn a_set_flag_stops_a_scan_and_progress_reaches_the_end_of_one_that_is_not_stopped() {
    let root = directory(&[("a.pkl", EVIL), ("b/c.pkl", EVIL)]);
    let target = ScanRoot::open(root.path()).unwrap().target(".").unwrap();
    let limits = Limits::default();

    let flag = AtomicBool::new(true);
    let progress = Progress::new().with_cancel(&flag);
    assert!(matches!(
        scan(ScanType::Model, &target, &limits, &progress),
        Err(ScanError::Cancelled)
    ));

    // Set in the middle, by the observer.
    flag.store(false, Ordering::Relaxed);
    let cancel = |step: &scan_platform::scan::Step<'_>| {
        flag.store(step.path == "b/c.pkl", Ordering::Relaxed)
    };
    let progress = Progress::new().with_cancel(&flag).with_observer(&cancel);
    assert!(matches!(
        scan(ScanType::Model, &target, &limits, &progress),
        Err(ScanError::Cancelled)
    ));

    let seen = Mutex::new(Vec::new());
    let watch =
        |step: &scan_platform::scan::Step<'_>| seen.lock().unwrap().push(step.path.to_owned());
    let progress = Progress::new().with_observer(&watch);
    let found = scan(ScanType::Model, &target, &limits, &progress).unwrap();
    assert_eq!(lines(&found).len(), 2);
    assert_eq!(progress.bytes_done(), 2 * EVIL.len() as u64);
    assert_eq!(progress.bytes_total(), progress.bytes_done());
    let mut seen = seen.into_inner().unwrap();
    seen.dedup();
    assert_eq!(seen, ["a.pkl", "b/c.pkl"]);
}

#[test]
fn one_target_can_be_scanned_twice() {
    let root = directory(&[("a.pkl", EVIL)]);
    let target = ScanRoot::open(root.path())
        .unwrap()
        .target("a.pkl")
        .unwrap();
    let once = || {
        scan(
            ScanType::Model,
            &target,
            &Limits::default(),
            &Progress::new(),
        )
        .unwrap()
    };
    assert_eq!(once(), once());
    assert_eq!(target.size(), EVIL.len() as u64);
    assert_eq!(target.display_path(), "a.pkl");
    fn is_send(_: &impl Send) {}
    is_send(&target);
}

// --- targets

fn refusal(root: &Path, path: &str) -> &'static str {
    let error = ScanRoot::open(root).unwrap().target(path).unwrap_err();
    assert!(!error.to_string().contains('\n'), "{error}");
    error.code()
}

#[test]
fn paths_that_are_none_or_leave_the_root_are_told_apart() {
    let root = directory(&[("in/a.pkl", EVIL)]);
    let root = root.path();
    assert_eq!(refusal(root, ""), "invalid_path");
    assert_eq!(refusal(root, "a\0b"), "invalid_path");
    assert_eq!(refusal(root, &"a".repeat(5_000)), "invalid_path");
    assert_eq!(refusal(root, &"a".repeat(300)), "invalid_path");
    assert_eq!(refusal(root, "/etc/passwd"), "outside_root");
    assert_eq!(refusal(root, "../a"), "outside_root");
    assert_eq!(refusal(root, "in/../in/a.pkl"), "outside_root");
    assert_eq!(refusal(root, "missing\n"), "not_found");
    assert_eq!(refusal(root, "in/a.pkl/b"), "not_found");
    for path in [".", "in", "./in/a.pkl", "in//a.pkl"] {
        assert!(ScanRoot::open(root).unwrap().target(path).is_ok(), "{path}");
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_inside_the_root_and_refused_out_of_it() {
    use std::os::unix::fs::symlink;
    let outside = directory(&[("evil.pkl", EVIL)]);
    let root = directory(&[("in/a.pkl", EVIL)]);
    let at = |name: &str| root.path().join(name);
    symlink("in/a.pkl", at("inside.pkl")).unwrap();
    symlink(outside.path().join("evil.pkl"), at("absolute.pkl")).unwrap();
    symlink("../../../../../../etc/passwd", at("in/relative.pkl")).unwrap();
    symlink(outside.path(), at("folder")).unwrap();
    symlink("loop", at("loop")).unwrap();
    symlink("..", at("in/up")).unwrap();

    for path in [
        "absolute.pkl",
        "in/relative.pkl",
        "folder",
        "folder/evil.pkl",
    ] {
        assert_eq!(refusal(root.path(), path), "outside_root", "{path}");
    }
    assert_eq!(refusal(root.path(), "loop"), "io");
    let found = scan_in(root.path(), ScanType::Model, ".", &Limits::default()).unwrap();
    let found: Vec<_> = lines(&found)
        .into_iter()
        .filter(|line| !line.contains(" loop"))
        .collect();
    assert_eq!(
        found,
        [
            "critical dangerous-import in/a.pkl:opcode 1 (byte 0)",
            "critical dangerous-import inside.pkl:opcode 1 (byte 0)",
            "medium symlink-outside-root absolute.pkl",
            "medium symlink-outside-root folder",
            "medium symlink-outside-root in/relative.pkl",
        ]
    );
}

#[cfg(unix)]
#[test]
fn a_fifo_a_socket_and_a_device_are_refused_without_waiting() {
    let root = tempfile::tempdir().unwrap();
    let fifo = root.path().join("fifo.pkl");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket.pkl")).unwrap();
    assert_eq!(refusal(root.path(), "fifo.pkl"), "not_scannable");
    assert_eq!(refusal(root.path(), "socket.pkl"), "not_scannable");
    assert_eq!(refusal(Path::new("/dev"), "null"), "not_scannable");
    fs::write(root.path().join("a.pkl"), EVIL).unwrap();
    let found = scan_in(root.path(), ScanType::Model, ".", &Limits::default()).unwrap();
    assert_eq!(found.len(), 1);
}

// --- properties

fn small() -> Limits {
    Limits {
        max_opcodes: 100_000,
        max_archive_entry_bytes: 1 << 20,
        max_archive_total_bytes: 1 << 20,
        ..Limits::default()
    }
}

fn end_of_both(bytes: &[u8]) {
    let root = directory(&[("a.json", bytes)]);
    for kind in ScanType::ALL {
        for path in ["a.json", "."] {
            let first = scan_in(root.path(), kind, path, &small());
            let second = scan_in(root.path(), kind, path, &small());
            match (first, second) {
                (Ok(first), Ok(second)) => {
                    assert_eq!(first, second);
                    assert!(first.is_sorted_by(|a, b| a.severity >= b.severity));
                }
                (Err(first), Err(second)) => assert_eq!(first.code(), second.code()),
                (first, second) => panic!("{first:?} and then {second:?}"),
            }
        }
    }
}

fn fixtures() -> Vec<Vec<u8>> {
    let mut files: Vec<_> = ["mcp", "model"]
        .iter()
        .flat_map(|folder| fs::read_dir(format!("{FIXTURES}/{folder}")).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| fs::read(path).unwrap())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_end_in_findings_or_an_error(
        magic in prop::sample::select(vec![&b""[..], b"\x80\x04", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"{\"mcpServers\":", b"\x10\0\0\0\0\0\0\0{"]),
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        end_of_both(&[magic, &bytes].concat());
    }

    #[test]
    fn random_opcodes_end_in_findings_or_an_error(
        bytes in prop::collection::vec(prop::sample::select(b"(.0N)]}ltdeusabRco2p1\nq\x01h\x93\x94\x81\x92\x85\x86\x8c\x02os\x82Q\x8f\x90".to_vec()), 0..300),
    ) {
        end_of_both(&bytes);
    }

    #[test]
    fn mutated_fixtures_end_in_findings_or_an_error(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let fixtures = fixtures();
        let mut bytes = which.get(&fixtures).clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        end_of_both(&bytes);
    }
}
