//! The work of `cargo xtask bench --check`, timed by criterion, which remembers the last run:
//! `cargo bench -p benches --features criterion [-- FILTER]`. Beside the peers, `cargo xtask bench` measures.

use std::time::Instant;

use benches::steady::CASES;
use criterion::{Criterion, criterion_group, criterion_main};

fn cases(criterion: &mut Criterion) {
    for case in CASES {
        let mut work = None;
        criterion.bench_function(case.name, |bencher| {
            // Made only if the filter has it.
            let work = work.get_or_insert_with(case.make);
            bencher.iter_custom(|operations| {
                let start = Instant::now();
                work(usize::try_from(operations).expect("it does not take years"));
                start.elapsed()
            });
        });
    }
}

criterion_group!(ours, cases);
criterion_main!(ours);
