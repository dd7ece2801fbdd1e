//! offered = written + dropped + queued, whatever the output does.

use std::{
    io::ErrorKind,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use proptest::{collection::vec, prelude::*};
use tower_json_logging::{Importance, Overflow, Sink};
use tracing::Level;

use crate::output::{Do, LONG, law, scripted, split};

const LEVELS: [Level; 5] = [
    Level::ERROR,
    Level::WARN,
    Level::INFO,
    Level::DEBUG,
    Level::TRACE,
];

fn what() -> impl Strategy<Value = Do> {
    prop_oneof![
        4 => (0..3000_usize).prop_map(Do::Take),
        2 => Just(Do::Take(usize::MAX)),
        1 => Just(Do::Fail(ErrorKind::Interrupted)),
        1 => Just(Do::Fail(ErrorKind::WouldBlock)),
        1 => Just(Do::Fail(ErrorKind::StorageFull)),
        1 => Just(Do::Fail(ErrorKind::BrokenPipe)),
    ]
}

fn overflow() -> impl Strategy<Value = Overflow> {
    prop_oneof![
        Just(Overflow::DropNewest),
        Just(Overflow::DropOldest),
        Just(Overflow::Block(Duration::from_micros(100))),
    ]
}

/// The lines of one thread: how long, of which level.
fn lines() -> impl Strategy<Value = Vec<(usize, usize)>> {
    vec((20..1200_usize, 0..LEVELS.len()), 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_line_is_written_once_and_whole_or_counted_and_announced(
        overflow in overflow(),
        reserve in 0.0..0.9_f64,
        script in vec(what(), 0..60),
        threads in vec(lines(), 1..4),
    ) {
        let (output, mut told) = scripted();
        for what in script {
            told.tell(what);
        }
        let sink = Sink::writer(output)
            .batch(1024)
            .capacity(8 * 1024)
            .reserve_for_important(reserve)
            .overflow(overflow)
            .build()
            .unwrap();
        let queued = AtomicU64::new(0);
        thread::scope(|scope| {
            for (thread, lines) in threads.iter().enumerate() {
                let (sink, queued) = (&sink, &queued);
                scope.spawn(move || {
                    for (number, &(length, level)) in lines.iter().enumerate() {
                        let line = format!("{thread} {number} ");
                        let line = format!("{line:x<length$}\n");
                        let importance = if level == 0 {
                            Importance::Important
                        } else {
                            Importance::Normal
                        };
                        if sink.offer(line.as_bytes(), LEVELS[level], importance) {
                            queued.fetch_add(1, Ordering::Relaxed);
                        }
                        law(&sink.stats());
                    }
                });
            }
        });
        told.take_all();
        // A failure ends a flush; what is left of the script is not long.
        while !sink.flush(LONG).is_complete() {}
        let report = sink.close(LONG);
        prop_assert!(report.is_complete(), "{report}");
        let stats = report.stats();
        law(stats);
        prop_assert_eq!(stats.queued().total(), 0);
        for (slot, level) in LEVELS.into_iter().enumerate() {
            let offered = threads.iter().flatten().filter(|line| line.1 == slot).count();
            prop_assert_eq!(stats.offered().of(level), offered as u64);
        }

        let text = told.text();
        let (written, announced) = split(&text);
        prop_assert_eq!(written.len() as u64, stats.written().total());
        prop_assert_eq!(announced, stats.dropped().total());
        if overflow != Overflow::DropOldest {
            prop_assert_eq!(stats.written().total(), queued.into_inner());
        }
        let mut last = vec![None; threads.len()];
        for line in written {
            let mut parts = line.splitn(3, ' ');
            let thread: usize = parts.next().unwrap().parse().unwrap();
            let number: usize = parts.next().unwrap().parse().unwrap();
            prop_assert_eq!(line.len(), threads[thread][number].0);
            prop_assert!(last[thread] < Some(number), "out of order: {line}");
            last[thread] = Some(number);
        }
    }
}
