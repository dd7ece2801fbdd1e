//! The corpus of each target, and what becomes of it when a few of its bytes are others.

use std::{fs, path::Path};

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let files = fs::read_dir(folder).unwrap();
    let files: Vec<_> = files
        .map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect();
    assert!(!files.is_empty());
    files
}

/// Runs each of the corpus, and as many of its neighbours.
fn hold(target: &str, run: fn(&[u8]), neighbours: usize) {
    let corpus = corpus(target);
    for data in &corpus {
        run(data);
    }
    // The same every time: a failure is there again.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize
    };
    for round in 0..neighbours {
        let mut data = corpus[round % corpus.len()].clone();
        for _ in 0..next() % 8 {
            let at = next() % data.len();
            data[at] = next() as u8;
        }
        let cut = next() % data.len() + 1;
        data.truncate(cut);
        run(&data);
    }
}

#[test]
fn lines_hold_for_the_corpus_and_its_neighbours() {
    hold("lines", fuzz_tests::lines::run, 3000);
}

#[test]
fn scrapes_hold_for_the_corpus_and_its_neighbours() {
    hold("scrapes", fuzz_tests::scrapes::run, 3000);
}
