use super::*;
use crate::scan::{Limits, Progress};

fn walked(bytes: &[u8]) -> (Result<Tally, Stop>, Vec<(String, String)>) {
    let limits = Limits::default();
    let progress = Progress::new();
    let mut report = Report::new(100);
    let mut source = bytes;
    let context = Context {
        limits: &limits,
        progress: &progress,
    };
    let tally = walk(&mut Input::new(&mut source), "p", context, &mut report);
    let found = report
        .finish()
        .into_iter()
        .map(|f| (f.rule.into_owned(), f.location))
        .collect();
    (tally, found)
}

fn rules(bytes: &[u8]) -> Vec<String> {
    walked(bytes).1.into_iter().map(|(rule, _)| rule).collect()
}

#[test]
fn as_many_opcodes_are_seen_as_pickletools_sees() {
    let counts = include_str!("../../../../fixtures/model/opcodes.json");
    let counts: std::collections::BTreeMap<String, Tallied> = serde_json::from_str(counts).unwrap();
    assert!(counts.len() > 10, "{counts:?}");
    for (file, expected) in counts {
        let path = format!("{}/fixtures/model/{file}", env!("CARGO_MANIFEST_DIR"));
        let tally = walked(&std::fs::read(path).unwrap()).0.unwrap();
        assert_eq!(
            (tally.pickles, tally.opcodes),
            (expected.pickles, expected.opcodes),
            "{file}"
        );
    }
}

#[derive(Debug, serde::Deserialize)]
struct Tallied {
    pickles: u64,
    opcodes: u64,
}

#[test]
fn a_name_spelled_with_escapes_and_taken_from_the_memo_is_resolved() {
    // V unescapes to "os", S to "system"; both come back from the memo.
    let bytes = b"V\\u006fs\np7\n0S'\\x73ystem'\np8\n0g7\ng8\n\x93(S'id'\ntR.";
    assert_eq!(
        walked(bytes).1,
        [(
            "dangerous-import".to_owned(),
            "p:opcode 9 (byte 36)".to_owned()
        )]
    );
}

#[test]
fn each_way_to_call_reports_an_unknown_import_once() {
    for bytes in [
        &b"cmymod\nA\n)R."[..],
        b"(imymod\nA\n.",
        b"(cmymod\nA\no.",
        b"\x80\x02cmymod\nA\n)\x81.",
        b"\x80\x04cmymod\nA\n)}\x92.",
        b"cmymod\nA\n}b.",
        b"ccopy_reg\n_reconstructor\n(cmymod\nA\nc__builtin__\nobject\nNtR.",
        b"(cmymod\nA\n)Rcmymod\nA\n)Rt.",
    ] {
        assert_eq!(rules(bytes), ["unknown-import"], "{}", bytes.escape_ascii());
    }
    assert!(
        rules(b"cmymod\nA\n.").is_empty(),
        "a class as a value calls nothing"
    );
}

#[test]
fn a_computed_import_and_a_computed_call_are_reported() {
    assert_eq!(
        rules(b"\x80\x04ccollections\nOrderedDict\n)R\x8c\x06system\x93."),
        ["unresolved-import"]
    );
    assert_eq!(
        rules(b"ccollections\nOrderedDict\n)R)R."),
        ["computed-call"]
    );
    assert_eq!(rules(b"\x80\x02\x82\x07)R."), ["extension-import"]);
}

#[test]
fn what_cpython_would_refuse_does_not_hide_what_follows() {
    let (end, found) = walked(b"00cos\nsystem\n.");
    assert!(end.is_ok());
    assert_eq!(found[0].0, "dangerous-import");
    assert_eq!(found[1].0, "truncated-pickle");
    assert!(matches!(walked(b"00N.").0, Err(Stop::Malformed(_))));
}

#[test]
fn pickles_that_follow_one_another_are_all_walked() {
    let (end, found) = walked(b"\x80\x02N.\x80\x02cos\nsystem\n.raw tensor data");
    assert_eq!(end.unwrap().pickles, 2);
    assert_eq!(
        found,
        [(
            "dangerous-import".to_owned(),
            "p:opcode 2 (byte 6)".to_owned()
        )]
    );
}

#[test]
fn a_pickle_inside_a_byte_string_is_walked_to_its_depth() {
    let mut bytes = b"\x80\x02cos\nsystem\n.".to_vec();
    for _ in 0..3 {
        let mut outer = b"\x80\x03C".to_vec();
        outer.push(u8::try_from(bytes.len()).unwrap());
        outer.append(&mut bytes);
        outer.push(b'.');
        bytes = outer;
    }
    let (end, found) = walked(&bytes);
    assert!(end.is_ok());
    assert_eq!(found[0].0, "dangerous-import");
    assert_eq!(found[0].1.matches("opcode").count(), 4, "{found:?}");
}

#[test]
fn a_flood_of_values_ends_at_a_limit() {
    let progress = Progress::new();
    for (bytes, limit) in [
        (b"(".repeat(2_000), "max_stack"),
        (b"N0".repeat(2_000), "max_opcodes"),
        (
            b"\x80\x04N"
                .iter()
                .copied()
                .chain((0..2_000_u32).flat_map(|key| {
                    let mut put = vec![b'r'];
                    put.extend(key.to_le_bytes());
                    put
                }))
                .collect(),
            "max_memo",
        ),
        (b"\x8c\x04abcd".repeat(200), "max_name_bytes"),
    ] {
        let limits = Limits {
            max_stack: 1_000,
            max_memo: 1_000,
            max_opcodes: 3_000,
            max_name_bytes: 400,
            ..Limits::default()
        };
        let context = Context {
            limits: &limits,
            progress: &progress,
        };
        let mut source = &bytes[..];
        let end = walk(
            &mut Input::new(&mut source),
            "p",
            context,
            &mut Report::new(9),
        );
        assert!(
            matches!(&end, Err(Stop::Limit(name, _)) if *name == limit),
            "{limit}: {end:?}"
        );
    }
}
